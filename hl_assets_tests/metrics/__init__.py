"""Tests of `hl_assets.metrics`."""
