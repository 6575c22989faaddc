"""The SQL generated from contracts, as text, and the comparison with what is stored."""

from dataclasses import replace

import pytest

from hl_assets.schemas.grades import GRADE_CALLS
from hl_assets.warehouse import ddl, schema_changes
from hl_assets.warehouse.codecs import codec_of_type
from hl_assets_tests.warehouse.contracts import EVERYTHING, MARKS, MARKS_BY_WALLET


def _stored(contract=MARKS) -> dict[str, schema_changes.StoredTable]:
    columns = {spec.name: (spec.clickhouse_type, ddl.comment_of(spec)) for spec in contract.columns}
    return {
        ddl.PUBLICATIONS: schema_changes.StoredTable(
            "MergeTree",
            columns={name: (kind, "") for name, kind in ddl.PUBLICATION_COLUMNS.items()},
            codecs={name: f"CODEC({codec_of_type(kind)})" for name, kind in ddl.PUBLICATION_COLUMNS.items()},
        ),
        ddl.MIGRATIONS: schema_changes.StoredTable("ReplacingMergeTree"),
        ddl.versions_table(contract): schema_changes.StoredTable(
            "MergeTree",
            sorting_key=", ".join(contract.order_by),
            partition_key=contract.partition_by,
            columns=columns | {"_version": ("UInt64", "any")},
            codecs={name: f"CODEC({codec})" for name, codec in ddl.stored_codecs(contract).items()},
        ),
        ddl.rows_view(contract): schema_changes.StoredTable(
            "View", comment=_comment(ddl.create_rows_view(contract))
        ),
        contract.name: schema_changes.StoredTable("View", comment=_comment(ddl.create_public_view(contract))),
    }


def _comment(create: str) -> str:
    return create.rsplit("COMMENT", 1)[1]


def test_versions_table() -> None:
    sql = ddl.create_stored_tables(MARKS_BY_WALLET)["marks_by_wallet__versions"]
    assert sql == (
        "CREATE TABLE IF NOT EXISTS `marks_by_wallet__versions` (\n"
        "    `as_of` DateTime('UTC') COMMENT '10-minute slot the row describes [UTC]' CODEC(Delta(4), ZSTD(1)),\n"
        "    `wallet` String COMMENT 'Account address, lower case' CODEC(ZSTD(1)),\n"
        "    `mark` Float64 COMMENT 'It\\'s the wallet\\'s \\\\ mark [USD]' CODEC(ZSTD(1)),\n"
        "    `_version` UInt64 COMMENT 'Publication the row belongs to' CODEC(ZSTD(1))\n"
        ")\n"
        "ENGINE = MergeTree\n"
        "PARTITION BY toYYYYMMDD(as_of)\n"
        "ORDER BY (`wallet`, `as_of`)\n"
        "COMMENT 'Every version of the rows of marks_by_wallet; query marks_by_wallet instead'"
    )


def test_public_view_reads_through_the_rows_view() -> None:
    sql = ddl.create_public_view(MARKS)
    assert "FROM `marks__rows`\nWHERE (as_of, `_version`) IN (" in sql
    assert "WHERE table_name = 'marks'" in sql
    assert "`_version`" not in sql.split("FROM")[0]
    assert "second paragraph" not in sql
    assert "FROM `marks__versions`" in ddl.create_rows_view(MARKS)


def test_manifest_is_one_partition() -> None:
    assert "PARTITION BY" not in ddl.create_publications()


@pytest.mark.parametrize("name", ["a`b", "a b", "1a", "", "a;b", "a'b", "ä"])
def test_only_plain_names_become_identifiers(name: str) -> None:
    with pytest.raises(ValueError, match="not a usable SQL name"):
        ddl.identifier(name)


def test_everything_missing_is_created_in_order() -> None:
    changes = schema_changes.plan_changes([MARKS], {})
    assert [statement.split("`")[1] for statement in changes.statements] == [
        "publications",
        "schema_migrations",
        "marks__versions",
        "marks__rows",
        "marks",
    ]
    assert not changes.differences


def test_nothing_to_do() -> None:
    assert schema_changes.plan_changes([MARKS], _stored()) == schema_changes.Changes((), ())


def test_keys_are_compared_without_decoration() -> None:
    stored = _stored()
    name = ddl.versions_table(MARKS)
    stored[name] = replace(stored[name], sorting_key="(as_of,wallet)", partition_key="toYYYYMM( `as_of` )")
    assert not schema_changes.plan_changes([MARKS], stored).differences


def test_differences_are_listed_one_by_one() -> None:
    stored = _stored()
    name = ddl.versions_table(MARKS)
    stored[name] = replace(
        stored[name],
        sorting_key="wallet",
        partition_key="",
        columns={"as_of": ("DateTime", ""), "wallet": ("String", ""), "extra": ("String", "")},
    )
    differences = schema_changes.plan_changes([MARKS], stored).differences
    assert set(differences) == {
        "marks__versions: column mark is missing (type Float64)",
        "marks__versions: column _version is missing (type UInt64)",
        "marks__versions: column extra is not in the contract",
        "marks__versions: column as_of is DateTime, the contract says DateTime('UTC')",
        "marks__versions: sorting key is 'wallet', the contract says 'as_of, wallet'",
        "marks__versions: partition key is '', the contract says 'toYYYYMM(as_of)'",
    }


def test_a_table_where_a_view_belongs_is_not_replaced() -> None:
    stored = _stored() | {"marks": schema_changes.StoredTable("MergeTree")}
    assert schema_changes.plan_changes([MARKS], stored).differences == ("marks: is a MergeTree, not a View",)


def test_changed_view_is_replaced_and_changed_comment_updated() -> None:
    stored = _stored()
    stored["marks"] = replace(stored["marks"], comment="old [definition 000000000000]")
    name = ddl.versions_table(MARKS)
    columns = dict(stored[name].columns) | {"mark": ("Float64", "old words")}
    stored[name] = replace(stored[name], columns=columns)
    statements = schema_changes.plan_changes([MARKS], stored).statements
    assert statements[0].startswith("ALTER TABLE `marks__versions` COMMENT COLUMN `mark` 'It\\'s")
    assert statements[1].startswith("CREATE OR REPLACE VIEW `marks`")
    assert len(statements) == 2


def test_definitions_differ_when_contracts_differ() -> None:
    digests = {
        schema_changes.definition_of(ddl.create_public_view(contract)) for contract in (MARKS, EVERYTHING)
    }
    assert len(digests) == 2
    assert None not in digests


def test_a_changed_codec_is_updated_in_one_statement_per_table() -> None:
    stored = _stored()
    name = ddl.versions_table(MARKS)
    codecs = dict(stored[name].codecs) | {"as_of": "", "mark": "CODEC(Gorilla(8), LZ4)"}
    stored[name] = replace(stored[name], codecs=codecs)
    (statement,) = schema_changes.plan_changes([MARKS], stored).statements
    assert statement == (
        "ALTER TABLE `marks__versions` MODIFY COLUMN `as_of` CODEC(Delta(4), ZSTD(1)), "
        "MODIFY COLUMN `mark` CODEC(ZSTD(1))"
    )


def test_the_manifest_has_codecs_too() -> None:
    stored = _stored()
    stored[ddl.PUBLICATIONS] = replace(stored[ddl.PUBLICATIONS], codecs={})
    (statement,) = schema_changes.plan_changes([MARKS], stored).statements
    assert statement.startswith("ALTER TABLE `publications` MODIFY COLUMN `table_name` CODEC(ZSTD(1)), ")
    assert statement.count("MODIFY COLUMN") == len(ddl.PUBLICATION_COLUMNS)


def test_a_columns_own_codec_goes_before_its_types() -> None:
    assert ddl.stored_codecs(GRADE_CALLS)["raw_answer"] == "ZSTD(9)"
    assert ddl.stored_codecs(GRADE_CALLS)["error"] == "ZSTD(1)"
    assert (
        "`raw_answer` Nullable(String) COMMENT"
        in ddl.create_stored_tables(GRADE_CALLS)["grade_calls__entries"]
    )
