"""Tests of `hl_assets.grading`."""
