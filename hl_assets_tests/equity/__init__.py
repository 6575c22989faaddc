"""Tests of `hl_assets.equity`."""
