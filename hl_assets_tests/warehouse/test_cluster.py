"""Tables on a cluster: the generated SQL as text, read by ClickHouse's own parser, and used on a cluster of one shard."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hl_assets.schemas import TABLES
from hl_assets.schemas.grades import GRADE_CALLS
from hl_assets.schemas.scores import SCORE_RUNS
from hl_assets.settings import Settings
from hl_assets.warehouse import ddl, schema_changes
from hl_assets.warehouse.config import ClickHouseUrlError, WarehouseConfig
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.errors import SchemaMismatchError
from hl_assets.warehouse.manifest import Manifest
from hl_assets.warehouse.migrations import MIGRATIONS, AddColumn, Migration
from hl_assets.warehouse.publish import Publisher
from hl_assets.warehouse.upgrade import upgrade
from hl_assets_tests.warehouse.contracts import MARKS, MARKS_BY_WALLET, PROVENANCE, SLOT, T0, marks
from hl_assets_tests.warehouse.rehearsed_cluster import CLUSTER, serving_cluster

LAYOUT = ddl.Layout("prod", "hl_assets")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseConfig]:
    folder = tmp_path_factory.mktemp("configuration")
    with serving_cluster(tmp_path_factory.mktemp("clickhouse"), folder) as url:
        yield WarehouseConfig(url=url, cluster=CLUSTER, attempts=1)


@pytest.fixture
def store(cluster: WarehouseConfig) -> Iterator[Warehouse]:
    with Warehouse(replace(cluster, database=f"db_{uuid.uuid4().hex[:8]}")) as opened:
        yield opened
        opened.drop_database()


class TestStatements:
    """As text."""

    def test_rows_of_wallets_lie_in_a_replicated_table_of_each_shard(self) -> None:
        held, whole = ddl.create_stored_tables(MARKS_BY_WALLET, LAYOUT).values()
        assert held.startswith(
            "CREATE TABLE IF NOT EXISTS `marks_by_wallet__versions__local` ON CLUSTER `prod` ("
        )
        assert (
            "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')\n"
            "PARTITION BY toYYYYMMDD(as_of)\n"
            "ORDER BY (`wallet`, `as_of`)"
        ) in held
        assert whole == (
            "CREATE TABLE IF NOT EXISTS `marks_by_wallet__versions` ON CLUSTER `prod` AS `marks_by_wallet__versions__local`\n"
            "ENGINE = Distributed('prod', 'hl_assets', 'marks_by_wallet__versions__local', cityHash64(`wallet`))\n"
            "COMMENT 'Every version of the rows of marks_by_wallet; query marks_by_wallet instead'"
        )

    def test_what_is_not_about_wallets_is_on_every_server(self) -> None:
        (sql,) = ddl.create_stored_tables(SCORE_RUNS, LAYOUT).values()
        assert sql.startswith("CREATE TABLE IF NOT EXISTS `score_runs__versions` ON CLUSTER `prod` (")
        everywhere = "ReplicatedMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}')"
        assert everywhere in sql
        assert everywhere in ddl.create_publications(LAYOUT)
        assert everywhere.replace("Merge", "ReplacingMerge", 1) in ddl.create_migrations(LAYOUT)

    def test_the_manifest_is_asked_once_where_rows_are_spread(self) -> None:
        assert "GLOBAL IN (\n    SELECT as_of, version FROM `publications`" in ddl.create_public_view(
            MARKS, LAYOUT
        )
        assert "GLOBAL" not in ddl.create_public_view(SCORE_RUNS, LAYOUT)
        assert "GLOBAL" not in ddl.create_public_view(MARKS)

    def test_ledgers_replace_within_a_shard(self) -> None:
        held, _ = ddl.create_stored_tables(GRADE_CALLS, LAYOUT).values()
        assert "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/" in held
        assert "wallet" in GRADE_CALLS.key, "equal entries are of one wallet, so on one shard"

    def test_every_statement_names_the_cluster(self) -> None:
        changes = schema_changes.plan_changes(TABLES, {}, LAYOUT)
        assert all(" ON CLUSTER `prod`" in statement for statement in changes.statements)
        assert " ON CLUSTER `prod`" in ddl.create_database("hl_assets", LAYOUT)

    def test_each_ledger_and_table_of_wallets_keys_by_wallet(self) -> None:
        """A key without the wallet could be on two shards, where FINAL would not see that it is there twice."""
        for contract in TABLES:
            if LAYOUT.is_sharded(contract):
                assert ddl.SHARDED_BY in contract.key, contract.name

    def test_clickhouse_parses_all_of_it(self, store: Warehouse) -> None:
        store.ensure_tables([])
        changes = schema_changes.plan_changes(TABLES, {}, LAYOUT)
        for statement in (ddl.create_database("hl_assets", LAYOUT), *changes.statements):
            ((parsed,),) = store.read_rows("SELECT formatQuery({sql:String})", {"sql": statement})
            assert "ON CLUSTER prod" in parsed

    def test_a_cluster_needs_a_server_and_a_plain_name(self) -> None:
        with pytest.raises(ClickHouseUrlError, match="CLICKHOUSE_CLUSTER=prod needs CLICKHOUSE_URL"):
            WarehouseConfig(home=Path("x"), cluster="prod")
        with pytest.raises(ValueError, match="not a usable SQL name"):
            ddl.Layout("prod; DROP", "hl_assets")
        with pytest.raises(ValueError, match="CLICKHOUSE_CLUSTER"):
            Settings.load(clickhouse_url="http://h:8123", clickhouse_cluster="a b")


class TestUsed:
    """On a cluster of one shard; `rehearsed_cluster` says what is real there."""

    def test_tables_are_created_once_and_then_recognised(self, store: Warehouse) -> None:
        store.ensure_tables(TABLES)
        names = schema_changes.object_names(TABLES, store.layout)
        stored = store.stored_objects(names)
        assert set(stored) == set(names)
        assert stored["wallet_scores__versions"].engine == "Distributed"
        assert schema_changes.plan_changes(TABLES, stored, store.layout) == schema_changes.Changes((), ())
        assert [sql for _, sql in upgrade(store, TABLES).migrations] == [()] * len(MIGRATIONS)
        assert upgrade(store, TABLES).is_empty

    def test_a_database_of_one_server_is_not_taken_for_a_clusters(self, cluster: WarehouseConfig) -> None:
        with Warehouse(replace(cluster, cluster=None, database="alone")) as alone:
            alone.ensure_tables([MARKS])
        with (
            Warehouse(replace(cluster, database="alone")) as store,
            pytest.raises(
                SchemaMismatchError, match="marks__versions: is a ReplicatedMergeTree, not a Distributed"
            ),
        ):
            store.ensure_tables([MARKS])

    def test_publishing_replacing_withdrawing_and_sweeping(self, store: Warehouse) -> None:
        store.ensure_tables([MARKS])
        publisher = Publisher(store, retain_seconds=0)
        publisher.replace_slice(MARKS, T0, marks(T0, [1.0, 2.0, 3.0]), PROVENANCE)
        publisher.replace_slice(MARKS, T0 + SLOT, marks(T0 + SLOT, [4.0]), PROVENANCE)
        again = publisher.replace_slice(MARKS, T0, marks(T0, [5.0]), PROVENANCE)
        assert again.replaced_rows == 3
        assert list(store.read_table(MARKS)["mark"]) == [5.0, 4.0]
        publisher.withdraw(MARKS, [T0], PROVENANCE)
        assert list(store.read_table(MARKS)["mark"]) == [4.0]
        assert set(Manifest(store).committed(MARKS)) == {T0 + SLOT}
        publisher.sweep(MARKS)
        assert store.read_rows("SELECT count() FROM marks__versions__local") == [(1,)]
        assert publisher.compact(MARKS), "the partition is mostly deleted rows"

    def test_views_join_and_nest(self, store: Warehouse) -> None:
        store.ensure_tables([MARKS, MARKS_BY_WALLET])
        publisher = Publisher(store)
        for contract in (MARKS, MARKS_BY_WALLET):
            publisher.replace_slice(contract, T0, marks(T0, [1.0, 2.0, 3.0]), PROVENANCE)
        joined = store.read_rows(
            "SELECT sum(a.mark * b.mark) FROM marks AS a JOIN marks_by_wallet AS b USING (as_of, wallet) "
            "WHERE wallet IN (SELECT wallet FROM marks WHERE mark > 1)"
        )
        assert joined == [(13.0,)]

    def test_migrations_change_both_tables(self, store: Warehouse) -> None:
        note = Migration(1, "marks have a note", (AddColumn("marks__versions", "note", "Nullable(String)"),))
        store.ensure_tables([MARKS])
        Publisher(store).replace_slice(MARKS, T0, marks(T0, [1.0]), PROVENANCE)
        for statement in note.statements(
            store.stored_objects(["marks__versions", "marks__versions__local"]), store.layout
        ):
            store.command(statement)
        assert store.read_rows("SELECT mark, note FROM marks__versions") == [(1.0, None)]
