"""Settings: defaults, refusals, and `.env.example` telling the same story."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from hl_assets.settings import Settings, env_example, environment_name
from hl_assets_tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    for field in Settings.model_fields.values():
        monkeypatch.delenv(environment_name(field), raising=False)


def test_env_example_is_generated_from_the_settings() -> None:
    assert (REPOSITORY / ".env.example").read_text(encoding="utf-8") == env_example(), "run `make docs`"


def test_env_example_uncommented_gives_the_defaults(tmp_path) -> None:
    lines = env_example().splitlines()
    text = "\n".join(
        line[1:] if line.startswith("#") and "=" in line and line[1].isupper() else line for line in lines
    )
    (tmp_path / "all.env").write_text(text, encoding="utf-8")
    assert Settings(_env_file=tmp_path / "all.env").model_dump() == Settings().model_dump()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOP_N_WALLETS", "0"),
        ("TOP_N_WALLETS", "many"),
        ("TOP_N_WINDOW", "year"),
        ("MIN_COVERAGE", "1.5"),
        ("SCORE_WEIGHTS", "sharpe=1"),
        ("SCORE_WEIGHTS", "roi=-1"),
        ("ENTITY_FILTER", "vaults"),
        ("TREND_DAYS", "1"),
        ("CLICKHOUSE_DATABASE", "a; DROP DATABASE b"),
        ("HL_ASSETS_CLOCK", "2026-05-31T00:00:00"),
    ],
)
def test_a_bad_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_the_live_exchange_has_no_frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HL_ASSETS_SOURCE", "live")
    monkeypatch.setenv("HL_ASSETS_CLOCK", "2026-05-31T00:00:00Z")
    with pytest.raises(ValidationError, match="live exchange"):
        Settings()


def test_the_frozen_clock_is_the_present() -> None:
    noon = datetime(2026, 5, 31, 12, tzinfo=UTC)
    assert Settings.load(clock=noon).now() == noon


def test_only_the_documented_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = {environment_name(field) for field in Settings.model_fields.values()}
    for name in {field.upper() for field in Settings.model_fields} - documented:
        monkeypatch.setenv(name, "elsewhere")  # HOME, SOURCE, CLOCK, ... belong to others
    assert str(Settings().home) == ".hl_assets"


@pytest.mark.parametrize(
    ("options", "database"),
    [
        ({}, "hl_assets_sandbox"),
        ({"source": "live"}, "hl_assets"),
        ({"source": "recorded"}, "hl_assets_recorded"),
        ({"clickhouse_url": "http://host:8123"}, "hl_assets_sandbox"),
        ({"clickhouse_url": "http://host:8123", "clickhouse_database": "other"}, "other"),
    ],
)
def test_each_source_has_a_database_of_its_own(options: dict, database: str) -> None:
    assert Settings.load(**options).database == database


def test_two_databases_are_one_too_many() -> None:
    with pytest.raises(ValidationError, match="keep one of them"):
        Settings.load(clickhouse_url="http://host:8123/mine", clickhouse_database="other")


def test_the_password_of_the_url_is_never_shown() -> None:
    settings = Settings.load(clickhouse_url="http://user:hunter2@host:8123/db")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


def windows_used(reserve: float, deadline: float, start: float, n_slots: int = 120) -> float:
    """Share of ten windows of the budget a slot that consecutive slots use.

    A slot spends whole windows of 61 s, the limiter's: the first as soon as the last one before it is over.
    """
    spent, free_at = 0, 0.0
    for number in range(n_slots):
        begin = 600.0 * number
        ends = min(begin + 600 - reserve, begin + start + deadline)
        at = max(begin + start, free_at)
        while at <= ends:
            spent, free_at = spent + 1, at + 61
            at += 61
    return spent / (10 * n_slots)


@pytest.mark.parametrize("start", [5, 10, 15, 20])
def test_the_defaults_use_the_exchanges_budget_and_leave_time_to_derive(start: float) -> None:
    settings = Settings()
    reserve, deadline = settings.fetch_reserve_seconds, settings.fetch_deadline_seconds
    assert windows_used(reserve, deadline, start) >= 0.95
    assert windows_used(0, deadline, start) >= 0.95, "with FETCH_PLAN=top only the deadline ends it"
    assert start + deadline <= 600 - 15, "a tick that is not over when the next one is due costs a slot"
    assert reserve >= 20


def test_a_longer_reserve_or_a_shorter_deadline_would_waste_it() -> None:
    assert windows_used(60, 565, 10) == 0.9
    assert windows_used(25, 540, 10) == 0.9
