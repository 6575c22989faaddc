"""Fixtures every test package shares. What one package needs alone lives in that package's conftest."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """Folder of recorded exchange data: `HL_ASSETS_TEST_DATA`, else `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("HL_ASSETS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"recorded exchange data not found at {folder}; set HL_ASSETS_TEST_DATA to its folder")
    return folder
