"""The audit of a soak: is everything that was acknowledged stored, once, whole, and nothing else?

`python -m hl_assets_tests.soak.audit URL FOLDER` prints a verdict and exits with 1 on any violation.

It judges by two witnesses that are not the platform: the journal of what was done, and the log of what the exchange really sent. It
reads ClickHouse over HTTP, and it imports nothing of the platform nor of the soak, so it shares no mistake with them.
"""

import argparse
import json
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np

KEYS = {
    "leaderboard_snapshots": ("as_of",),
    "leaderboard_rows": ("as_of", "wallet"),
    "vaults": ("as_of", "wallet"),
    "portfolio_fetches": ("as_of", "wallet"),
    "portfolio_points": ("as_of", "wallet", "scope", "segment", "ts"),
    "watch_requests": ("as_of", "wallet", "requested_at"),
    "tracked_wallets": ("as_of", "wallet"),
    "equity_curves": ("as_of", "wallet", "scope", "ts"),
    "wallet_metrics": ("as_of", "wallet"),
    "ai_grades": ("as_of", "wallet"),
    "wallet_scores": ("as_of", "wallet"),
    "score_runs": ("as_of",),
}
"""Key of each view. Of views not named here the sorting key of the stored table is taken."""
DERIVED = ("tracked_wallets", "wallet_metrics", "ai_grades", "wallet_scores", "score_runs")
COMMITTED_TOGETHER = (("portfolio_fetches", "portfolio_points"), ("wallet_scores", "score_runs"))
GAVE_UP = {"timeout", "deadline", "transport", "truncated_body"}
"""Kinds of failure in which the exchange may have sent an answer that never arrived."""
FUNDING_FLOOR_USD = 10.0
SLOT_S = 600
_SAMPLES = 5
_WINDOWS = {
    "all": ("day", "week", "month", "allTime"),
    "perp": ("perpDay", "perpWeek", "perpMonth", "perpAllTime"),
}
_BOARD_WINDOWS = {"day": "day", "week": "week", "month": "month", "allTime": "all_time"}


class UnusableEvidenceError(Exception):
    """Journal or log cannot be read, or the soak did not come to its end."""


# --- the witnesses ---


def seconds_of(text: str) -> int:
    """Whole seconds since 1970 of an ISO instant."""
    return round(datetime.fromisoformat(text).timestamp())


def milliseconds_of(text: str) -> int:
    """Milliseconds since 1970 of an ISO instant."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def slot_name(slot_s: int) -> str:
    """A slot for people."""
    return datetime.fromtimestamp(slot_s, UTC).strftime("%Y-%m-%dT%H:%MZ")


@dataclass(frozen=True)
class Attempt:
    """One run of a slot's tick, as the journal tells it.

    Attributes:
        number: Its number.
        slot_s: The slot, seconds since 1970.
        now_ms: What the platform took for the present.
        exchange_ms: What the exchange took for the present.
        kind: schedule, by_hand, race, retry, repair, ...
        status: success, failed, skipped, killed, or None where the journal does not say.
        run_id: Dagster's.
    """

    number: int
    slot_s: int
    now_ms: int
    exchange_ms: int
    kind: str
    status: str | None
    run_id: str | None

    @property
    def ran(self) -> bool:
        """Whether anything may have been stored by it."""
        return self.status != "skipped"


class Journal:
    """What was done.

    Args:
        path: `journal.jsonl`.

    Raises:
        UnusableEvidenceError: It has no beginning or no end.
    """

    def __init__(self, path: Path) -> None:
        events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        of: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in events:
            of[event["event"]].append(event)
        if not of["start"] or not of["end"]:
            raise UnusableEvidenceError(f"{path} has no beginning or no end: the soak was cut short")
        (start,) = of["start"]
        outcomes = {event["id"]: event for event in of["outcome"]}
        self.database: str = start["database"]
        self.whole_slot: tuple[str, ...] = tuple(start["tables"])
        self.attempts = [_attempt(event, outcomes.get(event["id"], {})) for event in of["attempt"]]
        self.code_versions = {f"soak.{event['number']}" for event in of["generation"]}
        self.watches = sum(event["status"] == "success" for event in of["watch"])
        derived = {event["id"]: event["status"] for event in of["derived"]}
        self.days_asked = {event["day"] for event in of["derive"]}
        settled = {}
        for event in of["derive"]:
            settled[event["day"]] = derived.get(event["id"])
        self.unsettled_days = sorted(day for day, status in settled.items() if status != "success")
        self.by_now = {attempt.now_ms: attempt for attempt in self.attempts}
        self.present_of_run = {attempt.run_id: attempt.now_ms for attempt in self.attempts if attempt.run_id}
        runs = {event["id"]: event.get("run_id") for event in of["derived"]}
        self.present_of_run |= {
            runs[event["id"]]: milliseconds_of(event["now"])
            for event in of["derive"]
            if runs.get(event["id"])
        }

    @cached_property
    def slots_that_ran(self) -> set[int]:
        """Slots for which anything was run."""
        return {attempt.slot_s for attempt in self.attempts if attempt.ran}

    @cached_property
    def succeeded(self) -> set[int]:
        """Slots of which a run succeeded."""
        return {attempt.slot_s for attempt in self.attempts if attempt.status == "success"}


def _attempt(event: Mapping[str, Any], outcome: Mapping[str, Any]) -> Attempt:
    return Attempt(
        number=event["id"],
        slot_s=seconds_of(event["slot"]),
        now_ms=milliseconds_of(event["now"]),
        exchange_ms=milliseconds_of(event["exchange_at"]),
        kind=event["kind"],
        status=outcome.get("status"),
        run_id=outcome.get("run_id"),
    )


@dataclass(frozen=True)
class Sent:
    """One answer of the exchange."""

    status: int
    sha256: str
    offset: int
    length: int


class Served:
    """What the exchange sent.

    Args:
        folder: Holds `served.jsonl` and `served.bin`.
    """

    def __init__(self, folder: Path) -> None:
        self._bodies = (folder / "served.bin").read_bytes()
        self._read: dict[str, Portfolio | None] = {}
        self._sent: dict[tuple[str, int, str], list[Sent]] = defaultdict(list)
        self.answers = 0
        for line in (folder / "served.jsonl").read_bytes().splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue  # a line that a kill cut short
            sent = Sent(said["status"], said.get("sha256", ""), said.get("offset", 0), said.get("length", 0))
            self._sent[said["what"], said["at"], (said.get("wallet") or "").lower()].append(sent)
            self.answers += 1

    def of(self, what: str, exchange_ms: int, wallet: str = "") -> list[Sent]:
        """Everything sent in answer to one question, in order."""
        return self._sent.get((what, exchange_ms, wallet), [])

    def wallets(self, exchange_ms: int) -> Iterator[str]:
        """Whose portfolios were asked for at an instant."""
        return iter(self._wallets_at.get(exchange_ms, ()))

    @cached_property
    def _wallets_at(self) -> dict[int, set[str]]:
        found: dict[int, set[str]] = defaultdict(set)
        for what, at, wallet in self._sent:
            if what == "portfolio":
                found[at].add(wallet)
        return found

    def body(self, sent: Sent) -> bytes:
        """The body of an answer with status 200."""
        return zlib.decompress(self._bodies[sent.offset : sent.offset + sent.length])

    def portfolio(self, sent: Sent) -> "Portfolio | None":
        """A sound portfolio answer, or None."""
        if sent.status != 200:
            return None
        if sent.sha256 not in self._read:
            self._read[sent.sha256] = read_portfolio(self.body(sent))
        return self._read[sent.sha256]


Series = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Instants (ms), account values, PnL."""
Portfolio = dict[str, Series]


def read_portfolio(body: bytes) -> Portfolio | None:
    """The eight windows of a sound answer with any point; None for everything else."""
    try:
        document = json.loads(body)
        names = [name for name, _ in document]
        if names != [*_WINDOWS["all"], *_WINDOWS["perp"]]:
            return None
        windows = {name: _series(window) for name, window in document}
    except (ValueError, TypeError, KeyError):
        return None
    return windows if any(len(ts) for ts, _, _ in windows.values()) else None


def _series(window: Mapping[str, Any]) -> Series:
    values, pnl = window["accountValueHistory"], window["pnlHistory"]
    if not all(isinstance(text, str) for _, text in [*values, *pnl]):
        raise ValueError("a number that is no text")
    if [ts for ts, _ in values] != [ts for ts, _ in pnl]:
        raise ValueError("account values and PnL of different instants")
    return (
        np.array([ts for ts, _ in values], dtype=np.int64),
        np.array([float(text) for _, text in values]),
        np.array([float(text) for _, text in pnl]),
    )


def made_up_instant(all_time: Series) -> int | None:
    """Instant of the 0/0 point that the exchange puts one hour before an account's first sample; None if it is not there."""
    ts, value, pnl = all_time
    made_up = len(ts) > 1 and value[0] == pnl[0] == 0.0 and ts[1] - ts[0] == 3_600_000
    return int(ts[0]) if made_up else None


def without(window: Series, instant: int | None) -> Series:
    """A window without its first point if that is 0/0 at the instant and an hour before the second."""
    return (
        (window[0][1:], window[1][1:], window[2][1:])
        if made_up_instant(window) == instant is not None
        else window
    )


def has_baseline_fault(perp: Series, everything: Series) -> bool:
    """Whether a perpAllTime books the whole opening balance as PnL, against what allTime says."""
    ts, value, pnl = perp
    if len(ts) < 2 or value[0] != 0.0 or pnl[0] != 0.0 or value[1] <= 0 or not _same(value[1], pnl[1]):
        return False
    at = np.flatnonzero(everything[0] == ts[1])
    if len(at):
        return not _same(everything[2][at[0]], pnl[1])
    return bool((everything[1][everything[0] < ts[1]] > 0).any())


# --- the store ---


class Store:
    """ClickHouse.

    Args:
        url: Its HTTP interface.
        database: The platform's.
    """

    def __init__(self, url: str, database: str) -> None:
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=600)
        self._database = database

    def rows(self, sql: str) -> list[list[Any]]:
        """Rows of a query; whole numbers as int, instants as the query makes them.

        Raises:
            UnusableEvidenceError: ClickHouse refused it.
        """
        parameters = {
            "database": self._database,
            "output_format_json_quote_64bit_integers": "0",
            "output_format_json_quote_denormals": "1",
            "default_format": "JSONCompactEachRow",
        }
        answer = self._http.post("/", params=parameters, content=sql)
        if answer.status_code != 200:
            raise UnusableEvidenceError(f"{answer.text.strip()}\nfor {sql}")
        return [json.loads(line) for line in answer.text.splitlines()]

    @cached_property
    def columns(self) -> dict[str, list[str]]:
        """Columns of every table and view."""
        found: dict[str, list[str]] = defaultdict(list)
        sql = "SELECT table, name FROM system.columns WHERE database = currentDatabase() ORDER BY table, position"
        for table, name in self.rows(sql):
            found[table].append(name)
        return dict(found)

    @cached_property
    def slice_tables(self) -> list[str]:
        """Tables that are published slot by slot."""
        return sorted(name.removesuffix("__versions") for name in self.columns if name.endswith("__versions"))

    @cached_property
    def ledgers(self) -> list[str]:
        """Tables that are appended to."""
        return sorted(name.removesuffix("__entries") for name in self.columns if name.endswith("__entries"))

    def key(self, table: str) -> list[str]:
        """Columns that name a row of a view."""
        if table in KEYS:
            return list(KEYS[table])
        sql = (
            "SELECT sorting_key FROM system.tables WHERE database = currentDatabase() "
            f"AND name IN ('{table}__versions', '{table}__entries')"
        )
        return [name.strip(" `()") for name in str(self.rows(sql)[0][0]).split(",")]


@dataclass(frozen=True)
class Publication:
    """One line of the manifest."""

    version: int
    n_rows: int
    inputs: Mapping[str, int]
    origin: str
    code_version: str
    run_id: str
    withdrawn: bool


class Manifest:
    """What was published, and what of it counts.

    Args:
        store: ClickHouse.
    """

    def __init__(self, store: Store) -> None:
        sql = (
            "SELECT table_name, toUnixTimestamp(as_of), version, n_rows, inputs, origin, code_version, run_id, withdrawn "
            "FROM publications ORDER BY version"
        )
        self.all: dict[tuple[str, int], list[Publication]] = defaultdict(list)
        for table, slot, *rest in store.rows(sql):
            self.all[table, slot].append(Publication(*rest))

        self._current: dict[str, dict[int, Publication]] = defaultdict(dict)
        for (table, slot), lines in self.all.items():
            if not lines[-1].withdrawn:
                self._current[table][slot] = lines[-1]

    def current(self, table: str) -> dict[int, Publication]:
        """Slices of a table that are published now, by slot."""
        return self._current.get(table, {})


# --- the verdict ---


@dataclass
class Finding:
    """What one check examined and found wrong."""

    check: str
    examined: int = 0
    wrong: list[str] = field(default_factory=list)

    def expect(self, fine: bool, text: str) -> None:
        """Count one examined thing; note it unless it is fine."""
        self.examined += 1
        if not fine:
            self.wrong.append(text)


class Audit:
    """Every check of one soak.

    Args:
        url: ClickHouse's HTTP interface.
        folder: The soak's folder, with journal and log.
    """

    def __init__(self, url: str, folder: Path, database: str | None = None) -> None:
        self.journal = Journal(folder / "journal.jsonl")
        self.served = Served(folder)
        self.store = Store(url, database or self.journal.database)
        self.manifest = Manifest(self.store)

    def run(self) -> list[Finding]:
        """All findings, in the order of the checks."""
        checks: list[Callable[[Finding], None]] = [
            self.finished_slots_are_whole,
            self.nothing_unasked,
            self.keys_are_unique,
            self.rows_as_published,
            self.tables_committed_together,
            self.one_origin,
            self.inputs_exist,
            self.nothing_stale,
            self.boards_as_sent,
            self.vaults_as_sent,
            self.fetches_as_sent,
            self.answers_are_not_lost,
            self.points_as_sent,
            self.metrics_see_their_past,
            self.wallets_agree,
            self.curves_of_the_newest_slot,
            self.ranks_are_dense,
            self.ledgers_are_complete,
        ]
        findings = []
        for check in checks:
            finding = Finding(check.__name__)
            check(finding)
            findings.append(finding)
        return findings

    # Slots

    def finished_slots_are_whole(self, finding: Finding) -> None:
        """A slot whose tick succeeded is published in every table; runs that the schedule was told of are known."""
        for table in self.journal.whole_slot:
            published = self.manifest.current(table)
            for slot in sorted(self.journal.succeeded):
                finding.expect(slot in published, f"{slot_name(slot)} succeeded and is not in {table}")
        for day in self.journal.unsettled_days:
            finding.expect(False, f"{day}: its derived tables could not be brought up to date")

    def nothing_unasked(self, finding: Finding) -> None:
        """Nothing is published for a slot that no run was for, nor by code nobody ran, nor derived without its source."""
        sources = self.manifest.current("portfolio_fetches")
        for (table, slot), lines in sorted(self.manifest.all.items()):
            finding.expect(
                slot in self.journal.slots_that_ran, f"{table} has {slot_name(slot)}, which was never run"
            )
            for line in lines:
                finding.expect(
                    line.code_version in self.journal.code_versions,
                    f"{table} {slot_name(slot)}: code version {line.code_version!r} never ran",
                )
        for table in DERIVED:
            for slot in self.manifest.current(table):
                finding.expect(
                    slot in sources, f"{table} has {slot_name(slot)} without fetches to derive it from"
                )

    # Rows

    def keys_are_unique(self, finding: Finding) -> None:
        """No view repeats a key."""
        for table in [*self.store.slice_tables, *self.store.ledgers]:
            key = ", ".join(f"`{name}`" for name in self.store.key(table))
            for *values, count in self.store.rows(
                f"SELECT {key}, count() FROM `{table}` GROUP BY {key} HAVING count() > 1 LIMIT 100"
            ):
                finding.expect(False, f"{table}: {values} is there {count} times")
            finding.examined += int(self.store.rows(f"SELECT count() FROM `{table}`")[0][0])

    def rows_as_published(self, finding: Finding) -> None:
        """Each published slice has the rows that were published, all of the version that counts, and no others."""
        for table in self.store.slice_tables:
            published = self.manifest.current(table)
            columns = ", ".join(f"`{name}`" for name in self.store.columns[table])
            measure = f"toUnixTimestamp(as_of) AS slot, count(), sum(cityHash64({columns}))"
            seen = {
                slot: rest
                for slot, *rest in self.store.rows(f"SELECT {measure} FROM `{table}` GROUP BY slot")
            }
            stored = {
                (slot, version): rest
                for slot, version, *rest in self.store.rows(
                    f"SELECT toUnixTimestamp(as_of) AS slot, _version, count(), sum(cityHash64({columns})) "
                    f"FROM `{table}__versions` GROUP BY slot, _version"
                )
            }
            for slot in seen.keys() - published.keys():
                finding.expect(False, f"{table} {slot_name(slot)}: rows are seen that were never published")
            for slot, publication in published.items():
                empty = [0, 0]
                said = f"{table} {slot_name(slot)}: published {publication.n_rows} rows"
                held, shown = stored.get((slot, publication.version), empty), seen.get(slot, empty)
                finding.expect(held[0] == publication.n_rows, f"{said}, {held[0]} are stored")
                finding.expect(
                    shown == held, f"{said}; the {shown[0]} seen are not those of the version that counts"
                )

    def tables_committed_together(self, finding: Finding) -> None:
        """Tables of one commit are of one version in every slot; a board's rows and its snapshot too."""
        for first, second in COMMITTED_TOGETHER:
            one, other = self.manifest.current(first), self.manifest.current(second)
            for slot in one.keys() | other.keys():
                versions = [found[slot].version if slot in found else None for found in (one, other)]
                finding.expect(
                    versions[0] == versions[1], f"{slot_name(slot)}: {first} and {second} are of {versions}"
                )
        snapshots, rows = (
            self.manifest.current("leaderboard_snapshots"),
            self.manifest.current("leaderboard_rows"),
        )
        for slot, publication in rows.items():
            versions = [publication.version, snapshots[slot].version if slot in snapshots else None]
            finding.expect(
                versions[0] == versions[1], f"{slot_name(slot)}: board rows and snapshot are of {versions}"
            )

    def one_origin(self, finding: Finding) -> None:
        """Rows and publication of a slot name one origin."""
        for table in self.store.slice_tables:
            published = self.manifest.current(table)
            if "origin" not in self.store.columns[table]:
                continue
            sql = (
                f"SELECT toUnixTimestamp(as_of) AS slot, groupUniqArray(origin) FROM `{table}` GROUP BY slot"
            )
            for slot, origins in self.store.rows(sql):
                said = published[slot].origin if slot in published else None
                finding.expect(
                    origins == [said],
                    f"{table} {slot_name(slot)}: rows are of {origins}, published as {said}",
                )

    # Derivation

    def inputs_exist(self, finding: Finding) -> None:
        """What a publication says it was made from was published for its slot."""
        for (table, slot), lines in self.manifest.all.items():
            for line in lines:
                for name, version in line.inputs.items():
                    known = {found.version for found in self.manifest.all.get((name, slot), ())}
                    finding.expect(
                        version in known,
                        f"{table} {slot_name(slot)}: made from version {version} of {name}, which was never published",
                    )

    def nothing_stale(self, finding: Finding) -> None:
        """After the last pass every slot is derived, from what its sources are now."""
        fetches, points = (
            self.manifest.current("portfolio_fetches"),
            self.manifest.current("portfolio_points"),
        )
        for table in DERIVED:
            published = self.manifest.current(table)
            for slot in fetches.keys() & points.keys():
                finding.expect(slot in published, f"{table} lacks {slot_name(slot)}, which could be derived")
            for slot, publication in published.items():
                for name, version in publication.inputs.items():
                    source = self.manifest.current(name).get(slot)
                    finding.expect(
                        source is not None and source.version == version,
                        f"{table} {slot_name(slot)}: made from version {version} of {name}, which is not the one published now",
                    )

    # What the exchange said

    def boards_as_sent(self, finding: Finding) -> None:
        """Every slot's board is one that the exchange sent it, and its rows are the board's."""
        sql = (
            "SELECT toUnixTimestamp(as_of), toUnixTimestamp64Milli(observed_at), body_sha256, toUnixTimestamp(board_as_of), "
            "n_rows, n_bytes FROM leaderboard_snapshots"
        )
        snapshots = {slot: rest for slot, *rest in self.store.rows(sql)}
        for slot, (observed_ms, sha256, board_slot, n_rows, n_bytes) in snapshots.items():
            name = slot_name(slot)
            attempt = self.journal.by_now.get(observed_ms)
            if attempt is None or attempt.slot_s != slot:
                finding.expect(False, f"{name}: its board was observed when no run of the slot was")
                continue
            sent = {
                s.sha256: s for s in self.served.of("leaderboard", attempt.exchange_ms) if s.status == 200
            }
            finding.expect(sha256 in sent, f"{name}: the exchange never sent the board that is stored")
            told = snapshots.get(board_slot, [None, None])[1]
            finding.expect(
                told == sha256,
                f"{name}: its rows are said to be under {slot_name(board_slot)}, another board",
            )
            if sha256 in sent:
                body = self.served.body(sent[sha256])
                finding.expect(
                    len(body) == n_bytes, f"{name}: the board has {len(body)} bytes, stored as {n_bytes}"
                )
                if board_slot == slot:
                    self._compare_board(finding, slot, body, n_rows)
        for slot in self.manifest.current("leaderboard_rows"):
            finding.expect(
                slot in snapshots and snapshots[slot][2] == slot,
                f"{slot_name(slot)}: board rows that no snapshot points at",
            )

    def _compare_board(self, finding: Finding, slot: int, body: bytes, n_rows: int) -> None:
        figures = [
            f"{prefix}_{what}" for prefix in _BOARD_WINDOWS.values() for what in ("pnl", "roi", "volume")
        ]
        stored = self.store.rows(
            f"SELECT wallet, display_name, account_value, {', '.join(figures)} FROM leaderboard_rows "
            f"WHERE as_of = toDateTime({slot}, 'UTC')"
        )
        told = [
            [
                row["ethAddress"].lower(),
                row["displayName"],
                float(row["accountValue"]),
                *(
                    float(dict(row["windowPerformances"])[window][what])
                    for window in _BOARD_WINDOWS
                    for what in ("pnl", "roi", "vlm")
                ),
            ]
            for row in json.loads(body)["leaderboardRows"]
        ]
        same = sorted(stored, key=lambda row: row[0]) == sorted(told, key=lambda row: row[0])
        finding.expect(
            same, f"{slot_name(slot)}: {len(stored)} stored rows are not the {len(told)} of the board"
        )
        finding.expect(
            n_rows == len(told), f"{slot_name(slot)}: n_rows is {n_rows}, the board has {len(told)}"
        )

    def vaults_as_sent(self, finding: Finding) -> None:
        """At most one list of vaults a day, and it is one that the exchange sent."""
        sql = (
            "SELECT toUnixTimestamp(as_of) AS slot, any(toUnixTimestamp64Milli(observed_at)), groupArray((wallet, tvl)) "
            "FROM vaults GROUP BY slot"
        )
        days = Counter(slot // 86_400 for slot in self.manifest.current("vaults"))
        for day, count in days.items():
            finding.expect(count == 1, f"{slot_name(day * 86_400)}: {count} lists of vaults in a day")
        for slot, observed_ms, listed in self.store.rows(sql):
            attempt = self.journal.by_now.get(observed_ms)
            sent = [] if attempt is None else self.served.of("vaults", attempt.exchange_ms)
            lists = [_vaults(self.served.body(one)) for one in sent if one.status == 200]
            stored = sorted((wallet, tvl) for wallet, tvl in listed)
            finding.expect(stored in lists, f"{slot_name(slot)}: the exchange never sent this list of vaults")

    @cached_property
    def _fetches(self) -> dict[tuple[int, str], tuple[str, int, str | None]]:
        """Status, instant and failure of every wanted wallet, by slot and wallet."""
        sql = (
            "SELECT toUnixTimestamp(as_of), wallet, status, toUnixTimestamp64Milli(observed_at), error_kind "
            "FROM portfolio_fetches"
        )
        return {(slot, wallet): (status, at, kind) for slot, wallet, status, at, kind in self.store.rows(sql)}

    def _accepted(self, slot: int, wallet: str) -> list[Portfolio]:
        """The sound answers among which the one is that a slot stored of a wallet."""
        status, observed_ms, _ = self._fetches[slot, wallet]
        attempt = self.journal.by_now.get(observed_ms)
        if status != "ok" or attempt is None or attempt.slot_s != slot:
            return []
        sent = self.served.of("portfolio", attempt.exchange_ms, wallet)
        return [found for found in map(self.served.portfolio, sent) if found is not None]

    def fetches_as_sent(self, finding: Finding) -> None:
        """Every outcome of a fetch is of a run of its slot; every `ok` was answered."""
        for (slot, wallet), (status, observed_ms, _) in self._fetches.items():
            where = f"{slot_name(slot)} {wallet}"
            attempt = self.journal.by_now.get(observed_ms)
            finding.expect(
                attempt is not None and attempt.slot_s == slot and attempt.ran,
                f"{where}: observed when no run of the slot was",
            )
            if status == "ok":
                finding.expect(
                    bool(self._accepted(slot, wallet)), f"{where}: ok, and the exchange never answered"
                )

    def answers_are_not_lost(self, finding: Finding) -> None:
        """What the exchange answered soundly to a run that succeeded is stored as an answer."""
        racing = Counter(attempt.exchange_ms for attempt in self.journal.attempts)
        for attempt in self.journal.attempts:
            if attempt.status != "success":
                continue
            for wallet in self.served.wallets(attempt.exchange_ms):
                sent = [
                    self.served.portfolio(s) for s in self.served.of("portfolio", attempt.exchange_ms, wallet)
                ]
                answered = any(sent) if racing[attempt.exchange_ms] > 1 else sent[-1] is not None
                if not answered:
                    continue
                status, observed_ms, kind = self._fetches.get((attempt.slot_s, wallet), ("absent", 0, None))
                gave_up = status == "failed" and observed_ms >= attempt.now_ms and kind in GAVE_UP
                finding.expect(
                    status == "ok" or gave_up,
                    f"{slot_name(attempt.slot_s)} {wallet}: answered, and stored as {status} ({kind})",
                )

    def points_as_sent(self, finding: Finding) -> None:
        """Every point of an accepted answer is stored by then with its values; every stored point was in one of its slot."""
        stored = self._points
        by_wallet: dict[str, list[int]] = defaultdict(list)
        for slot, wallet in self._fetches:
            by_wallet[wallet].append(slot)
        explained: Counter[tuple[int, str]] = Counter()
        for wallet, slots in by_wallet.items():
            for slot in sorted(slots):
                answers = self._accepted(slot, wallet)
                if not answers:
                    continue
                where = f"{slot_name(slot)} {wallet}"
                flags = self._flags[slot, wallet]
                judged = [stored.compare(wallet, slot, answer, flags) for answer in answers]
                best = min(judged, key=lambda found: len(found.wrong))
                finding.examined += best.examined
                finding.wrong += [f"{where} {text}" for text in best.wrong]
                explained[slot, wallet] += 1
        for slot, wallet in stored.sources:
            finding.expect(
                (slot, wallet) in explained,
                f"{slot_name(slot)} {wallet}: points without an answer that had them",
            )

    @cached_property
    def _flags(self) -> dict[tuple[int, str], list[str]]:
        sql = "SELECT toUnixTimestamp(as_of), wallet, flags FROM portfolio_fetches"
        return {(slot, wallet): flags for slot, wallet, flags in self.store.rows(sql)}

    @cached_property
    def _points(self) -> "Points":
        return Points(
            self.store.rows(
                "SELECT wallet, scope, segment, toUnixTimestamp64Milli(ts), toUnixTimestamp(as_of), account_value, pnl, "
                "contradicts, toUnixTimestamp64Milli(observed_at) FROM portfolio_points ORDER BY wallet, scope, ts, as_of"
            )
        )

    # What was made of it

    def metrics_see_their_past(self, finding: Finding) -> None:
        """A slot's metrics rest on the points known at or before it, and end at one of them with its value."""
        sql = (
            "SELECT toUnixTimestamp(as_of), wallet, scope, data_points, toUnixTimestamp64Milli(first_ts), "
            "toUnixTimestamp64Milli(last_ts), account_value FROM wallet_metrics"
        )
        published = self.manifest.current("wallet_metrics")
        for slot, wallet, scope, n_points, first_ms, last_ms, account_value in self.store.rows(sql):
            where = f"{slot_name(slot)} {wallet}"
            present_ms = self.journal.present_of_run.get(published[slot].run_id)
            known, value_at = self._points.visible(wallet, scope, slot)
            finding.expect(n_points <= len(known), f"{where}: {n_points} points, {len(known)} were known")
            if last_ms is None:
                continue
            finding.expect(last_ms <= slot * 1000, f"{where}: sees a point after its slot")
            ends = {first_ms, last_ms} <= value_at.keys()
            finding.expect(ends, f"{where}: begins or ends at a point that was not known")
            if ends:
                finding.expect(
                    _same(value_at[last_ms], account_value),
                    f"{where}: account value {account_value}, its last point says {value_at[last_ms]}",
                )
            if present_ms is not None:
                surely = self._points.surely_seen(wallet, scope, slot, present_ms)
                finding.expect(
                    n_points >= surely,
                    f"{where}: {n_points} points, although {surely} were known when derived",
                )

    def wallets_agree(self, finding: Finding) -> None:
        """Metrics, grades and scores of a slot are of the same wallets, and the counts of the run say so."""
        of: dict[str, dict[int, set[str]]] = {}
        for table in ("portfolio_fetches", "wallet_metrics", "ai_grades", "wallet_scores"):
            condition = "WHERE status = 'ok'" if table == "portfolio_fetches" else ""
            sql = f"SELECT toUnixTimestamp(as_of) AS slot, groupArray(wallet) FROM {table} {condition} GROUP BY slot"
            of[table] = {slot: set(wallets) for slot, wallets in self.store.rows(sql)}
        for slot in self.manifest.current("wallet_scores"):
            answered, measured, graded, scored = (of[table].get(slot, set()) for table in of)
            finding.expect(
                answered <= measured,
                f"{slot_name(slot)}: {len(answered - measured)} answered wallets have no metrics",
            )
            finding.expect(
                measured == graded == scored,
                f"{slot_name(slot)}: {len(measured)} measured, {len(graded)} graded, {len(scored)} scored",
            )
        sql = "SELECT toUnixTimestamp(as_of), n_wallets, n_scored, n_eligible FROM score_runs"
        wanted = Counter(slot for slot, _ in self._fetches)
        eligible = dict(
            self.store.rows(
                "SELECT toUnixTimestamp(as_of) AS slot, countIf(is_eligible) FROM wallet_scores GROUP BY slot"
            )
        )
        for slot, *counts in self.store.rows(sql):
            found = [wanted[slot], len(of["wallet_scores"].get(slot, ())), eligible.get(slot, 0)]
            finding.expect(counts == found, f"{slot_name(slot)}: the run counted {counts}, there are {found}")

    def curves_of_the_newest_slot(self, finding: Finding) -> None:
        """A day's curves are those of its newest slot."""
        newest: dict[int, int] = {}
        for slot in self.manifest.current("portfolio_fetches"):
            newest[slot // 86_400] = max(slot, newest.get(slot // 86_400, 0))
        curves = set(self.manifest.current("equity_curves"))
        finding.expect(
            curves == set(newest.values()),
            f"curves of {sorted(map(slot_name, curves))}, newest slots {sorted(map(slot_name, newest.values()))}",
        )

    def ranks_are_dense(self, finding: Finding) -> None:
        """Ranks are 1, 2, ... by falling score, ties by percentile and then address; only the eligible are ranked."""
        pairs = (
            ("weighted_score", "calculated_rank"),
            ("quant_score", "quant_rank"),
            ("rule_score", "rule_rank"),
            ("adjusted_score", "adjusted_rank"),
        )
        columns = ", ".join(f"{score}, {rank}" for score, rank in pairs)
        by_slot: dict[int, list[list[Any]]] = defaultdict(list)
        sql = f"SELECT toUnixTimestamp(as_of), wallet, is_eligible, config_hash, percentile_mean, {columns} FROM wallet_scores"
        for slot, *row in self.store.rows(sql):
            by_slot[slot].append(row)
        for slot, rows in by_slot.items():
            finding.expect(
                len({row[2] for row in rows}) == 1, f"{slot_name(slot)}: scored under several configurations"
            )
            for place, (score, rank) in enumerate(pairs):
                self._judge_ranks(
                    finding, f"{slot_name(slot)} {rank}", rows, 4 + 2 * place, needs_score=score
                )

    @staticmethod
    def _judge_ranks(
        finding: Finding, where: str, rows: list[list[Any]], at: int, *, needs_score: str
    ) -> None:
        ranked = [row for row in rows if row[at + 1] is not None]
        finding.expect(all(row[1] for row in ranked), f"{where}: an ineligible wallet is ranked")
        scored = [row for row in rows if row[at] is not None]
        finding.expect(
            {row[0] for row in scored} == {row[0] for row in ranked},
            f"{where}: not those with a {needs_score} are ranked",
        )
        if needs_score == "weighted_score":
            finding.expect(
                {row[0] for row in ranked} == {row[0] for row in rows if row[1]},
                f"{where}: not every eligible is ranked",
            )
        order = sorted(scored, key=lambda row: (-row[at], -(row[3] or 0.0), row[0]))
        finding.expect(
            [row[at + 1] for row in order] == list(range(1, len(order) + 1)),
            f"{where}: no dense ranking of the scores",
        )

    def ledgers_are_complete(self, finding: Finding) -> None:
        """Every request to follow a wallet is kept, once."""
        stored = int(self.store.rows("SELECT count() FROM watch_requests")[0][0])
        finding.expect(
            stored == self.journal.watches,
            f"{stored} requests to watch are kept, {self.journal.watches} were made",
        )


def _vaults(body: bytes) -> list[tuple[str, float]] | None:
    try:
        return sorted(
            (one["summary"]["vaultAddress"].lower(), float(one["summary"]["tvl"])) for one in json.loads(body)
        )
    except (ValueError, TypeError, KeyError):
        return None


def _same(left: float, right: float) -> bool:
    return abs(left - right) <= max(1e-6, 2e-15 * max(abs(left), abs(right)))


# --- points ---


@dataclass(frozen=True)
class _Curve:
    """Stored points of one wallet and scope, by instant and then slot."""

    ts: np.ndarray
    slot: np.ndarray
    value: np.ndarray
    pnl: np.ndarray
    segment: np.ndarray
    contradicts: np.ndarray
    observed: np.ndarray


class Points:
    """Every stored point.

    Args:
        rows: wallet, scope, segment, ts (ms), slot (s), account value, PnL, contradicts, observed (ms); sorted by wallet, scope,
            ts, slot.
    """

    def __init__(self, rows: Iterable[list[Any]]) -> None:
        grouped: dict[tuple[str, str], list[list[Any]]] = defaultdict(list)
        for wallet, scope, *rest in rows:
            grouped[wallet, scope].append(rest)
        self._curves = {key: _curve(found) for key, found in grouped.items()}
        self.sources = {
            (int(slot), wallet)
            for (wallet, _), curve in self._curves.items()
            for slot in np.unique(curve.slot)
        }

    def compare(self, wallet: str, slot: int, answer: Portfolio, flags: Iterable[str]) -> Finding:
        """Hold an accepted answer against what is stored.

        Two oddities of the exchange are not stored, as the platform says: the made-up first point of allTime, and a perpAllTime
        that books the whole balance as PnL, which a flag must tell.
        """
        finding = Finding("points")
        faulty = has_baseline_fault(answer["perpAllTime"], answer["allTime"])
        finding.expect(
            faulty == any("baseline_fault" in flag for flag in flags),
            f"baseline fault {faulty}, flags {list(flags)}",
        )
        for scope, names in _WINDOWS.items():
            curve = self._curves.get((wallet, scope))
            made_up = made_up_instant(answer[names[-1]])
            told: set[int] = set()
            for name in names:
                if faulty and name == "perpAllTime":
                    continue
                window = without(answer[name], made_up)
                told.update(window[0].tolist())
                self._compare_window(finding, curve, slot, window, f"{scope}/{name}")
            mine = set() if curve is None else set(curve.ts[curve.slot == slot].tolist())
            finding.expect(
                mine <= told, f"{scope}: {len(mine - told)} stored points that the answer does not have"
            )
        return finding

    @staticmethod
    def _compare_window(
        finding: Finding, curve: _Curve | None, slot: int, window: Series, where: str
    ) -> None:
        ts, value, pnl = window
        if not len(ts):
            return
        if curve is None:
            finding.expect(False, f"{where}: none of {len(ts)} points is stored")
            return
        known = np.flatnonzero(curve.slot <= slot)
        at = np.searchsorted(curve.ts[known], ts)
        at = np.minimum(at, max(len(known) - 1, 0))
        held = known[at] if len(known) else np.zeros(len(ts), dtype=np.int64)
        there = (curve.ts[held] == ts) & bool(len(known))
        finding.examined += len(ts)
        if not there.all():
            finding.wrong.append(f"{where}: {int((~there).sum())} of {len(ts)} points are not stored by then")
        tolerance = np.maximum(1e-6, 2e-15 * np.maximum(np.abs(value), np.abs(curve.value[held])))
        off = there & (np.abs(curve.value[held] - value) > tolerance)
        off &= ~_stored_elsewhere(curve, known, ts, value, off)
        if off.any():
            finding.wrong.append(f"{where}: {int(off.sum())} points are stored with another account value")
        for segment in np.unique(curve.segment[held][there]):
            mine = there & (curve.segment[held] == segment) & ~off
            offset = curve.pnl[held][mine] - pnl[mine]
            scale = max(1e-5, 1e-14 * float(np.abs(curve.pnl[held][mine]).max(initial=0.0)))
            if len(offset) and np.ptp(offset) > scale:
                finding.wrong.append(f"{where}: PnL is off by up to {np.ptp(offset):g} USD from one baseline")

    def visible(self, wallet: str, scope: str, slot: int) -> tuple[set[int], dict[int, float]]:
        """Instants of the points that a slot may see, and the account value first stored for each."""
        curve = self._curves.get((wallet, scope))
        if curve is None:
            return set(), {}
        seen = (curve.slot <= slot) & (curve.ts <= slot * 1000)
        values: dict[int, float] = {}
        for instant, value in zip(curve.ts[seen].tolist(), curve.value[seen].tolist(), strict=True):
            values.setdefault(instant, value)
        return set(values), values

    def surely_seen(self, wallet: str, scope: str, slot: int, before_ms: int) -> int:
        """How many points of the anchored curve a derivation at an instant had before it, from the first funded one."""
        curve = self._curves.get((wallet, scope))
        if curve is None:
            return 0
        seen = (curve.slot <= slot) & (curve.ts <= slot * 1000) & (curve.observed < before_ms)
        seen &= (curve.segment == "") & ~curve.contradicts
        ts, first = np.unique(curve.ts[seen], return_index=True)
        funded = np.flatnonzero(curve.value[seen][first] >= FUNDING_FLOOR_USD)
        return len(ts) - int(funded[0]) if len(funded) else 0


def _stored_elsewhere(
    curve: _Curve, known: np.ndarray, ts: np.ndarray, value: np.ndarray, off: np.ndarray
) -> np.ndarray:
    """Which of the points that differ from the first stored value are stored as well, as a later contradiction."""
    found = np.zeros(len(ts), dtype=bool)
    for index in np.flatnonzero(off):
        others = known[curve.ts[known] == ts[index]]
        found[index] = bool(np.any(np.abs(curve.value[others] - value[index]) <= 1e-6))
    return found


def _curve(rows: list[list[Any]]) -> _Curve:
    segment, ts, slot, value, pnl, contradicts, observed = zip(*rows, strict=True)
    return _Curve(
        ts=np.array(ts, dtype=np.int64),
        slot=np.array(slot, dtype=np.int64),
        value=np.array(value, dtype=np.float64),
        pnl=np.array(pnl, dtype=np.float64),
        segment=np.array(segment, dtype=object).astype(str),
        contradicts=np.array(contradicts, dtype=bool),
        observed=np.array(observed, dtype=np.int64),
    )


def report(findings: Iterable[Finding]) -> Iterator[str]:
    """The verdict for people."""
    wrong = 0
    for finding in findings:
        wrong += len(finding.wrong)
        verdict = "ok" if not finding.wrong else f"{len(finding.wrong)} VIOLATIONS"
        yield f"{finding.check.replace('_', ' '):32} {finding.examined:>12,}  {verdict}"
        yield from (f"    {text}" for text in finding.wrong[:_SAMPLES])
        if len(finding.wrong) > _SAMPLES:
            yield f"    ... and {len(finding.wrong) - _SAMPLES} more"
    yield "AUDIT: " + ("nothing lost, duplicated, mixed or faked" if not wrong else f"{wrong} violations")


def main() -> int:
    """Audit and print; 1 on any violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="ClickHouse's HTTP interface")
    parser.add_argument("folder", type=Path, help="the soak's folder")
    parser.add_argument("--database", help="default: the journal's")
    chosen = parser.parse_args()
    try:
        findings = Audit(chosen.url, chosen.folder, chosen.database).run()
    except UnusableEvidenceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for line in report(findings):
        sys.stdout.write(line + "\n")
    return int(any(finding.wrong for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
