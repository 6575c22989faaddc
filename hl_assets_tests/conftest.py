"""Fixtures every test package shares. What one package needs alone lives in that package's conftest."""

import gc
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import ensure_running, stop
from hl_assets_tests.deployment.postgres import Postgres, running_postgres

# On a busy machine hypothesis would fail a test for generating slowly, which says nothing about our code.
hypothesis.settings.register_profile(
    "project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("project")


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of every later garbage collection: it stays, and walking it takes 0.2 s a time."""
    gc.collect()
    gc.freeze()


# A developer's key must never be used, nor money spent, by a test.
for _name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "GRADER"))]:
    del os.environ[_name]

REPOSITORY = Path(__file__).resolve().parent.parent


def bare_environment(**more: str) -> dict[str, str]:
    """Environment of a process that tests this checkout, installed or not, without any setting of the developer's."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**inherited, "PYTHONPATH": str(REPOSITORY), **more}


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Commands of the CLI set the process's logging; the next test must not find it so."""
    ours, hook = logging.getLogger("hl_assets"), sys.excepthook
    level = ours.level
    yield
    ours.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook = hook


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """Folder of recorded exchange data: `HL_ASSETS_TEST_DATA`, else `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("HL_ASSETS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"recorded exchange data not found at {folder}; set HL_ASSETS_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data folder of an embedded ClickHouse that runs for the whole session."""
    home = tmp_path_factory.mktemp("clickhouse")
    ensure_running(home)
    yield home
    stop(home)


@pytest.fixture
def warehouse(embedded_server: Path) -> Iterator[Warehouse]:
    """A warehouse in a database of its own, empty and without tables."""
    config = WarehouseConfig(home=embedded_server, database=f"test_{uuid.uuid4().hex[:12]}")
    with Warehouse(config) as opened:
        yield opened
        opened.drop_database()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server; skips where it or dagster-postgres is not installed."""
    pytest.importorskip("dagster_postgres", reason="the extra `postgres` is not installed")
    with running_postgres() as server:
        yield server
