"""The recorded vault panel imported and backfilled end to end; every day's ranking is that of data cut at the day."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.returns import ReturnRules
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.trust import compare_wallets
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets.resources.scoring import scoring_config
from hl_assets.resources.warehouse import warehouse_config
from hl_assets.scoring.scores import score_slot
from hl_assets.settings import Settings
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.embedded.process import stop
from hl_assets_tests.cli.test_run import Shell

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

PANEL = "vault_panel/vault_panel_2026-02-27_2026-05-31.csv.gz"
FIRST, LAST = "2026-02-27", "2026-05-31"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    made = Shell(tmp_path_factory.mktemp("panel"))
    yield made
    stop(made.folder / ".hl_assets" / "clickhouse")


def test_the_panel_end_to_end(recorded_data: Path, shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.perf_counter()
    assert shell.call("import", str(recorded_data / PANEL), "--source", "recorded") == 0
    imported = time.perf_counter()
    assert shell.call("backfill", "--source", "recorded", "--from", FIRST, "--to", LAST) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert re.search(r"94 of 94 days, 94 slots scored on them, 0 days failed", told)
    seconds = time.perf_counter() - imported
    print(
        f"imported in {imported - began:.1f} s, 94 days backfilled in {seconds:.1f} s, {94 / seconds:.2f} slots/s"
    )
    settings = Settings.load(home=shell.folder / ".hl_assets", source="recorded")
    with Warehouse(warehouse_config(settings)) as store:
        stored = store.read_frame(
            "SELECT as_of, origin, wallet, calculated_rank, weighted_score FROM wallet_scores ORDER BY as_of, wallet"
        )
    assert stored.groupby("as_of")["origin"].nunique().eq(1).all()
    observed = stored[stored["origin"] == "recorded"]
    assert observed["as_of"].nunique() == 62
    samples = panel_samples(recorded_data / PANEL)
    ranked = 0
    for slot, rows in observed.groupby("as_of"):
        expected = ranking_from_scratch(samples[samples["ts"] <= slot], pd.Timestamp(slot), settings)
        found = rows.set_index("wallet")["calculated_rank"].dropna().astype(int).to_dict()
        assert found == expected, slot
        ranked += len(found)
    assert ranked > 5_000


def panel_samples(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    frame["ts"] = pd.to_datetime(frame["date"], utc=True)
    frame["wallet"] = frame["address"].str.lower()
    return frame.sort_values(["wallet", "ts"], ignore_index=True)


def ranking_from_scratch(samples: pd.DataFrame, slot: pd.Timestamp, settings: Settings) -> dict[str, int]:
    """Wallet -> rank of the wallets sampled on the day, from the file and nothing else."""
    wallets = sorted(samples.loc[samples["ts"] == slot, "wallet"])
    known = samples[samples["wallet"].isin(wallets)]
    curves = RaggedCurves.from_columns(
        known["wallet"].to_numpy(object),
        known["ts"].dt.as_unit("ms").astype("int64"),
        known["account_value"],
        known["pnl"],
        wallets=wallets,
    )
    rules = ReturnRules(funding_floor=settings.funding_floor_usd)
    table = compute_wallet_metrics(curves, rules)
    config = scoring_config(settings)
    eligibility = assess_eligibility(table, config.eligibility)
    trust = compare_wallets(table, eligibility).columns["trust"].values
    scored = score_slot(
        table.wallets,
        table.scored(),
        eligibility,
        grader_scores=np.full((len(wallets), 6), np.nan),
        valid_grade=np.zeros(len(wallets), dtype=np.bool_),
        trust=trust,
        trust_reasons=["not comparable" if np.isnan(one) else None for one in trust],
        config=config,
    )
    ranks = scored.scores["weighted_score"].rank
    return {wallet: int(rank) for wallet, rank in zip(wallets, ranks, strict=True) if not np.isnan(rank)}
