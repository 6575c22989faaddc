"""Every setting of the platform, typed, with its environment variable, default and meaning.

Belongs here: reading the environment and `.env`. Does not belong here: using a setting; everything else takes explicit
arguments. `.env.example` is generated from this module (`python -m hl_assets.settings`) and tested equal to it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from hl_assets.alerts.config import (
    DEFAULT_KINDS,
    AlertConfigError,
    check_webhook_url,
    parse_after_failures,
    parse_kinds,
    parse_secrets,
)
from hl_assets.exchange.config import Egress, parse_proxies
from hl_assets.observability.logs import LogFormat, LogLevel
from hl_assets.scoring.config import parse_weights
from hl_assets.scoring.entities import parse_entity_filter

if TYPE_CHECKING:
    from hl_assets.maintenance.rules import RetentionRule

Source = Literal["sandbox", "recorded", "live"]
SOURCE_ORIGINS: dict[Source, str] = {"sandbox": "simulated", "recorded": "recorded", "live": "live"}
"""The `origin` that rows taken from each source carry."""

_PLAN_DAYS = 30
"""How far FETCH_PLAN=board looks back on answers and boards (`hl_assets.assets.fetch_plan`)."""

Share = Annotated[float, Field(ge=0, le=1)]

API_USER = "hl_assets_api"
"""The database user that the REST API reads as (`hl_assets.warehouse.access`), where CLICKHOUSE_API_PASSWORD is set."""

FILE_SUFFIX = "_FILE"
"""A secret may be named by the path of a file that holds it, in the variable with this suffix (Docker's convention)."""


class SecretFileError(ValueError):
    """A file that should hold a secret cannot be used; the message names the variable, never the content."""


def setting(name: str, default: Any, meaning: str, **limits: Any) -> Any:
    """Declare one setting: its environment variable, default and meaning."""
    return Field(default, validation_alias=AliasChoices(name), description=meaning, **limits)


class _SecretFiles(PydanticBaseSettingsSource):
    """Secrets whose variable with `_FILE` names a file: of the environment, or of `.env`.

    An empty file is an unset secret, so that a deployment can mount one for every secret there is.
    """

    def __init__(self, settings_cls: type[BaseSettings], variables: EnvSettingsSource) -> None:
        super().__init__(settings_cls)
        self._variables = variables.env_vars  # names in lower case

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        """The content of the file that belongs to a field."""
        name = environment_name(field)
        path = self._variables.get((name + FILE_SUFFIX).lower())
        if not path or not is_secret(field):
            return None, field_name, False
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SecretFileError(f"{name}{FILE_SUFFIX}={path}: cannot be read ({reason})") from error
        if text and self._variables.get(name.lower()):
            raise SecretFileError(f"{name} is set, and {name}{FILE_SUFFIX} holds one, too; keep one of them")
        return text or None, name, False

    def __call__(self) -> dict[str, Any]:
        """Every secret found, by environment variable."""
        found = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {name: value for value, name, _ in found if value is not None}


class Settings(BaseSettings):
    """The platform's settings; environment variables win over `.env`, `.env` over the defaults.

    A secret may also be given as a file: NAME_FILE names it. A secret given both ways in one place is refused.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,  # it may be a secret
        frozen=True,
    )

    # Where data comes from and goes to
    source: Source = setting(
        "HL_ASSETS_SOURCE",
        "sandbox",
        "Exchange to read: sandbox (a simulated population), recorded (a panel file or captured answers) or live. "
        "Each source has a ClickHouse database of its own, so simulated rows never meet live ones.",
    )
    home: Path = setting(
        "HL_ASSETS_HOME", Path(".hl_assets"), "Folder of everything the platform keeps on this machine."
    )
    recording: Path | None = setting(
        "HL_ASSETS_RECORDING",
        None,
        "Panel file (CSV or CSV.gz) or folder of `hl-assets record` that the recorded source replays.",
    )
    clock: datetime | None = setting(
        "HL_ASSETS_CLOCK",
        None,
        "Freezes the clock at this ISO instant, for a sandbox or recording replayed at a past moment. Refused for live.",
    )
    dagster_home: Path | None = setting(
        "DAGSTER_HOME", None, "Dagster's instance folder; unset: a folder per source under HL_ASSETS_HOME."
    )
    schedules_on: bool = setting(
        "HL_ASSETS_SCHEDULES_ON",
        False,
        "Whether schedules run without being switched on in the UI; `hl-assets dev` sets it.",
    )
    start_date: date = setting("HL_ASSETS_START_DATE", date(2026, 1, 1), "First daily partition.")

    # The exchange
    info_url: str = setting(
        "HYPERLIQUID_INFO_URL",
        "https://api.hyperliquid.xyz",
        "Host of POST /info (portfolio), without the path.",
    )
    stats_url: str = setting(
        "HYPERLIQUID_STATS_URL",
        "https://stats-data.hyperliquid.xyz/Mainnet",
        "Prefix of GET /leaderboard, the network's path segment included.",
    )
    weight_per_minute: int = setting(
        "HYPERLIQUID_WEIGHT_PER_MINUTE",
        1200,
        "Request weight allowed per minute and IP; a portfolio costs 20.",
        ge=20,
    )
    concurrency: int = setting(
        "HYPERLIQUID_CONCURRENCY", 8, "Portfolio requests in flight at once, per IP.", ge=1, le=64
    )
    egress_proxies: SecretStr | None = setting(
        "EGRESS_PROXIES",
        None,
        "Forwarding proxies that requests are spread over, comma-separated: http://user:password@host:port; `direct` is this "
        "machine's own address. Each has HYPERLIQUID_WEIGHT_PER_MINUTE and HYPERLIQUID_CONCURRENCY of its own. Unset: direct.",
    )
    max_attempts: int = setting(
        "HYPERLIQUID_MAX_ATTEMPTS",
        5,
        "Attempts per request, the first included, for what can heal.",
        ge=1,
        le=20,
    )
    backoff_seconds: float = setting(
        "HYPERLIQUID_BACKOFF_SECONDS", 1.0, "First pause before a retry; doubles, with jitter.", gt=0
    )
    info_timeout_seconds: float = setting(
        "HYPERLIQUID_INFO_TIMEOUT_SECONDS", 30.0, "Timeout of one portfolio request.", gt=0
    )
    leaderboard_timeout_seconds: float = setting(
        "HYPERLIQUID_LEADERBOARD_TIMEOUT_SECONDS",
        300.0,
        "Timeout of the leaderboard (40 MB and growing).",
        gt=0,
    )
    fetch_deadline_seconds: float = setting(
        "HYPERLIQUID_FETCH_DEADLINE_SECONDS",
        # 600 wallets are ten windows of the budget: 549 s, and up to 10 s more when the slot before spent late.
        565.0,
        "Portfolios not fetched this long after the step began are recorded as failed, so a slow exchange cannot "
        "swallow the next slots.",
        gt=0,
    )

    # Whom to fetch
    top_n: int = setting(
        "TOP_N_WALLETS", 100, "How many wallets of the leaderboard to fetch each slot.", ge=1, le=50_000
    )
    top_window: Literal["day", "week", "month", "all_time"] = setting(
        "TOP_N_WINDOW", "month", "Leaderboard window the wallets are picked by: day, week, month or all_time."
    )
    top_measure: Literal["pnl", "roi", "volume", "account_value"] = setting(
        "TOP_N_MEASURE",
        "pnl",
        "Leaderboard measure the wallets are picked by: pnl, roi, volume or account_value.",
    )

    fetch_plan: Literal["top", "board"] = setting(
        "FETCH_PLAN",
        "top",
        "What a slot fetches: top: the TOP_N_WALLETS; board: these, and with what is left of the slot's request weight the "
        "wallets of the whole board in which a fetch saves most staleness.",
    )
    fetch_max_age_hours: float = setting(
        "FETCH_MAX_AGE_HOURS",
        72.0,
        "With FETCH_PLAN=board, a wallet that shows no move on the board is fetched again after this long.",
        gt=0,
    )
    track_days: float = setting(
        "TRACK_DAYS",
        30.0,
        "How long a wallet stays tracked after it was in the top: with FETCH_PLAN=board it is fetched hourly, on the board or "
        "not, until it is dormant or wiped out.",
        gt=0,
    )
    fetch_reserve_seconds: float = setting(
        "FETCH_RESERVE_SECONDS",
        # The tenth window of a slot must begin before it; deriving 600 wallets takes some 10 s on two processors.
        25.0,
        "With FETCH_PLAN=board, the time at a slot's end that is planned without fetches, for what is derived from them.",
        ge=0,
        lt=600,
    )
    max_data_age_hours: float | None = setting(
        "MAX_DATA_AGE_HOURS",
        None,
        "A slot's metrics, grades and scores cover every wallet whose newest answer is at most this old; unset: only the "
        "wallets that the slot itself fetched. Set it with FETCH_PLAN=board.",
        gt=0,
    )

    # Definitions
    funding_floor_usd: float = setting(
        "FUNDING_FLOOR_USD",
        10.0,
        "Account value (USD) below which a curve has not begun and a step has no base.",
        gt=0,
    )

    # Scoring
    score_weights: str | None = setting(
        "SCORE_WEIGHTS",
        None,
        "Weights of the six metrics in weighted scores, e.g. max_drawdown=2,roi=0.5; a metric that is not named weighs 1.",
    )
    eligible_min_points: int = setting(
        "ELIGIBLE_MIN_POINTS", 10, "Points of a curve below which a wallet is not ranked.", ge=2
    )
    eligible_min_span_days: float = setting(
        "ELIGIBLE_MIN_SPAN_DAYS", 7.0, "Days of a curve below which a wallet is not ranked.", ge=0
    )
    eligible_min_metrics: int = setting(
        "ELIGIBLE_MIN_METRICS",
        4,
        "How many of the six scored metrics a wallet must have to be ranked.",
        ge=1,
        le=6,
    )
    trend_days: float = setting(
        "TREND_DAYS", 7.0, "Days of stored scores that trend and rank change look back on.", ge=3, le=60
    )
    flow_dominated_share: float = setting(
        "FLOW_DOMINATED_SHARE",
        0.2,
        "Share of steps whose deposit or withdrawal is at least half of the capital, from which a wallet is flagged "
        "flow_dominated.",
        gt=0,
        le=1,
    )
    one_big_win_share: float = setting(
        "ONE_BIG_WIN_SHARE",
        0.5,
        "Share of a wallet's total gain that its best day earned, from which it is flagged one_big_win.",
        gt=0,
    )
    entity_filter: str = setting(
        "ENTITY_FILTER",
        "vault,system_address,zero_volume",
        "Entity flags whose wallets are left out where traders are listed and nothing else is asked for: any of vault, "
        "system_address, zero_volume, flow_dominated, one_big_win; `none` leaves nobody out.",
    )

    # Grading
    grader: Literal["auto", "claude", "rules"] = setting(
        "GRADER",
        "auto",
        "Who grades: claude, rules, or auto: Claude when ANTHROPIC_API_KEY is set and the traders are not the sandbox's "
        "invented ones, else the rules.",
    )
    anthropic_api_key: SecretStr | None = setting(
        "ANTHROPIC_API_KEY", None, "Key of the Messages API; unset: the rules grade, no key is needed."
    )
    anthropic_base_url: str | None = setting(
        "ANTHROPIC_BASE_URL", None, "Messages API to ask instead of Anthropic's own.", pattern=r"^https?://"
    )
    grader_model: str = setting("GRADER_MODEL", "claude-haiku-5-5", "Model that grades.", min_length=1)
    grader_effort: Literal["low", "medium", "high"] = setting(
        "GRADER_EFFORT", "low", "Effort the model is asked for: low, medium or high."
    )
    grader_price: str | None = setting(
        "GRADER_PRICE",
        None,
        "Price of a model that is not in the price table: USD per million tokens as INPUT,OUTPUT,CACHE_READ,CACHE_WRITE.",
        pattern=r"^\d+(\.\d+)?(,\d+(\.\d+)?){3}$",
    )
    grader_max_tokens: int = setting(
        "GRADER_MAX_TOKENS",
        2000,
        "Longest answer, in tokens; one that is cut is asked for once more with twice as many.",
        ge=200,
        le=10_000,
    )
    grader_concurrency: int = setting(
        "GRADER_CONCURRENCY", 8, "Requests to the model in flight at once.", ge=1, le=64
    )
    grader_timeout_seconds: float = setting(
        "GRADER_TIMEOUT_SECONDS", 30.0, "Timeout of one request to the model.", gt=0
    )
    grader_deadline_seconds: float = setting(
        "GRADER_DEADLINE_SECONDS",
        240.0,
        "Wallets not asked about this long after grading of a slot began get the rules' grade.",
        gt=0,
    )
    grader_budget_run_usd: float = setting(
        "GRADER_BUDGET_RUN_USD",
        0.5,
        "Most that one run may spend on grades; then the rules grade. 200 wallets cost 0.08 USD once with the default model.",
        ge=0,
    )
    grader_budget_day_usd: float = setting(
        "GRADER_BUDGET_DAY_USD", 5.0, "Most that a UTC day may cost, all runs together.", ge=0
    )
    grader_batch_poll_seconds: float = setting(
        "GRADER_BATCH_POLL_SECONDS", 60.0, "Pause between two looks at a batch of a backfill.", gt=0
    )
    regrade_after_days: float = setting(
        "REGRADE_AFTER_DAYS",
        7.0,
        "Age at which a grade is asked for again although its input has not changed.",
        gt=0,
    )
    max_failed_grades: Share = setting(
        "MAX_FAILED_GRADES",
        0.1,
        "Share of the model's answers without a valid grade above which a check warns.",
    )

    # Judging a slot
    min_coverage: Share = setting(
        "MIN_COVERAGE",
        0.9,
        "Share of wanted wallets fetched, and of fetched wallets scored, below which a check warns.",
    )
    max_row_count_drift: Share = setting(
        "MAX_ROW_COUNT_DRIFT",
        0.2,
        "Relative change of a table's rows against its previous slot above which a check warns.",
    )
    freshness_warn_minutes: int = setting(
        "FRESHNESS_WARN_MINUTES", 20, "Age of the newest slot at which a check warns.", ge=1
    )
    freshness_fail_minutes: int = setting(
        "FRESHNESS_FAIL_MINUTES", 30, "Age of the newest slot at which a check fails.", ge=1
    )

    # The warehouse
    clickhouse_url: SecretStr | None = setting(
        "CLICKHOUSE_URL",
        None,
        "ClickHouse server, e.g. https://user:password@host:8443/database. Unset: the embedded ClickHouse under "
        "HL_ASSETS_HOME.",
    )
    clickhouse_password: SecretStr | None = setting(
        "CLICKHOUSE_PASSWORD",
        None,
        "Password for CLICKHOUSE_URL, if the URL holds none; needs no percent-encoding.",
    )
    clickhouse_database: str | None = setting(
        "CLICKHOUSE_DATABASE",
        None,
        "Database; unset: the URL's, else hl_assets for live and hl_assets_<source> otherwise.",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
    )
    clickhouse_cluster: str | None = setting(
        "CLICKHOUSE_CLUSTER",
        None,
        "Cluster of CLICKHOUSE_URL's server, as its remote_servers names it: tables are replicated, and those of wallets spread "
        "over its shards. Unset: one server. For a new database only.",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
    )
    embedded_idle_seconds: int = setting(
        "EMBEDDED_IDLE_SECONDS",
        900,
        "The embedded ClickHouse stops after this long without a request; 0: never.",
        ge=0,
    )
    clickhouse_migrator_password: SecretStr | None = setting(
        "CLICKHOUSE_MIGRATOR_PASSWORD",
        None,
        "Password that `hl-assets access` gives hl_assets_migrator, who may make and change tables; unset: it makes no such user.",
        min_length=16,
    )
    clickhouse_writer_password: SecretStr | None = setting(
        "CLICKHOUSE_WRITER_PASSWORD",
        None,
        "Password that `hl-assets access` gives hl_assets_writer, who may take ticks; unset: it makes no such user. Whoever is to "
        "connect as that user has it in CLICKHOUSE_URL or CLICKHOUSE_PASSWORD.",
        min_length=16,
    )
    clickhouse_reader_password: SecretStr | None = setting(
        "CLICKHOUSE_READER_PASSWORD",
        None,
        "Password that `hl-assets access` gives hl_assets_reader, who may read, for people; unset: it makes no such user.",
        min_length=16,
    )
    clickhouse_api_password: SecretStr | None = setting(
        "CLICKHOUSE_API_PASSWORD",
        None,
        "Password of hl_assets_api, who may read what the REST API serves: `hl-assets access` makes that user, and the API reads as "
        "it, at the server of CLICKHOUSE_URL. Unset: the API reads as the user of CLICKHOUSE_URL.",
        min_length=16,
    )

    # Dagster's own storage
    dagster_postgres_url: SecretStr | None = setting(
        "DAGSTER_POSTGRES_URL",
        None,
        "PostgreSQL database of Dagster's runs, events and schedules, e.g. postgresql://user:password@host:5432/dagster; needs "
        "`pip install hl_assets[postgres]`. Unset: SQLite in DAGSTER_HOME, enough for one machine and few runs at once.",
    )
    dagster_postgres_password: SecretStr | None = setting(
        "DAGSTER_POSTGRES_PASSWORD",
        None,
        "Password for DAGSTER_POSTGRES_URL, if the URL holds none; needs no percent-encoding.",
    )

    # Retention
    retention: str | None = setting(
        "RETENTION",
        None,
        "Tables that forget: TABLE=DAYS, or TABLE=DAYS:daily to keep each older day's last slot, separated by commas, e.g. "
        "equity_curves=7,wallet_metrics=90:daily. What something published refers to stays. Unset: nothing is removed.",
    )
    dagster_run_retention_days: int = setting(
        "DAGSTER_RUN_RETENTION_DAYS",
        30,
        "Days after which Dagster's finished runs are deleted, except those that hold the newest materialisation or check of a "
        "partition; 0: never.",
        ge=0,
    )

    # Observability, described in docs/observability.md
    log_format: LogFormat = setting(
        "LOG_FORMAT",
        "text",
        "How services and runs log: text for people, json for a log store (one object per line, on stderr).",
    )
    log_level: LogLevel = setting(
        "LOG_LEVEL",
        "info",
        "Least severe lines of the platform that services log: debug, info, warning or error; of libraries, never less than "
        "warning.",
    )
    api_metrics_seconds: float = setting(
        "API_METRICS_SECONDS",
        15.0,
        "For how long /metrics goes on with the platform's figures it has read, however often it is scraped; 0: it always reads.",
        ge=0,
        le=300,
    )

    # The REST API
    api_port: int = setting(
        "API_PORT", 8080, "Port of the REST API that `hl-assets serve` and `dev` start.", ge=1, le=65535
    )
    api_write_key: SecretStr | None = setting(
        "API_WRITE_KEY",
        None,
        "Key with which a tick may be requested through the API (`save_to_db=true`, header X-API-Key); unset or empty: nobody may.",
        min_length=16,
    )
    api_cors_origins: str = setting(
        "API_CORS_ORIGINS",
        "",
        "Origins whose web pages may read the API, separated by commas, e.g. https://board.example; empty: none.",
        pattern=r"^(https?://[^/,\s*]+(\s*,\s*https?://[^/,\s*]+)*)?$",
    )
    api_rate_per_minute: int = setting(
        "API_RATE_PER_MINUTE",
        600,
        "Requests a client may make per minute in the long run; 0: no limit.",
        ge=0,
    )
    api_rate_burst: int = setting(
        "API_RATE_BURST", 120, "Requests a client that was quiet may make at once.", ge=1
    )
    api_trusted_proxies: str = setting(
        "API_TRUSTED_PROXIES",
        "",
        "Addresses or networks of proxies in front of the API, separated by commas; only their X-Forwarded-For is believed.",
    )
    api_threads: int = setting("API_THREADS", 8, "Queries of the API running at once.", ge=1, le=64)
    api_cache_mb: int = setting(
        "API_CACHE_MB", 64, "Memory for finished answers of the API; 0 keeps none.", ge=0, le=4096
    )
    api_snapshot_seconds: float = setting(
        "API_SNAPSHOT_SECONDS",
        1.0,
        "How long the API goes on with the snapshot it knows before it looks for a newer one; 0: it always looks.",
        ge=0,
        le=60,
    )
    api_query_timeout_seconds: float = setting(
        "API_QUERY_TIMEOUT_SECONDS", 20.0, "Longest query of the API.", ge=1
    )
    api_refuse_stale: bool = setting(
        "API_REFUSE_STALE",
        False,
        "Whether the API answers 503 instead of data older than FRESHNESS_FAIL_MINUTES when asked about the present; "
        "otherwise it serves them marked `stale`.",
    )

    # Alerts, described in docs/alerts.md
    alert_webhook_url: SecretStr | None = setting(
        "ALERT_WEBHOOK_URL",
        None,
        "Where alerts are posted (https; http for this machine); unset: nobody is told. `hl-assets alerts test` tries it.",
    )
    alert_webhook_secret: SecretStr | None = setting(
        "ALERT_WEBHOOK_SECRET",
        None,
        "Key that signs alerts (Standard Webhooks): `whsec_` and 24 to 64 random bytes in base64; several, separated by "
        "spaces, while receivers change keys. Needed with ALERT_WEBHOOK_URL.",
    )
    alert_allow_http: bool = setting(
        "ALERT_ALLOW_HTTP",
        False,
        "Whether ALERT_WEBHOOK_URL may be plain http to another machine: alerts travel in clear text then.",
    )
    alert_timeout_seconds: float = setting(
        "ALERT_TIMEOUT_SECONDS", 5.0, "Timeout of one request to the webhook.", gt=0, le=15
    )
    alert_kinds: str = setting(
        "ALERT_KINDS",
        DEFAULT_KINDS,
        "Which alerts are wanted, separated by commas; the last five are about watched wallets.",
    )
    alert_repeat_hours: float = setting(
        "ALERT_REPEAT_HOURS",
        6.0,
        "After how long an alert that lasts is told again, and an event of the same wallet and kind at the earliest.",
        gt=0,
    )
    alert_after_failures: str = setting(
        "ALERT_AFTER_FAILURES",
        "tick=2,*=3",
        "After how many failed runs in a row a job is worth an alert: JOB=N, separated by commas; * is every other job.",
    )
    alert_missing_slots: int = setting(
        "ALERT_MISSING_SLOTS", 3, "Slots without scores within ALERT_MISSING_HOURS that are too many.", ge=1
    )
    alert_missing_hours: float = setting(
        "ALERT_MISSING_HOURS", 6.0, "How far back missing slots count.", gt=0, le=168
    )
    alert_rank_jump: int = setting(
        "ALERT_RANK_JUMP", 20, "Places by which a watched wallet's rank changes between slots.", ge=1
    )
    alert_score_jump: float = setting(
        "ALERT_SCORE_JUMP",
        10.0,
        "Points (of 20 to 100) by which a watched wallet's weighted score changes between slots.",
        gt=0,
    )
    alert_trust_jump: float = setting(
        "ALERT_TRUST_JUMP",
        15.0,
        "Percentage points (of 0 to 100) by which a watched wallet's trust changes between slots.",
        gt=0,
    )

    # The sandbox
    sandbox_port: int = setting(
        "SANDBOX_PORT", 8455, "Port of the sandbox that `hl-assets dev` starts.", ge=1, le=65535
    )
    sandbox_wallets: int = setting(
        "SANDBOX_WALLETS", 2_000, "Wallets of the simulated population.", ge=100, le=50_000
    )
    sandbox_seed: int = setting("SANDBOX_SEED", 7, "Seed of the simulated population.", ge=0)
    sandbox_weight_per_minute: int = setting(
        "SANDBOX_WEIGHT_PER_MINUTE",
        120_000,
        "Weight per minute that the sandbox enforces and the client keeps when one command starts both. "
        "The exchange's own 1,200 makes 100 wallets take a minute.",
        ge=20,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, `.env`; after each of the latter two the files that it names."""
        del file_secret_settings  # pydantic's own needs every secret in one folder, under its setting's name
        sources = [init_settings]
        for variables in (env_settings, dotenv_settings):
            if not isinstance(variables, EnvSettingsSource | DotEnvSettingsSource):
                raise TypeError(f"not a source of variables: {variables!r}")
            sources += [variables, _SecretFiles(settings_cls, variables)]
        return tuple(sources)

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment and `.env`; `values`, by field name, win over both.

        Fields are populated by their environment variable only: by field name too, `home` would be read from HOME.

        Raises:
            pydantic.ValidationError: A value is not allowed; the error names the environment variable.
            SecretFileError: A file of a secret cannot be read, or the secret is given twice.
        """
        return cls(**{environment_name(cls.model_fields[name]): value for name, value in values.items()})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.clock is not None and self.clock.tzinfo is None:
            raise ValueError(
                f"HL_ASSETS_CLOCK={self.clock.isoformat()} has no time zone; write e.g. 2026-05-31T00:00:00Z"
            )
        if self.clock is not None and self.source == "live":
            raise ValueError(
                "HL_ASSETS_CLOCK is set, but the live exchange cannot be asked about another moment; unset it"
            )
        if self.grader == "claude" and self.anthropic_api_key is None:
            raise ValueError("GRADER=claude needs ANTHROPIC_API_KEY; set it, or GRADER=auto or rules")
        if self.clickhouse_database and self._url_database not in {"", self.clickhouse_database}:
            raise ValueError(
                "CLICKHOUSE_DATABASE and the database in CLICKHOUSE_URL differ; keep one of them"
            )
        _ = (
            self.clickhouse_address,
            self.api_clickhouse_address,
            self.dagster_postgres_address,
        )  # refuse what cannot be put together
        for name, parse, text in (
            ("SCORE_WEIGHTS", parse_weights, self.score_weights or ""),
            ("ENTITY_FILTER", parse_entity_filter, self.entity_filter),
            ("ALERT_KINDS", parse_kinds, self.alert_kinds),
            ("ALERT_AFTER_FAILURES", parse_after_failures, self.alert_after_failures),
        ):
            try:
                parse(text)
            except ValueError as error:
                raise ValueError(f"{name}={text}: {error}") from error
        _check_networks(self.api_trusted_proxies)
        try:
            _ = self.retention_rules
        except ValueError as error:
            raise ValueError(f"RETENTION={self.retention}: {error}") from error
        try:
            _ = self.egresses
        except ValueError as error:
            raise ValueError(f"EGRESS_PROXIES: {error}") from None
        _check_webhook(self.alert_webhook_url, self.alert_webhook_secret, allow_http=self.alert_allow_http)
        if self.freshness_fail_minutes < self.freshness_warn_minutes:
            raise ValueError("FRESHNESS_FAIL_MINUTES must not be below FRESHNESS_WARN_MINUTES")
        return self

    @property
    def retention_rules(self) -> "Mapping[str, RetentionRule]":
        """The rules of RETENTION by table; none if it is unset."""
        if not self.retention:
            return {}
        from hl_assets.maintenance.rules import parse_retention  # noqa: PLC0415 - loads every contract

        fetches = max(self.track_days, _PLAN_DAYS, (self.max_data_age_hours or 0.0) / 24)
        boards = max(self.track_days, _PLAN_DAYS, self.fetch_max_age_hours / 24)
        return parse_retention(
            self.retention,
            {
                "wallet_scores": self.trend_days,
                "portfolio_fetches": fetches,
                "leaderboard_snapshots": boards,
                "leaderboard_rows": boards,
            },
        )

    @property
    def egresses(self) -> tuple[Egress, ...]:
        """The egress addresses of EGRESS_PROXIES; none if it is unset."""
        if self.egress_proxies is None:
            return ()
        return parse_proxies(self.egress_proxies.get_secret_value(), self.source)

    @property
    def clickhouse_address(self) -> str | None:
        """CLICKHOUSE_URL with its password; None = the embedded ClickHouse."""
        return _with_password(
            "CLICKHOUSE_URL", self.clickhouse_url, "CLICKHOUSE_PASSWORD", self.clickhouse_password
        )

    @property
    def api_clickhouse_address(self) -> str | None:
        """The address at which the REST API reads: CLICKHOUSE_URL, as the API's own user if it has a password."""
        if self.clickhouse_api_password is None:
            return self.clickhouse_address
        if self.clickhouse_url is None:
            raise ValueError(
                "CLICKHOUSE_API_PASSWORD is set, but CLICKHOUSE_URL is not: the embedded ClickHouse has no users; unset the one or "
                "set the other"
            )
        parts = urlsplit(self.clickhouse_url.get_secret_value())
        password = quote(self.clickhouse_api_password.get_secret_value(), safe="")
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{API_USER}:{password}@{host}"))

    @property
    def dagster_postgres_address(self) -> str | None:
        """DAGSTER_POSTGRES_URL with its password; None = SQLite."""
        url = _with_password(
            "DAGSTER_POSTGRES_URL",
            self.dagster_postgres_url,
            "DAGSTER_POSTGRES_PASSWORD",
            self.dagster_postgres_password,
        )
        if url is not None and urlsplit(url).scheme != "postgresql":
            raise ValueError("DAGSTER_POSTGRES_URL must begin with postgresql://")
        return url

    @property
    def database(self) -> str:
        """Database of the configured source; a database that CLICKHOUSE_URL names goes before it."""
        if self.clickhouse_database:
            return self.clickhouse_database
        return "hl_assets" if self.source == "live" else f"hl_assets_{self.source}"

    @property
    def _url_database(self) -> str:
        url = self.clickhouse_url.get_secret_value() if self.clickhouse_url else ""
        return url.partition("://")[2].partition("?")[0].partition("/")[2].strip("/")

    @property
    def origin(self) -> str:
        """The `origin` of rows taken from the configured source."""
        return SOURCE_ORIGINS[self.source]

    def now(self) -> datetime:
        """The present moment, UTC: the frozen clock where one is set."""
        return self.clock.astimezone(UTC) if self.clock is not None else datetime.now(UTC)


def _with_password(
    url_name: str, url: SecretStr | None, password_name: str, password: SecretStr | None
) -> str | None:
    """A URL with the password that was given beside it."""
    text = url.get_secret_value() if url is not None else None
    if text is None or password is None:
        return text
    parts = urlsplit(text)
    user, _, host = parts.netloc.rpartition("@")
    if not user:
        raise ValueError(
            f"{password_name} is set, but {url_name} names no user; write e.g. {parts.scheme}://user@host"
        )
    if ":" in user:
        raise ValueError(f"{password_name} is set, and {url_name} holds a password, too; keep one of them")
    netloc = f"{user}:{quote(password.get_secret_value(), safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=netloc))


def secret_texts(settings: Settings) -> frozenset[str]:
    """Every text that must be in no log: the secrets, their parts where one setting lists several, passwords of their URLs."""
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            whole = value.get_secret_value()
            parts = [part for part in re.split(r"[\s,]+", whole) if part]
            passwords = [parsed for part in parts if (parsed := _password_in(part)) is not None]
            found |= {whole, *parts, *passwords, *map(unquote, passwords)}
    return frozenset(found)


def _password_in(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:  # not a URL
        return None


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is a secret, so that it may be given as a file."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _check_networks(text: str) -> None:
    for name in filter(None, (part.strip() for part in text.split(","))):
        try:
            ip_network(name)
        except ValueError as error:
            raise ValueError(f"API_TRUSTED_PROXIES: {error}; write e.g. 10.0.0.1,192.168.0.0/16") from error


def _check_webhook(url: SecretStr | None, secret: SecretStr | None, *, allow_http: bool) -> None:
    """Refuse a webhook that could not be used; errors quote neither URL nor secret."""
    name = "ALERT_WEBHOOK_URL"
    try:
        if url is not None:
            check_webhook_url(url.get_secret_value(), allow_http=allow_http)
        name = "ALERT_WEBHOOK_SECRET"
        if url is not None or secret is not None:
            parse_secrets(secret.get_secret_value() if secret is not None else "")
    except AlertConfigError as error:
        raise ValueError(f"{name}: {error}") from None


def env_example() -> str:
    """The text of `.env.example`: every setting with its meaning and default, commented out."""
    head = "# Every setting of hl_assets with its default. Copy to .env and uncomment what you change.\n"
    return head + "\n".join(_env_lines())


def _env_lines() -> Iterator[str]:
    for field in Settings.model_fields.values():
        name = environment_name(field)
        as_file = f" (Or {name}{FILE_SUFFIX}: a file that holds it.)" if is_secret(field) else ""
        yield f"\n# {field.description}{as_file}\n#{name}={_default_text(field)}"
    yield ""


def environment_name(field: FieldInfo) -> str:
    """Environment variable of a settings field."""
    alias = field.validation_alias
    if not isinstance(alias, AliasChoices):
        raise TypeError(f"setting without an environment variable: {field!r}")
    return str(alias.choices[0])


def environment_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Environment variables that give a child process these settings, by field name."""
    return {environment_name(Settings.model_fields[name]): _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _default_text(field: FieldInfo) -> str:
    return "" if field.default is None else str(field.default)


if __name__ == "__main__":
    Path(".env.example").write_text(env_example(), encoding="utf-8")
