"""A slot that cannot be derived is set aside, blocks nobody, and stays red until it is replayed or waived."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import hl_assets.assets.wallet_metrics as asset
from hl_assets.assets.coverage_facts import read_facts
from hl_assets.assets.quarantine import read_set_aside, waive
from hl_assets.coverage.classify import Knowledge, classify
from hl_assets.coverage.vocabulary import Cause
from hl_assets.warehouse.connection import Warehouse
from hl_assets_tests.pipeline.conftest import DAY, DERIVED, RAW, SLOT, Platform, checks_of, failure_of

SECOND = SLOT + timedelta(minutes=10)
THIRD = SLOT + timedelta(minutes=20)


class PoisonError(RuntimeError):
    """What deriving the poisoned slot raises."""


def poison(monkeypatch: pytest.MonkeyPatch, slots: list[Any], *, breaking: str) -> None:
    """Have metrics of some slots fail. The domain meets no such data here, so its last step is replaced."""
    original = asset.metric_rows

    def poisoned(*arguments: Any, **named: Any) -> pd.DataFrame:
        rows = original(*arguments, **named)
        if named["slot"] not in slots:
            return rows
        if breaking == "raises":
            raise PoisonError("division by a curve")
        return rows.assign(roi=-5.0)

    monkeypatch.setattr(asset, "metric_rows", poisoned)


def quarantined(platform: Platform) -> list[tuple[str, Any, bool]]:
    with Warehouse(platform.warehouse) as store:
        return [(one.table, one.slot, one.waived) for one in read_set_aside(store)]


def quarantine_check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    return checks_of(result)["wallet_metrics", "quarantine"]


@pytest.mark.parametrize("breaking", ["raises", pytest.param("contract", marks=pytest.mark.soak)])
def test_a_poisoned_slot_fails_its_own_tick_and_no_later_one(
    ticked: Platform, monkeypatch: pytest.MonkeyPatch, breaking: str
) -> None:
    poison(monkeypatch, [SECOND], breaking=breaking)
    result = ticked.tick(at(ticked, SECOND))
    assert not result.success
    why = "division by a curve" if breaking == "raises" else "roi"
    assert why in failure_of(result)
    assert quarantined(ticked) == [("wallet_metrics", SECOND, False)]

    result = ticked.tick(at(ticked, THIRD))
    assert result.success, "the next slot is not held up"
    check = quarantine_check(result)
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.ERROR, False)
    assert check.metadata["slots"].value == 1
    assert "hl-assets backfill --from 2026-05-31" in str(check.metadata["what_to_do"].value)
    assert ticked.manifest_slots()["wallet_scores"] == [SLOT, THIRD]


def test_coverage_names_the_quarantine(ticked: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, [SECOND], breaking="raises")
    observe(ticked, SECOND)
    with Warehouse(ticked.warehouse) as store:
        facts = read_facts(store, [SLOT, SECOND])
    why = classify(facts[SECOND], Knowledge(), began=SLOT, now=THIRD).why
    assert why is not None
    assert why.cause is Cause.QUARANTINED
    assert "wallet_metrics: PoisonError: division by a curve" in (why.detail or "")
    assert facts[SLOT].quarantined == ()


def test_a_poisoned_slot_is_left_out_until_told_otherwise(
    ticked: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, [SECOND], breaking="raises")
    observe(ticked, SECOND)
    observe(ticked, THIRD)
    monkeypatch.undo()  # whatever poisoned it is mended
    result = ticked.materialize(["wallet_metrics"], DAY)
    assert result.success
    assert ticked.manifest_slots()["wallet_metrics"] == [SLOT, THIRD], "same sources, same code: not tried"
    assert not quarantine_check(result).passed

    result = ticked.materialize(DERIVED, DAY, config={"retry_quarantined": True})
    assert result.success
    assert quarantine_check(result).passed
    assert quarantined(ticked) == []
    assert ticked.manifest_slots()["wallet_scores"] == [SLOT, SECOND, THIRD]


def test_new_sources_are_a_new_chance(ticked: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    ticked.fault(endpoint="info", kind="server_error", requests=3)
    poison(monkeypatch, [SECOND], breaking="raises")
    observe(ticked, SECOND)
    monkeypatch.undo()
    ticked.control("DELETE", "/faults")
    observe(ticked, SECOND)  # fetches again what had failed: the slot's sources change
    assert quarantined(ticked) == []


def test_a_waived_slot_is_green_and_stays_missing(ticked: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, [SECOND], breaking="contract")
    observe(ticked, SECOND)
    with Warehouse(ticked.warehouse) as store:
        waive(store, read_set_aside(store)[0], "the exchange sent garbage", now=ticked.now)
    result = observe(ticked, THIRD)
    assert quarantine_check(result).passed
    assert quarantine_check(result).metadata["waived"].value == 1
    assert quarantined(ticked) == [("wallet_metrics", SECOND, True)]
    assert ticked.manifest_slots()["wallet_metrics"] == [SLOT, THIRD]


def test_a_slot_that_fails_again_is_noted_once(ticked: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, [SECOND], breaking="raises")
    observe(ticked, SECOND)
    ticked.materialize(["wallet_metrics"], DAY)
    with Warehouse(ticked.warehouse) as store:
        assert store.read_rows("SELECT count() FROM quarantined_slots") == [(1,)]


def observe(platform: Platform, slot: Any) -> dg.ExecuteInProcessResult:
    """A tick as far as the metrics: what comes after them plays no part here."""
    platform.at(slot)
    return platform.materialize([*RAW, "wallet_metrics"], DAY)


def at(platform: Platform, slot: Any) -> Any:
    platform.at(slot)
    return slot
