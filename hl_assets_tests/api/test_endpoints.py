"""What endpoints answer, compared with what is stored."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pandas as pd
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from hl_assets.api.nulls import MEANINGS, NONE_MEANS_NONE
from hl_assets.api.text import safe_name, safe_prose
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.equity import EQUITY_CURVES
from hl_assets.schemas.grades import AI_GRADES
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.scores import SCORE_RUNS, WALLET_SCORES
from hl_assets.slots import slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.api.conftest import HOSTILE, SLOTS
from hl_assets_tests.api.grades import CANONICAL_INPUT, HOSTILE_PROSE, RAW_ANSWER
from hl_assets_tests.pipeline.conftest import SLOT

HIDDEN = {"vault", "system_address", "zero_volume"}


def get(api: httpx.Client, path: str, **parameters: Any) -> dict[str, Any]:
    answer = api.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def stored_rows(store: Warehouse, table: TableContract, slot: Any = SLOT) -> pd.DataFrame:
    return store.read_table(table, as_of=slot).set_index("wallet", drop=False)


def shown(scores: pd.DataFrame) -> pd.DataFrame:
    """Ranked wallets that the default filter shows, best first."""
    kept = scores["is_eligible"] & ~scores["entity_flags"].map(lambda flags: bool(HIDDEN & set(flags)))
    return scores[kept].sort_values("calculated_rank")


def same(value: Any, stored: Any) -> bool:
    return pd.isna(stored) if value is None else bool(value == stored)


# The plain list


def test_wallets_are_the_best_of_the_newest_slot(api: httpx.Client, store: Warehouse) -> None:
    body = get(api, "/wallets", top_n=7)
    scores, metrics = stored_rows(store, WALLET_SCORES), stored_rows(store, WALLET_METRICS)
    assert [row["wallet_id"] for row in body["data"]] == list(shown(scores)["wallet"])[:7]
    for row in body["data"]:
        for name in ("total_pnl", "account_value", *SCORED_METRICS):
            assert same(row[name], metrics.loc[row["wallet_id"], name]), name
        for name in ("weighted_score", "calculated_rank", "agent_score", "trust", "rank_change"):
            assert same(row[name], scores.loc[row["wallet_id"], name]), name
    metadata = body["metadata"]
    assert metadata["count"] == 7
    assert metadata["timestamp"] == metadata["snapshot"]["as_of"] == slot_text(SLOT)
    assert metadata["filters"] == {
        "entity": "traders",
        "hidden_flags": ["vault", "system_address", "zero_volume"],
    }
    assert metadata["run"] is None
    assert metadata["snapshot"]["consistent"]
    assert not metadata["snapshot"]["stale"]


def test_the_grader_s_words_are_served_harmless(api: httpx.Client, store: Warehouse) -> None:
    grades = stored_rows(store, AI_GRADES)
    texts = {row["wallet_id"]: row for row in get(api, "/wallets", top_n=200)["data"]}
    model = [row for row in texts.values() if row["grade_source"] in {"llm", "cache"}]
    assert model
    for row in model:
        assert row["agent_analysis_text"] == safe_prose(HOSTILE_PROSE)
        assert row["hidden_risks"] == [safe_prose(HOSTILE_PROSE)]
    for wallet, row in texts.items():
        if grades.loc[wallet, "status"] != "graded":
            assert row["agent_analysis_text"] is None
            assert row["null_reasons"]["agent_analysis_text"] == grades.loc[wallet, "status"]


def test_without_analysis_nothing_of_the_model_is_served(api: httpx.Client) -> None:
    row = get(api, "/wallets", top_n=1, skip_analysis="true")["data"][0]
    gone = {
        "agent_analysis_text",
        "agent_score",
        "agent_rank",
        "trading_style",
        "hidden_risks",
        "grade_source",
    }
    assert not gone & set(row)
    assert not gone & set(row["null_reasons"])
    assert row["weighted_score"] is not None


# The leaderboard


def test_pages_make_up_the_list(api: httpx.Client, store: Warehouse) -> None:
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        body = get(api, "/v1/leaderboard", limit=9, **cursor)
        rows += body["data"]
        if body["page"]["next_cursor"] is None:
            break
        cursor = {"cursor": body["page"]["next_cursor"]}
    scores = stored_rows(store, WALLET_SCORES)
    assert [row["wallet"] for row in rows] == list(shown(scores)["wallet"])
    assert body["page"]["total_eligible"] == len(rows)
    assert body["page"]["total_excluded"] == len(scores) - len(rows)
    assert body["filters"]["hidden_flags"] == ["vault", "system_address", "zero_volume"]


@pytest.mark.parametrize(
    ("parameters", "condition"),
    [
        ({"min_trust": 40}, lambda row: row["trust"] >= 40),
        ({"min_sample_days": 150.5}, lambda row: row["sample_days"] >= 150.5),
        ({"style": "Systematic Quant"}, lambda row: row["trading_style"] == "Systematic Quant"),
        ({"entity": "one_big_win"}, lambda row: "one_big_win" in row["entity_flags"]),
        ({"entity": "zero_volume"}, lambda row: "zero_volume" in row["entity_flags"]),
        ({"entity": "traders"}, lambda row: not HIDDEN & set(row["entity_flags"])),
        (
            {"min_sample_days": 100, "style": "Unclassified", "entity": "all"},
            lambda row: row["sample_days"] >= 100 and row["trading_style"] == "Unclassified",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_filters(
    api: httpx.Client, parameters: Mapping[str, Any], condition: Callable[[Mapping[str, Any]], bool]
) -> None:
    everybody = get(api, "/v1/leaderboard", limit=200, entity="all")["data"]
    entity = {"entity": parameters.get("entity", "traders")}
    among = (
        get(api, "/v1/leaderboard", limit=200, **entity)["data"] if "entity" not in parameters else everybody
    )

    def holds(row: Mapping[str, Any]) -> bool:
        return None not in (
            row["trust"] if "min_trust" in parameters else 0,
            row["sample_days"],
        ) and condition(row)

    body = get(api, "/v1/leaderboard", limit=200, **parameters)
    expected = [row["wallet"] for row in among if holds(row)]
    assert expected
    assert [row["wallet"] for row in body["data"]] == expected
    assert body["page"]["total_eligible"] == len(expected)
    for name, value in parameters.items():
        assert body["filters"][name] == value


@pytest.mark.parametrize(
    "sort", ["roi", "max_drawdown", "trust", "agent_score", "total_pnl", "rank_change", "quant_score"]
)
def test_the_best_come_first_and_the_unknown_last(api: httpx.Client, sort: str) -> None:
    values = [row[sort] for row in get(api, "/v1/leaderboard", limit=200, sort=sort, entity="all")["data"]]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=True)
    assert values == known + [None] * (len(values) - len(known))
    assert known


def test_a_filter_that_nobody_passes_gives_an_empty_page(api: httpx.Client) -> None:
    body = get(api, "/v1/leaderboard", style="Risk Parity")
    assert body["data"] == []
    assert body["page"] == {"next_cursor": None, "total_eligible": 0, "total_excluded": 40}


def test_trend_on_request(api: httpx.Client) -> None:
    without = get(api, "/v1/leaderboard", limit=2)["data"]
    rows = get(api, "/v1/leaderboard", limit=2, include_trend="true")["data"]
    assert all("trend" not in row for row in without)
    assert rows[0]["trend"]["trend_slope"] == 1.5
    assert rows[0]["trend"]["trend_direction"] == "stable"
    assert rows[1]["trend"]["trend_slope"] is None
    assert rows[1]["null_reasons"]["trend_slope"] == "too_few_scores"


@pytest.mark.parametrize(
    ("as_of", "slot"),
    [
        ("2026-05-31T12:10:00Z", SLOTS[2]),
        ("2026-05-31T12:09:59Z", SLOTS[1]),
        ("2026-05-31T14:05:00+02:00", SLOTS[1]),
        ("2026-05-31T11:59:00", SLOTS[0]),
        ("2026-06-01", SLOTS[2]),
        ("9999-12-31", SLOTS[2]),
    ],
)
def test_as_of_answers_the_newest_slot_at_or_before(api: httpx.Client, as_of: str, slot: Any) -> None:
    for path in ("/v1/leaderboard", "/v1/leaderboard/summary"):
        assert get(api, path, as_of=as_of)["snapshot"]["as_of"] == slot_text(slot)


def test_the_summary_counts_what_is_stored(api: httpx.Client, store: Warehouse) -> None:
    data = get(api, "/v1/leaderboard/summary")["data"]
    scores = stored_rows(store, WALLET_SCORES)
    traders = shown(scores)
    assert (data["wallets"], data["ranked"]) == (len(scores), len(traders))
    assert data["filtered_out"] == int(scores["is_eligible"].sum()) - len(traders)
    assert sum(data["by_trust_label"].values()) == sum(data["by_style"].values()) == len(traders)
    found = data["quantiles"]["weighted_score"]
    assert found["n"] == len(traders)
    assert found["p50"] == pytest.approx(traders["weighted_score"].median())
    assert found["p90"] == pytest.approx(traders["weighted_score"].quantile(0.9))
    assert data["quantiles"]["trust"]["n"] == int(traders["trust"].notna().sum())


# One wallet


def test_a_wallet_s_page_has_everything_with_its_provenance(
    api: httpx.Client, store: Warehouse, best: str
) -> None:
    body = get(api, f"/v1/wallets/{best.upper().replace('0X', '0x')}")
    assert body["wallet"] == best
    for part, table in (("metrics", WALLET_METRICS), ("scores", WALLET_SCORES), ("grade", AI_GRADES)):
        stored = stored_rows(store, table).loc[best]
        served = [name for name in table.column_names if name in body[part] and name != "null_reasons"]
        assert len(served) >= len(table.column_names) - 5
        for name in served:
            if isinstance(body[part][name], float | int) or body[part][name] is None:
                assert same(body[part][name], stored[name]), name
    assert body["account"]["display_name"] == safe_name(HOSTILE)
    provenance = body["provenance"]
    assert provenance["wallet_scores"]["inputs"]["wallet_metrics"] == provenance["wallet_metrics"]["version"]
    assert body["snapshot"]["as_of"] == slot_text(SLOT)


def test_a_wallet_that_is_only_on_the_board_says_what_is_missing(api: httpx.Client, store: Warehouse) -> None:
    [(wallet,)] = store.read_rows(
        "SELECT wallet FROM leaderboard_rows WHERE wallet NOT IN (SELECT wallet FROM portfolio_fetches) LIMIT 1"
    )
    body = get(api, f"/v1/wallets/{wallet}")
    assert body["account"] is not None
    assert body["null_reasons"] == dict.fromkeys(("metrics", "scores", "grade", "fetch"), "not_fetched")
    assert get(api, f"/v1/wallets/{wallet}/equity")["data"] == []
    assert get(api, f"/v1/wallets/{wallet}/scores")["data"] == []


def test_prompts_and_raw_answers_are_not_served(api: httpx.Client, store: Warehouse) -> None:
    [(wallet,)] = store.read_rows("SELECT wallet FROM grade_calls LIMIT 1")
    for path in (f"/v1/wallets/{wallet}", f"/v1/wallets/{wallet}/grades"):
        text = api.get(path).text
        assert '"model":"a-model"' in text, "the provenance is"
        assert RAW_ANSWER not in text
        assert CANONICAL_INPUT not in text


def test_an_equity_curve_is_the_stored_one(api: httpx.Client, store: Warehouse, best: str) -> None:
    body = get(api, f"/v1/wallets/{best}/equity", step="raw")
    stored = store.read_table(EQUITY_CURVES, where={"wallet": best, "scope": "all"})
    assert len(body["data"]) == len(stored)
    assert [point["return_index"] for point in body["data"]] == list(stored["return_index"])
    assert body["curve_as_of"] == slot_text(SLOTS[0])
    middle = slot_text(stored["ts"].iloc[len(stored) // 2].ceil("s") + pd.Timedelta(seconds=1))
    until = get(api, f"/v1/wallets/{best}/equity", step="raw", to=middle)["data"]
    since = get(api, f"/v1/wallets/{best}/equity", step="raw", **{"from": middle})["data"]
    assert until + since == body["data"]
    assert 0 < len(get(api, f"/v1/wallets/{best}/equity", step="week")["data"]) < len(body["data"])


def test_scores_of_a_range_of_slots(api: httpx.Client, best: str) -> None:
    everything = get(api, f"/v1/wallets/{best}/scores")["data"]
    assert [row["as_of"] for row in everything] == [slot_text(slot) for slot in SLOTS]
    some = get(
        api, f"/v1/wallets/{best}/scores", **{"from": "2026-05-31T11:50:00Z", "to": "2026-05-31T12:05:00Z"}
    )
    assert some["data"] == everything[1:2]
    assert (some["from"], some["to"]) == ("2026-05-31T11:50:00Z", "2026-05-31T12:05:00Z")


def test_a_grade_that_stood_is_one_entry(api: httpx.Client, best: str) -> None:
    [grade] = get(api, f"/v1/wallets/{best}/grades")["data"]
    assert (grade["first_as_of"], grade["last_as_of"], grade["slots"]) == (
        slot_text(SLOTS[0]),
        slot_text(SLOT),
        3,
    )


# Runs


def test_the_funnel_of_a_slot(api: httpx.Client, store: Warehouse) -> None:
    body = get(api, f"/v1/runs/{slot_text(SLOTS[1])}/funnel")
    stored = store.read_table(SCORE_RUNS, as_of=SLOTS[1]).iloc[0]
    assert {gate["gate"]: gate["entered"] for gate in body["funnel"]} == dict(stored["funnel_entered"])
    assert all(gate["passed"] <= gate["entered"] for gate in body["funnel"])
    assert body["run"]["config_hash"] == stored["config_hash"]
    assert body["run"]["null_reasons"].keys() == {
        name for name, value in body["run"].items() if value is None
    }


def test_coverage_names_the_missing_slot(api: httpx.Client) -> None:
    body = get(api, "/v1/coverage")
    assert (body["from"], body["to"], body["expected"]) == (slot_text(SLOTS[0]), slot_text(SLOT), 4)
    gap = {"first": "2026-05-31T11:50:00Z", "last": "2026-05-31T11:50:00Z", "slots": 1}
    for table in body["tables"].values():
        assert table == {"present": 3, "missing": 1, "reconstructed": 0, "gaps": [gap]}
    assert get(api, "/v1/coverage", to="2026-05-31T11:45:00Z")["expected"] == 1
    assert get(api, "/v1/coverage", **{"from": "2026-05-31T12:25:00Z"})["expected"] == 0


# Nulls


def _documents(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "null_reasons" in value:
            yield value
        for inner in value.values():
            yield from _documents(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _documents(inner)


def test_every_null_of_every_answer_has_a_known_reason(
    api: httpx.Client, best: str, store: Warehouse
) -> None:
    wallets = [row["wallet"] for row in get(api, "/v1/leaderboard", limit=200, entity="all")["data"]]
    paths = ["/wallets?top_n=200", "/v1/leaderboard?limit=200&entity=all&include_trend=true"]
    paths += [f"/v1/wallets/{wallet}" for wallet in wallets[::4]]
    paths += [f"/v1/wallets/{best}/{page}" for page in ("equity?step=raw", "scores", "grades")]
    paths.append(f"/v1/runs/{slot_text(SLOT)}/funnel")
    checked = 0
    for path in paths:
        for document in _documents(get(api, path)):
            nulls = {name for name, value in document.items() if value is None} - NONE_MEANS_NONE - {"call"}
            nulls |= {name for name, value in (document.get("trend") or {}).items() if value is None}
            missing = nulls - set(document["null_reasons"])
            assert not missing, (path, missing)
            unknown = set(document["null_reasons"].values()) - set(MEANINGS)
            assert not unknown, (path, unknown)
            checked += len(nulls)
    assert checked > 100


# HTTP


def test_an_answer_that_the_client_has_is_not_sent_again(api: httpx.Client) -> None:
    first = api.get("/v1/leaderboard")
    again = api.get("/v1/leaderboard", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    other = api.get("/v1/leaderboard?limit=1", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200
    older = api.get(
        "/v1/leaderboard",
        params={"as_of": slot_text(SLOTS[0])},
        headers={"If-None-Match": first.headers["etag"]},
    )
    assert older.status_code == 200


def test_answers_are_compressed_for_those_who_take_it(api: httpx.Client) -> None:
    with api.stream("GET", "/v1/leaderboard", headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == "gzip"
    plain = api.get("/v1/leaderboard", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 3
    assert "Accept-Encoding" in plain.headers["vary"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("trace-1.2_A", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a;b", False), ("", False)],
)
def test_request_ids(api: httpx.Client, given: str, kept: bool) -> None:
    said = api.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert (said == given) is kept
    assert said
    problem = api.get("/nowhere", headers={"X-Request-ID": "mine"}).json()
    assert problem["instance"] == "urn:hl-assets:request:mine"


def test_the_log_has_the_request_id_and_nothing_that_was_sent(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="hl_assets.api"):
        TestClient(app).get("/v1/wallets/EVIL%0D%0Aforged?EVIL=1", headers={"X-Request-ID": "mine"})
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("hl_assets.api")]
    assert any("request_id=mine" in line and "GET /v1/wallets/{address} 422" in line for line in lines)
    assert not any("EVIL" in line for line in lines)


def test_metrics_count_by_route(api: httpx.Client) -> None:
    api.get("/healthz")
    api.get("/v1/wallets/0x" + "0" * 40)
    text = api.get("/metrics").text
    assert 'hl_assets_api_requests_total{method="GET",route="/healthz",status="200"}' in text
    assert 'route="/v1/wallets/{address}",status="404"' in text
    assert "hl_assets_api_warehouse_up 1.0" in text
    [newest] = [
        line for line in text.splitlines() if line.startswith("hl_assets_api_newest_slot_timestamp_seconds ")
    ]
    assert float(newest.split()[1]) == SLOT.timestamp()


def test_cors_is_off_unless_origins_are_configured(
    api: httpx.Client, make_app: Callable[..., FastAPI]
) -> None:
    origin = {"Origin": "https://board.example"}
    assert "access-control-allow-origin" not in api.get("/healthz", headers=origin).headers
    client = TestClient(make_app(api_cors_origins="https://board.example"))
    assert (
        client.get("/healthz", headers=origin).headers["access-control-allow-origin"]
        == "https://board.example"
    )
    other = client.get("/healthz", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_hostile_names_are_in_no_header(api: httpx.Client, best: str) -> None:
    answer = api.get(f"/v1/wallets/{best}")
    assert safe_name(HOSTILE) in answer.text.replace("\\", "")
    assert json.dumps(dict(answer.headers)).count("evil") == 0
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
