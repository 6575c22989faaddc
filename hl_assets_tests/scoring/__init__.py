"""Tests of `hl_assets.scoring`."""
