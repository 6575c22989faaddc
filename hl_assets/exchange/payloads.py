"""The shapes of the exchange's payloads: bytes in, arrays out, or an error that names the path and the value.

Belongs here: decoding and the documented shapes. Does not belong here: pairing, sorting, dropping or stitching points
(package `equity`), judging values (the table contracts), HTTP.

Strict: a missing or mistyped field, a number where the exchange sends decimal strings, an unknown, missing or repeated
window, a repeated or malformed address and anything not finite is a `PayloadShapeError`, and nothing of the body is used.
Windows are read by name, so their order does not matter. Further keys in objects are additive and accepted.

msgspec decodes straight into typed structs. Measured on 47,500 rows (24 MB compact, two busy cores), shape check included:
msgspec 0.6 s and 80 MB, pydantic's `validate_json` of strict TypedDicts 1.0 s and 225 MB, orjson 0.6 s and 180 MB before any
check written by hand. The whole `parse_leaderboard` takes about 1 s and 100 MB (benchmarks/bench_payloads.py).

Sources: Hyperliquid documentation, info endpoint (`portfolio`); the leaderboard is undocumented, its shape is that of
recorded answers. Decimal strings are plain: no exponent, no sign but a minus (github.com/nktkas/hyperliquid types them so).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Never, TypeVar, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from hl_assets.exchange.addresses import ADDRESS_PATTERN, normalize_address
from hl_assets.exchange.errors import PayloadShapeError, UndecodableBodyError, excerpt

LeaderboardWindow = Literal["day", "week", "month", "allTime"]
PortfolioWindowName = Literal[
    "day", "week", "month", "allTime", "perpDay", "perpWeek", "perpMonth", "perpAllTime"
]
LEADERBOARD_WINDOWS: tuple[LeaderboardWindow, ...] = get_args(LeaderboardWindow)
PORTFOLIO_WINDOWS: tuple[PortfolioWindowName, ...] = get_args(PortfolioWindowName)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WindowPerformance:
    """One window of the leaderboard, aligned with `Leaderboard.wallets`.

    Attributes:
        pnl: PnL of the window, USD, float64[n].
        roi: The exchange's ROI, a fraction, float64[n].
        volume: Traded volume of the window, USD, float64[n].
    """

    pnl: FloatArray
    roi: FloatArray
    volume: FloatArray


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """The leaderboard, column by column, in the order sent.

    Attributes:
        wallets: Lower-case addresses, distinct, n of them.
        display_names: Names chosen by the accounts' owners or None: untrusted text. A lone surrogate, which no UTF-8 store
            can hold, has become U+FFFD; nothing else is changed.
        account_value: USD, float64[n].
        prize: float64[n].
        performance: The four windows by the exchange's names, `LEADERBOARD_WINDOWS`.
    """

    wallets: list[str]
    display_names: list[str | None]
    account_value: FloatArray
    prize: FloatArray
    performance: Mapping[LeaderboardWindow, WindowPerformance]

    def __len__(self) -> int:
        return len(self.wallets)


@dataclass(frozen=True, eq=False)
class VaultList:
    """The list of vaults, column by column, in the order sent.

    Attributes:
        wallets: Lower-case addresses of the vaults, distinct, n of them.
        names: Names chosen by their leaders: untrusted text, treated as `Leaderboard.display_names`.
        leaders: Lower-case addresses.
        tvl: Money in each, USD, float64[n].
        is_closed: Whether each is closed.
        relationships: `normal`, `parent` (its figures contain those of its children) or `child`.
        created_ms: Instants of creation, epoch milliseconds, int64[n].
    """

    wallets: list[str]
    names: list[str]
    leaders: list[str]
    tvl: FloatArray
    is_closed: list[bool]
    relationships: list[str]
    created_ms: IntArray

    def __len__(self) -> int:
        return len(self.wallets)


@dataclass(frozen=True, eq=False)
class PortfolioWindow:
    """One window of a portfolio exactly as sent; the two histories may differ in their instants.

    Attributes:
        name: The exchange's name, one of `PORTFOLIO_WINDOWS`.
        ts_ms: Instants of `account_value`, epoch milliseconds, int64[k].
        account_value: USD, float64[k].
        pnl_ts_ms: Instants of `pnl`, epoch milliseconds, int64[m].
        pnl: PnL since the window's own beginning, USD, float64[m].
        volume: Traded volume of the window, USD.
    """

    name: PortfolioWindowName
    ts_ms: IntArray
    account_value: FloatArray
    pnl_ts_ms: IntArray
    pnl: FloatArray
    volume: float


@dataclass(frozen=True, eq=False)
class Portfolio:
    """A wallet's portfolio: all eight windows, or none.

    The exchange answers an empty result for addresses without a portfolio of their own (agents, also called API wallets).
    That is an answer, not a failure: `windows` is empty and `is_empty` true.

    Attributes:
        wallet: Lower-case address.
        windows: By the exchange's names, in the order of `PORTFOLIO_WINDOWS`.
    """

    wallet: str
    windows: Mapping[PortfolioWindowName, PortfolioWindow]

    @property
    def is_empty(self) -> bool:
        """Whether the exchange said that there is no portfolio at this address."""
        return not self.windows


# --- shapes as sent ---

_Decimal = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?\Z")]
_Address = Annotated[str, msgspec.Meta(pattern=ADDRESS_PATTERN)]
# 2001 to 2286: a change of unit to seconds or microseconds is a changed shape.
_Millisecond = Annotated[int, msgspec.Meta(ge=10**12, lt=10**13)]
_History = list[tuple[_Millisecond, _Decimal]]


class _Performance(msgspec.Struct, gc=False):
    pnl: _Decimal
    roi: _Decimal
    vlm: _Decimal


class _Row(msgspec.Struct, gc=False, rename="camel"):
    eth_address: _Address
    account_value: _Decimal
    window_performances: Annotated[
        list[tuple[LeaderboardWindow, _Performance]], msgspec.Meta(min_length=4, max_length=4)
    ]
    prize: float
    display_name: str | None


class _Board(msgspec.Struct, gc=False, rename="camel"):
    leaderboard_rows: list[_Row]


class _Relationship(msgspec.Struct, gc=False):
    type: Literal["normal", "parent", "child"]


class _VaultSummary(msgspec.Struct, gc=False, rename="camel"):
    name: str
    vault_address: _Address
    leader: _Address
    tvl: _Decimal
    is_closed: bool
    relationship: _Relationship
    create_time_millis: _Millisecond


class _Vault(msgspec.Struct, gc=False):
    summary: _VaultSummary


class _Window(msgspec.Struct, gc=False, rename="camel"):
    account_value_history: _History
    pnl_history: _History
    vlm: _Decimal


_BOARD = msgspec.json.Decoder(_Board)
_VAULTS = msgspec.json.Decoder(list[_Vault])
_PORTFOLIO = msgspec.json.Decoder(list[tuple[PortfolioWindowName, _Window]] | None)


# --- parsing ---


def parse_leaderboard(body: bytes) -> Leaderboard:
    """Parses the leaderboard file.

    Raises:
        UndecodableBodyError: The body is no JSON document.
        PayloadShapeError: The shape is not the documented one; names path and value.
    """
    source = _Source(body, endpoint="leaderboard", wallet=None)
    rows = _decode(source, _BOARD).leaderboard_rows
    wallets = [row.eth_address.lower() for row in rows]
    _reject_repeated(source, wallets, lambda i: f"$.leaderboardRows[{i}].ethAddress")
    windows = [_by_name(source, i, row) for i, row in enumerate(rows)]

    def column(name: LeaderboardWindow, field: str) -> FloatArray:
        def path_of(i: int) -> str:
            position = [sent for sent, _ in rows[i].window_performances].index(name)
            return f"$.leaderboardRows[{i}].windowPerformances[{position}][1].{field}"

        return _floats(source, [getattr(by_name[name], field) for by_name in windows], path_of)

    return Leaderboard(
        wallets=wallets,
        display_names=[_storable(row.display_name) for row in rows],
        account_value=_floats(
            source, [row.account_value for row in rows], lambda i: f"$.leaderboardRows[{i}].accountValue"
        ),
        prize=_frozen(np.array([row.prize for row in rows], dtype=np.float64)),
        performance={
            name: WindowPerformance(
                pnl=column(name, "pnl"), roi=column(name, "roi"), volume=column(name, "vlm")
            )
            for name in LEADERBOARD_WINDOWS
        },
    )


def parse_vaults(body: bytes) -> VaultList:
    """Parses the list of vaults; the sparklines beside each entry are not read.

    Raises:
        UndecodableBodyError: The body is no JSON document.
        PayloadShapeError: The shape is not the recorded one; names path and value.
    """
    source = _Source(body, endpoint="vaults", wallet=None)
    summaries = [vault.summary for vault in _decode(source, _VAULTS)]
    wallets = [summary.vault_address.lower() for summary in summaries]
    _reject_repeated(source, wallets, lambda i: f"$[{i}].summary.vaultAddress")
    return VaultList(
        wallets=wallets,
        names=[_text(summary.name) for summary in summaries],
        leaders=[summary.leader.lower() for summary in summaries],
        tvl=_floats(source, [summary.tvl for summary in summaries], lambda i: f"$[{i}].summary.tvl"),
        is_closed=[summary.is_closed for summary in summaries],
        relationships=[summary.relationship.type for summary in summaries],
        created_ms=_frozen(np.array([summary.create_time_millis for summary in summaries], dtype=np.int64)),
    )


def parse_portfolio(body: bytes, wallet: str) -> Portfolio:
    """Parses the answer to one `portfolio` request.

    Args:
        body: The response.
        wallet: Address asked about; the answer does not repeat it.

    Raises:
        InvalidAddressError: `wallet` is no address.
        UndecodableBodyError: The body is no JSON document.
        PayloadShapeError: The shape is not the documented one; names wallet, path and value.
    """
    source = _Source(body, endpoint="portfolio", wallet=normalize_address(wallet))
    pairs = _decode(source, _PORTFOLIO)
    address = normalize_address(wallet)
    if not pairs:
        return Portfolio(address, {})
    sent = {name: (i, window) for i, (name, window) in enumerate(pairs)}
    if len(pairs) != len(PORTFOLIO_WINDOWS) or len(sent) != len(PORTFOLIO_WINDOWS):
        source.fail(
            "$", _names([name for name, _ in pairs]), f"each of {_names(PORTFOLIO_WINDOWS)} is expected once"
        )
    return Portfolio(address, {name: _window(source, name, *sent[name]) for name in PORTFOLIO_WINDOWS})


def _window(source: "_Source", name: PortfolioWindowName, position: int, sent: _Window) -> PortfolioWindow:
    path = f"$[{position}][1]"

    def values(field: str, history: _History) -> FloatArray:
        return _floats(source, [text for _, text in history], lambda i: f"{path}.{field}[{i}][1]")

    return PortfolioWindow(
        name=name,
        ts_ms=_instants(sent.account_value_history),
        account_value=values("accountValueHistory", sent.account_value_history),
        pnl_ts_ms=_instants(sent.pnl_history),
        pnl=values("pnlHistory", sent.pnl_history),
        volume=float(_floats(source, [sent.vlm], lambda _: f"{path}.vlm")[0]),
    )


def _by_name(source: "_Source", row_index: int, row: _Row) -> dict[LeaderboardWindow, _Performance]:
    by_name = dict(row.window_performances)
    if len(by_name) != len(LEADERBOARD_WINDOWS):  # four entries of four allowed names: one is repeated
        source.fail(
            f"$.leaderboardRows[{row_index}].windowPerformances",
            _names([name for name, _ in row.window_performances]),
            f"each of {_names(LEADERBOARD_WINDOWS)} is expected once",
        )
    return by_name


def _reject_repeated(source: "_Source", wallets: Sequence[str], path_of: Callable[[int], str]) -> None:
    if len(set(wallets)) == len(wallets):
        return
    first: dict[str, int] = {}
    for i, wallet in enumerate(wallets):
        if wallet in first:
            source.fail(
                path_of(i),
                repr(wallet),
                f"an address not yet in row {first[wallet]} is expected",
            )
        first[wallet] = i


def _floats(source: "_Source", texts: list[str], path_of: Callable[[int], str]) -> FloatArray:
    """Converts decimal strings; one too large for a float is a fault, because infinity is no amount."""
    values = np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
    finite = np.isfinite(values)
    if not finite.all():
        worst = int(np.argmin(finite))
        source.fail(
            path_of(worst), excerpt(texts[worst]), "a decimal string within a float's range is expected"
        )
    return _frozen(values)


def _instants(history: _History) -> IntArray:
    return _frozen(np.array([ts for ts, _ in history], dtype=np.int64))


_Array = TypeVar("_Array", bound=NDArray[Any])


def _frozen(values: _Array) -> _Array:
    values.setflags(write=False)
    return values


def _storable(name: str | None) -> str | None:
    """The name, if there is one, as `_text`."""
    return None if name is None else _text(name)


def _text(name: str) -> str:
    """The name with lone surrogates replaced by U+FFFD, everything else as it is."""
    if name.isascii():
        return name
    return name.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _names(names: Iterable[str]) -> str:
    return "[" + ", ".join(names) + "]"


# --- decoding and finding faults ---

_Shape = TypeVar("_Shape")
_FAULT = re.compile(r"^(?P<expectation>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>[^`]+)`")
_STEP = re.compile(r"\.(?P<key>[A-Za-z]+)|\[(?P<index>[0-9]+)\]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class _Source:
    """A body and whose it is, for error messages."""

    body: bytes
    endpoint: str
    wallet: str | None

    def fail(self, path: str, value: str, expectation: str) -> Never:
        raise PayloadShapeError(path, value, expectation, endpoint=self.endpoint, wallet=self.wallet)

    def undecodable(self) -> UndecodableBodyError:
        start = excerpt(self.body, 60)
        return UndecodableBodyError(
            f"{len(self.body)} bytes starting {start}", endpoint=self.endpoint, wallet=self.wallet
        )


def _decode(source: _Source, decoder: "msgspec.json.Decoder[_Shape]") -> _Shape:
    try:
        return decoder.decode(source.body)
    except msgspec.ValidationError as fault:
        _fail_at(source, str(fault), _document(source))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _document(source)
    try:
        return msgspec.convert(document, decoder.type)
    except msgspec.ValidationError as fault:
        _fail_at(source, str(fault), document)


def _document(source: _Source) -> Any:
    """The body as plain Python objects.

    The one legal document that fast decoders refuse is one with a lone surrogate escape, which a hostile display name can
    contain; the standard library reads it.

    Raises:
        UndecodableBodyError: The body is no JSON document.
    """
    try:
        return msgspec.json.decode(source.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if _SURROGATE_ESCAPE.search(source.body) is None:
            raise source.undecodable() from error
    try:
        return json.loads(source.body.decode("utf-8"), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise source.undecodable() from error


def _reject_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")


def _fail_at(source: _Source, fault: str, document: Any) -> Never:
    """Turns msgspec's message (`Expected ... - at `$.path``) into an error with path and value."""
    match = _FAULT.match(fault)
    path = (match and match["path"]) or "$"
    expectation = match["expectation"] if match else fault
    missing = _MISSING.search(expectation)
    value = _walk(document, path)
    if missing:
        source.fail(f"{path}.{missing['field']}", f"nothing in {_describe(value)}", "a value is expected")
    if path.endswith((".displayName", ".name")):  # free text of users stays out of messages
        source.fail(path, f"a {type(value).__name__}", "a string or null is expected")
    if expectation.startswith("Invalid enum value"):
        expectation = "a documented window's name is expected"
    source.fail(path, _describe(value), expectation.partition(", got ")[0])


def _walk(document: Any, path: str) -> Any:
    for step in _STEP.finditer(path):
        document = document[step["key"]] if step["key"] else document[int(step["index"])]
    return document


def _describe(value: Any) -> str:
    """A leaf's cut repr, or what kind of container it is: containers can hold display names."""
    if isinstance(value, dict):
        return f"an object with keys {excerpt(sorted(value))}"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    return excerpt(value)
