"""The audit finds every kind of violation, planted one at a time in the store of a small soak; and none where there is none."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hl_assets.schemas import TABLES
from hl_assets.warehouse import ddl
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.soak.audit import Audit, Journal, UnusableEvidenceError, main, report
from hl_assets_tests.soak.driver import DATABASE, Soak
from hl_assets_tests.soak.plan import FIRST_SLOT, SLOT, calm_plan

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

FIRST, SECOND, LAST = (
    f"toDateTime({int((FIRST_SLOT + SLOT * number).timestamp())}, 'UTC')" for number in range(3)
)
NEVER = f"toDateTime({int((FIRST_SLOT + SLOT * 7).timestamp())}, 'UTC')"
WALLET = f"(SELECT min(wallet) FROM portfolio_points__versions WHERE as_of = {FIRST})"


@dataclass(frozen=True)
class Evidence:
    """A soak's folder and its store."""

    folder: Path
    url: str
    config: WarehouseConfig

    def audit(self) -> dict[str, list[str]]:
        """Violations by check."""
        assert self.config.database is not None
        findings = Audit(self.url, self.folder, self.config.database).run()
        assert all(finding.examined for finding in findings), "a check that examines nothing proves nothing"
        return {finding.check: finding.wrong for finding in findings if finding.wrong}


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """Three calm slots."""
    folder = tmp_path_factory.mktemp("soak")
    soak = Soak(calm_plan(3), folder, wallets=60, seed=7)
    try:
        soak.play()
        config = WarehouseConfig(home=folder / "home" / "clickhouse", database=DATABASE)
        yield Evidence(folder, soak.server.url(), config)
    finally:
        soak.server.stop()


@pytest.fixture
def copied(soaked: Evidence) -> Iterator[tuple[Evidence, Warehouse]]:
    """The same in a database of its own."""
    config = WarehouseConfig(home=soaked.config.home, database=f"copy_{uuid.uuid4().hex[:8]}")
    with Warehouse(config) as store:
        store.ensure_tables(TABLES)
        for name in (ddl.PUBLICATIONS, *map(ddl.stored_table, TABLES)):
            store.command(f"INSERT INTO {name} SELECT * FROM {DATABASE}.{name}")
        yield Evidence(soaked.folder, soaked.url, config), store
        store.drop_database()


def delete(table: str, where: str) -> list[str]:
    """Statements that take rows away, as if they had never been published."""
    return [f"ALTER TABLE {table}__versions DELETE WHERE {where}", *counted_again(table)]


def insert(table: str, replaced: str, where: str, limit: int = 1) -> list[str]:
    """Statements that add rows made of others."""
    rows = copies(f"{table}__versions", replaced, f"{where} LIMIT {limit}")
    return [f"INSERT INTO {table}__versions {rows}", *counted_again(table)]


def copies(table: str, replaced: str, where: str) -> str:
    """A query of changed rows; the condition is inside, because outside it would speak of the changed columns."""
    return f"SELECT * REPLACE ({replaced}) FROM (SELECT * FROM {table} WHERE {where})"


def update(table: str, change: str, where: str) -> list[str]:
    """A statement that changes rows in place."""
    return [f"ALTER TABLE {table}__versions UPDATE {change} WHERE {where}"]


def counted_again(table: str) -> list[str]:
    """Statements that make the manifest agree with what is stored, so that only the sense of it is wrong."""
    return [
        f"ALTER TABLE publications UPDATE n_rows = (SELECT count() FROM {table}__versions WHERE as_of = {slot}) "
        f"WHERE table_name = '{table}' AND as_of = {slot}"
        for slot in (FIRST, SECOND, LAST)
    ]


def publish_again(table: str, slot: str) -> list[str]:
    """Statements that publish a slice once more, unchanged."""
    columns = "table_name, as_of, version + 1, n_rows, inputs, origin, code_version, run_id, published_at, withdrawn"
    return [
        f"INSERT INTO {table}__versions SELECT * REPLACE (_version + 1 AS _version) FROM {table}__versions WHERE as_of = {slot}",
        f"INSERT INTO publications SELECT {columns} FROM publications WHERE table_name = '{table}' AND as_of = {slot}",
    ]


def withdraw(table: str, slot: str) -> list[str]:
    """A statement that takes a slice back."""
    columns = "table_name, as_of, version + 1, 0, inputs, origin, code_version, run_id, published_at, true"
    return [
        f"INSERT INTO publications SELECT {columns} FROM publications WHERE table_name = '{table}' AND as_of = {slot}"
    ]


def manifest(change: str, table: str) -> list[str]:
    """A statement that changes the manifest's lines of a slot."""
    return [f"ALTER TABLE publications UPDATE {change} WHERE table_name = '{table}' AND as_of = {SECOND}"]


ONE_POINT = (
    f"as_of = {FIRST} AND wallet = {WALLET} AND scope = 'all' AND ts = (SELECT max(ts) FROM portfolio_points__versions "
    f"WHERE as_of = {FIRST} AND wallet = {WALLET} AND scope = 'all')"
)
SEEN_AGAIN = (
    f"as_of = {FIRST} AND wallet = {WALLET} AND scope = 'all' AND ts = (SELECT min(ts) FROM portfolio_points__versions "
    f"WHERE as_of = {FIRST} AND wallet = {WALLET} AND scope = 'all')"
)
OLD_CURVES = f"{FIRST} AS as_of, version + 100 AS version, 0 AS n_rows"
NEWEST_CURVES = f"table_name = 'equity_curves' AND as_of = {LAST}"
REQUEST = f"({SECOND}, '0x{'ab' * 20}', {SECOND}, 'watch', 'simulated')"
IN_SUITE = {"a row is gone", "a row is there twice", "tables of two commits", "a point is faked"}
PLANTS: dict[str, tuple[list[str], str]] = {
    "a row is gone": (
        [f"ALTER TABLE wallet_scores__versions DELETE WHERE as_of = {SECOND} AND calculated_rank = 3"],
        "rows_as_published",
    ),
    "a row is there twice": (
        insert("ai_grades", "as_of AS as_of", f"as_of = {SECOND}"),
        "keys_are_unique",
    ),
    "rows of another version": (
        [f"INSERT INTO publications {copies('publications', 'version + 1 AS version', f'as_of = {SECOND}')}"],
        "rows_as_published",
    ),
    "a slot is lost": (withdraw("tracked_wallets", SECOND), "finished_slots_are_whole"),
    "a slot nobody ran": (
        [
            f"INSERT INTO {table} {copies(table, f'{NEVER} AS as_of', where)}"
            for table, where in (
                ("publications", f"table_name = 'ai_grades' AND as_of = {LAST}"),
                ("ai_grades__versions", f"as_of = {LAST}"),
            )
        ],
        "nothing_unasked",
    ),
    "code nobody ran": (manifest("code_version = 'other'", "wallet_metrics"), "nothing_unasked"),
    "tables of two commits": (publish_again("portfolio_points", SECOND), "tables_committed_together"),
    "scores and their run of two commits": (publish_again("score_runs", LAST), "tables_committed_together"),
    "a row of another origin": (
        update("portfolio_fetches", "origin = 'live'", f"as_of = {SECOND} AND selection_rank = 2"),
        "one_origin",
    ),
    "made from what never was": (
        manifest("inputs = map('portfolio_fetches', toUInt64(7))", "wallet_metrics"),
        "inputs_exist",
    ),
    "made from what is no more": (
        [*publish_again("portfolio_fetches", SECOND), *publish_again("portfolio_points", SECOND)],
        "nothing_stale",
    ),
    "not derived": (withdraw("wallet_metrics", FIRST), "nothing_stale"),
    "another board": (
        update("leaderboard_snapshots", "body_sha256 = 'ab'", f"as_of = {SECOND}"),
        "boards_as_sent",
    ),
    "a figure of the board": (
        update("leaderboard_rows", "week_pnl = week_pnl + 1", f"as_of = {FIRST}"),
        "boards_as_sent",
    ),
    "a wallet off the board": (
        delete(
            "leaderboard_rows",
            f"as_of = {FIRST} AND wallet = (SELECT max(wallet) FROM leaderboard_rows__versions)",
        ),
        "boards_as_sent",
    ),
    "a vault's money": (update("vaults", "tvl = tvl + 1", f"as_of = {FIRST}"), "vaults_as_sent"),
    "an answer nobody gave": (
        update(
            "portfolio_fetches", "observed_at = observed_at - 1", f"as_of = {SECOND} AND selection_rank = 1"
        ),
        "fetches_as_sent",
    ),
    "an answer that was lost": (
        update(
            "portfolio_fetches",
            "status = 'failed', error_kind = 'server_error'",
            f"as_of = {SECOND} AND selection_rank = 4",
        ),
        "answers_are_not_lost",
    ),
    "a point is lost": (delete("portfolio_points", ONE_POINT), "points_as_sent"),
    "a point is faked": (insert("portfolio_points", "ts + 1 AS ts", ONE_POINT), "points_as_sent"),
    "a point's value": (
        update("portfolio_points", "account_value = account_value + 1", ONE_POINT),
        "points_as_sent",
    ),
    "a point's PnL": (update("portfolio_points", "pnl = pnl + 1", ONE_POINT), "points_as_sent"),
    "a point seen too late": (
        [
            *insert(
                "portfolio_points",
                f"{SECOND} AS as_of, (SELECT max(version) FROM publications WHERE table_name = 'portfolio_points' "
                f"AND as_of = {SECOND}) AS _version",
                SEEN_AGAIN,
            ),
            *delete("portfolio_points", SEEN_AGAIN),
        ],
        "points_as_sent",
    ),
    "metrics of more points than there are": (
        update("wallet_metrics", "data_points = data_points + 900", f"as_of = {SECOND}"),
        "metrics_see_their_past",
    ),
    "metrics of fewer points than there are": (
        update("wallet_metrics", "data_points = intDiv(data_points, 2)", f"as_of = {LAST}"),
        "metrics_see_their_past",
    ),
    "metrics that see the future": (
        update("wallet_metrics", "last_ts = as_of + INTERVAL 1 MINUTE", f"as_of = {SECOND}"),
        "metrics_see_their_past",
    ),
    "an ungraded wallet": (
        delete("ai_grades", f"as_of = {SECOND} AND wallet = {WALLET}"),
        "wallets_agree",
    ),
    "a wrong count": (
        update("score_runs", "n_eligible = n_eligible + 1", f"as_of = {SECOND}"),
        "wallets_agree",
    ),
    "curves of an old slot": (
        [f"INSERT INTO publications {copies('publications', OLD_CURVES, NEWEST_CURVES)}"],
        "curves_of_the_newest_slot",
    ),
    "two ranks exchanged": (
        update(
            "wallet_scores",
            "quant_rank = if(quant_rank = 1, 2, 1)",
            f"as_of = {SECOND} AND quant_rank IN (1, 2)",
        ),
        "ranks_are_dense",
    ),
    "a rank left out": (
        update(
            "wallet_scores",
            "calculated_rank = calculated_rank + 1",
            f"as_of = {LAST} AND calculated_rank > 1",
        ),
        "ranks_are_dense",
    ),
    "an ineligible one is ranked": (
        update("wallet_scores", "is_eligible = false", f"as_of = {LAST} AND calculated_rank = 1"),
        "ranks_are_dense",
    ),
    "a request nobody made": (
        [
            f"INSERT INTO watch_requests__entries (as_of, wallet, requested_at, action, origin) VALUES {REQUEST}"
        ],
        "ledgers_are_complete",
    ),
}


def test_a_sound_store_passes(
    soaked: Evidence, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Audit(soaked.url, soaked.folder).run()
    assert {
        finding.check: finding.wrong for finding in Audit(soaked.url, soaked.folder).run() if finding.wrong
    } == {}
    monkeypatch.setattr("sys.argv", ["audit", soaked.url, str(soaked.folder)])
    assert main() == 0
    assert "AUDIT: nothing lost, duplicated, mixed or faked" in capsys.readouterr().out


@pytest.mark.parametrize(
    "plant",
    [pytest.param(name, marks=() if name in IN_SUITE else pytest.mark.soak) for name in PLANTS],
)
def test_a_planted_violation_is_found(copied: tuple[Evidence, Warehouse], plant: str) -> None:
    evidence, store = copied
    statements, check = PLANTS[plant]
    for statement in statements:
        store.command(
            f"{statement} SETTINGS mutations_sync = 2" if statement.startswith("ALTER") else statement
        )
    wrong = evidence.audit()
    assert check in wrong, f"found only {wrong}"


def test_violations_are_reported_and_fail(
    copied: tuple[Evidence, Warehouse], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence, store = copied
    for statement in withdraw("wallet_scores", SECOND):
        store.command(statement)
    assert evidence.config.database is not None
    monkeypatch.setattr(
        "sys.argv", ["audit", evidence.url, str(evidence.folder), "--database", evidence.config.database]
    )
    assert main() == 1
    told = capsys.readouterr().out
    assert "2026-06-02T20:10Z succeeded and is not in wallet_scores" in told
    assert "violations" in told
    assert not list(report([]))[:-1]


def test_a_soak_that_was_cut_short_is_no_evidence(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_text('{"event": "start", "database": "soak", "tables": []}\n')
    with pytest.raises(UnusableEvidenceError, match="cut short"):
        Journal(journal)


def test_the_audit_shares_nothing_with_what_it_audits() -> None:
    text = (Path(__file__).parent / "audit.py").read_text()
    imported = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert imported
    assert not [line for line in imported if "hl_assets" in line]
