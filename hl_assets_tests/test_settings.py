"""Settings: defaults, refusals, and `.env.example` telling the same story."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from hl_assets.resources.warehouse import warehouse_config
from hl_assets.settings import API_USER, SecretFileError, Settings, env_example, environment_name, is_secret
from hl_assets.warehouse.access import Role, user_name
from hl_assets.warehouse.config import parse_clickhouse_url
from hl_assets_tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    for field in Settings.model_fields.values():
        monkeypatch.delenv(environment_name(field), raising=False)
        monkeypatch.delenv(environment_name(field) + "_FILE", raising=False)


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


# Secrets as files


SECRETS = sorted(environment_name(field) for field in Settings.model_fields.values() if is_secret(field))


def test_the_secrets_are_the_settings_that_are_never_shown() -> None:
    assert SECRETS == [
        "ALERT_WEBHOOK_SECRET",
        "ALERT_WEBHOOK_URL",
        "ANTHROPIC_API_KEY",
        "API_WRITE_KEY",
        "CLICKHOUSE_API_PASSWORD",
        "CLICKHOUSE_MIGRATOR_PASSWORD",
        "CLICKHOUSE_PASSWORD",
        "CLICKHOUSE_READER_PASSWORD",
        "CLICKHOUSE_URL",
        "CLICKHOUSE_WRITER_PASSWORD",
        "DAGSTER_POSTGRES_PASSWORD",
        "DAGSTER_POSTGRES_URL",
        "EGRESS_PROXIES",
    ]


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_secret_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str) -> None:
    (tmp_path / "key").write_text("a-key-of-16-chars\n", encoding="utf-8")
    if where == "environment":
        monkeypatch.setenv("API_WRITE_KEY_FILE", str(tmp_path / "key"))
    else:
        (tmp_path / ".env").write_text(f"API_WRITE_KEY_FILE={tmp_path / 'key'}\n", encoding="utf-8")
    key = Settings().api_write_key
    assert key is not None
    assert key.get_secret_value() == "a-key-of-16-chars"
    assert "a-key-of-16-chars" not in repr(Settings())


def test_the_environment_goes_before_dotenv_for_files_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("from-the-file")
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=from-dotenv\n", encoding="utf-8")
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(tmp_path / "key"))
    key = Settings().anthropic_api_key
    assert key is not None
    assert key.get_secret_value() == "from-the-file"


def test_an_empty_file_is_an_unset_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(tmp_path / "key"))
    assert Settings().anthropic_api_key is None
    monkeypatch.setenv("ANTHROPIC_API_KEY", "from-the-environment")
    key = Settings().anthropic_api_key
    assert key is not None
    assert key.get_secret_value() == "from-the-environment"


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "hunter3")
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(SecretFileError, match="ANTHROPIC_API_KEY_FILE holds one, too") as caught:
        Settings()
    assert "hunter" not in str(caught.value)


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLICKHOUSE_URL_FILE", str(tmp_path / "nothing"))
    with pytest.raises(
        SecretFileError, match=r"CLICKHOUSE_URL_FILE=.*nothing: cannot be read \(No such file"
    ):
        Settings()


def test_what_is_no_secret_is_not_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "count").write_text("7")
    monkeypatch.setenv("TOP_N_WALLETS_FILE", str(tmp_path / "count"))
    assert Settings().top_n == Settings.model_fields["top_n"].default


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("http://hl@host:8123", "p@ss/w:rd", "http://hl:p%40ss%2Fw%3Ard@host:8123"),
        ("https://hl@[::1]:8443/db?verify=false", "x", "https://hl:x@[::1]:8443/db?verify=false"),
        ("http://hl:inside@host:8123", None, "http://hl:inside@host:8123"),
        (None, "x", None),
    ],
)
def test_the_password_beside_the_url_is_put_into_it(
    url: str | None, password: str | None, expected: str | None
) -> None:
    assert Settings.load(clickhouse_url=url, clickhouse_password=password).clickhouse_address == expected


def test_the_password_beside_the_url_reaches_the_connection() -> None:
    settings = Settings.load(clickhouse_url="http://hl@host:8123", clickhouse_password="p@ss/w:rd")
    endpoint = parse_clickhouse_url(warehouse_config(settings).url or "")
    assert (endpoint.username, endpoint.password) == ("hl", "p@ss/w:rd")


@pytest.mark.parametrize("url", ["http://hl:inside@host:8123", "http://host:8123"])
def test_a_password_that_does_not_fit_the_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="CLICKHOUSE_PASSWORD is set") as caught:
        Settings.load(clickhouse_url=url, clickhouse_password="hunter2")
    assert "hunter2" not in str(caught.value)
    assert "inside" not in str(caught.value)


def test_dagsters_storage_is_postgresql_or_nothing() -> None:
    url = Settings.load(dagster_postgres_url="postgresql://d@db/dagster", dagster_postgres_password="x")
    assert url.dagster_postgres_address == "postgresql://d:x@db/dagster"
    assert Settings().dagster_postgres_address is None
    with pytest.raises(ValidationError, match="must begin with postgresql"):
        Settings.load(dagster_postgres_url="mysql://d@db/dagster")


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


def test_the_api_reads_as_its_own_user_where_that_has_a_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "https://hl_assets_writer:w@ch.example:8443/d?verify=false"
    plain = Settings.load(clickhouse_url=url)
    assert plain.api_clickhouse_address == plain.clickhouse_address == url
    own = Settings.load(clickhouse_url=url, clickhouse_api_password="p/a:s@s wörd and more")
    assert own.clickhouse_address == url
    endpoint = parse_clickhouse_url(own.api_clickhouse_address or "")
    assert (endpoint.username, endpoint.password) == ("hl_assets_api", "p/a:s@s wörd and more")
    assert (endpoint.host, endpoint.port, endpoint.database, endpoint.verify) == (
        "ch.example",
        8443,
        "d",
        False,
    )
    assert user_name(Role.API) == API_USER
    assert "more" not in repr(own)


def test_an_api_user_needs_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError, match="the embedded ClickHouse has no users"):
        Settings.load(clickhouse_api_password="long enough a password")
