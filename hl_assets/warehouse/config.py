"""Where the warehouse is: the parsed `CLICKHOUSE_URL` and everything else a connection needs to know.

Belongs here: `WarehouseConfig`, `Endpoint`, `parse_clickhouse_url`. Does not belong here: opening connections
(`connection`), reading the environment (`hl_assets.settings`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hl_assets.warehouse.errors import ClickHouseUrlError

DEFAULT_DATABASE = "hl_assets"
_DEFAULT_PORTS = {False: 8123, True: 8443}
_NATIVE_PORTS = {9000, 9440}
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
_OPTIONS = ("secure", "verify", "ca_cert", "server_host_name")
_SHAPE = "expected http[s]://[user[:password]@]host[:port][/database][?verify=true|false&ca_cert=FILE]"
_ENCODE = "characters such as # / ? @ : in a user name or password must be percent-encoded"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One ClickHouse server, as its HTTP interface is reached.

    Attributes:
        host: Name or address, without brackets.
        port: Port of the HTTP interface.
        secure: Whether to use TLS.
        username: User, `default` if none is named.
        password: Password, decoded; never part of a repr.
        database: Database named in the URL, None if none is.
        verify: Whether the server's certificate is verified.
        ca_cert: File of certificate authorities to trust instead of the system's.
        server_host_name: Name to expect in the certificate, if it is not `host`.
    """

    host: str
    port: int
    secure: bool = False
    username: str = "default"
    password: str = field(default="", repr=False)
    database: str | None = None
    verify: bool = True
    ca_cert: str | None = None
    server_host_name: str | None = None

    def __str__(self) -> str:
        """Address without credentials, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"

    @property
    def hint(self) -> str:
        """What to look at when the server does not answer."""
        if self.port in _NATIVE_PORTS:
            return f"port {self.port} is usually ClickHouse's native protocol; the HTTP interface is 8123 (TLS: 8443)"
        return "check that CLICKHOUSE_URL names a running server and that this machine may reach it"


@dataclass(frozen=True, kw_only=True)
class WarehouseConfig:
    """Everything a connection needs.

    Attributes:
        url: `CLICKHOUSE_URL`; None = the embedded ClickHouse under `home`. Never part of a repr: it may hold a password.
        database: Database; None = the one the URL names, else `hl_assets`.
        cluster: Cluster that the server belongs to, as its `remote_servers` names it; None: tables on that server alone.
        home: Data folder of the embedded ClickHouse; needed when `url` is None.
        idle_stop_seconds: An embedded server started by this process stops itself after so long without a request;
            0 = never.
        connect_timeout_seconds: How long to wait for a connection.
        query_timeout_seconds: How long one statement may take, on the server and for its answer.
        compress: Whether bodies are compressed (lz4); None = yes for a named server, no for the embedded one.
        attempts: How often a statement is tried when the failure is transient.
    """

    url: str | None = field(default=None, repr=False)
    database: str | None = None
    cluster: str | None = None
    home: Path | None = None
    idle_stop_seconds: float = 0
    connect_timeout_seconds: float = 10
    query_timeout_seconds: float = 300
    compress: bool | None = None
    attempts: int = 4

    def __post_init__(self) -> None:
        if self.url is None and self.home is None:
            raise ClickHouseUrlError(
                "neither a ClickHouse URL nor a folder for the embedded ClickHouse is configured; give one of them"
            )
        if self.cluster is not None and self.url is None:
            raise ClickHouseUrlError(
                f"CLICKHOUSE_CLUSTER={self.cluster} needs CLICKHOUSE_URL: the embedded ClickHouse is one server"
            )


def parse_clickhouse_url(url: str) -> Endpoint:
    """Understand a `CLICKHOUSE_URL`.

    `http://` and `https://` mean what they say; `clickhouse://` means http, or https with `?secure=true`. Ports default
    to 8123 and 8443. User, password and database may be percent-encoded.

    Raises:
        ClickHouseUrlError: The URL cannot be used; the message says why and never contains the password.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError as error:
        raise ClickHouseUrlError(f"CLICKHOUSE_URL is not a URL ({error}); {_SHAPE}") from None
    if parts.scheme not in {"http", "https", "clickhouse"}:
        said = f"scheme {parts.scheme!r}" if "://" in url else "no scheme"
        raise ClickHouseUrlError(f"CLICKHOUSE_URL has {said}; {_SHAPE}")
    if parts.fragment:
        raise ClickHouseUrlError(f"CLICKHOUSE_URL contains '#'; {_ENCODE}")
    options = _options(parts)
    secure = _flag(options, "secure", default=parts.scheme == "https")
    if parts.scheme != "clickhouse" and secure != (parts.scheme == "https"):
        raise ClickHouseUrlError(
            f"CLICKHOUSE_URL says {parts.scheme}:// and secure={options['secure']}; keep one of them"
        )
    return Endpoint(
        host=_host(parts),
        port=_port(parts) or _DEFAULT_PORTS[secure],
        secure=secure,
        username=unquote(parts.username or "") or "default",
        password=unquote(parts.password or ""),
        database=_database(parts),
        verify=_flag(options, "verify", default=True),
        ca_cert=options.get("ca_cert"),
        server_host_name=options.get("server_host_name"),
    )


def _host(parts: SplitResult) -> str:
    if not parts.hostname:
        raise ClickHouseUrlError(f"CLICKHOUSE_URL names no host; {_SHAPE}; {_ENCODE}")
    return parts.hostname


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:  # its message would quote what may be a piece of the password
        port = 0
    if port == 0:
        raise ClickHouseUrlError(f"the port in CLICKHOUSE_URL is not a number from 1 to 65535; {_ENCODE}")
    return port


def _database(parts: SplitResult) -> str | None:
    name = unquote(parts.path.strip("/"))
    if "/" in name:
        raise ClickHouseUrlError(
            f"CLICKHOUSE_URL has more than a database after the host: {parts.path!r}; {_ENCODE}"
        )
    return name or None


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise ClickHouseUrlError(
            f"CLICKHOUSE_URL has unknown options {unknown}; known: {', '.join(_OPTIONS)}"
        )
    return options


def _flag(options: dict[str, str], name: str, *, default: bool) -> bool:
    text = options.get(name)
    if text is None:
        return default
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ClickHouseUrlError(f"CLICKHOUSE_URL option {name}={text!r} is neither true nor false")
