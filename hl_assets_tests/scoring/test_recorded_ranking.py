"""Golden ranking of the recorded vault panel, recomputed here from the definitions with plain pandas, wallet by wallet."""

import gzip

import numpy as np
import pandas as pd
import pytest

from hl_assets.equity.curves import RaggedCurves
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets.metrics.eligibility import assess_eligibility
from hl_assets.metrics.nulls import NullReason
from hl_assets.metrics.trust import compare_wallets
from hl_assets.metrics.wallet_metrics import compute_wallet_metrics
from hl_assets.scoring.config import ScoringConfig
from hl_assets.scoring.scores import score_slot

YEAR = pd.Timedelta(seconds=31_557_600)
METRICS = ["max_drawdown", "roi", "cagr", "calmar_ratio", "avg_drawdown", "recovery_factor"]


@pytest.fixture(scope="module")
def panel(recorded_data) -> pd.DataFrame:
    (path,) = (recorded_data / "vault_panel").glob("*.csv.gz")
    with gzip.open(path, "rt") as file:
        rows = pd.read_csv(file, usecols=["date", "address", "account_value", "pnl"])
    rows["ts"] = pd.to_datetime(rows["date"], utc=True)
    return rows


# --- the reference: definitions only, none of the package's code ---


def reference_index(vault: pd.DataFrame) -> pd.DataFrame:
    """Points from the first funded one on, with the index of the life each belongs to."""
    vault = vault.drop_duplicates("ts").sort_values("ts")
    funded = vault["account_value"] >= 10
    vault = vault[funded.cummax()].reset_index(drop=True)
    index, life, alive, lives, indices = 1.0, 0, True, [], []
    for row in range(len(vault)):
        value, pnl = vault.loc[row, "account_value"], vault.loc[row, "pnl"]
        if row:
            before, earned = vault.loc[row - 1, "account_value"], pnl - vault.loc[row - 1, "pnl"]
            flow = value - before - earned
            flow = 0.0 if abs(flow) < max(1.0, 1e-6 * value) else flow
            base = before + max(flow, 0.0)
            if not alive and value >= 10:
                index, life, alive = 1.0, life + 1, True
            else:
                index *= 1 + (min(max(earned / base, -1.0), 10.0) if base >= 10 else 0.0)
                alive = alive and index > 0
        indices.append(index)
        lives.append(life)
    return vault.assign(index_value=indices, life=lives)


def reference_metrics(vault: pd.DataFrame) -> dict[str, float]:
    points = reference_index(vault)
    known = dict.fromkeys(METRICS, np.nan)
    known |= {"points": len(points), "span": (points["ts"].max() - points["ts"].min()) / pd.Timedelta(days=1)}
    if len(points) < 2:
        return known
    deepest, lows = [], []
    for _, life in points.groupby("life"):
        top = life["index_value"].cummax().clip(lower=1.0)
        fall = life["index_value"] / top - 1
        deepest.append(fall.min())
        episode = ((fall == 0) | (fall.shift(fill_value=0.0) == 0)).cumsum()
        lows += fall[fall < 0].groupby(episode).min().tolist()
    newest = points[points["life"] == points["life"].max()]
    years = (newest["ts"].max() - newest["ts"].min()) / YEAR
    known["roi"] = newest["index_value"].iloc[-1] - 1 if len(newest) > 1 else np.nan
    known["max_drawdown"] = min(deepest)
    known["avg_drawdown"] = float(np.mean(lows)) if lows else 0.0
    if years * 365.25 >= 90:
        known["cagr"] = newest["index_value"].iloc[-1] ** (1 / years) - 1
    if known["max_drawdown"] < 0:
        known["calmar_ratio"] = known["cagr"] / -known["max_drawdown"]
        known["recovery_factor"] = known["roi"] / -known["max_drawdown"]
    return known


def reference_ranking(panel: pd.DataFrame, weights: dict[str, float]) -> pd.DataFrame:
    board = pd.DataFrame({address: reference_metrics(rows) for address, rows in panel.groupby("address")}).T
    enough = (board["points"] >= 10) & (board["span"] >= 7) & (board[METRICS].notna().sum(axis=1) >= 4)
    board = board[enough].copy()
    share = pd.Series(weights) / sum(weights.values())
    percentile = (board[METRICS].rank(method="average") - 0.5) / board[METRICS].notna().sum()
    scores = (np.floor((percentile * 5).round(9)).clip(upper=4) + 1) * 20
    for name in ("max_drawdown", "avg_drawdown"):
        untested = board["max_drawdown"] > -0.05
        scores.loc[untested, name] = scores.loc[untested, name].clip(upper=60)
    scores.loc[board["cagr"] > 5, "cagr"] = scores.loc[board["cagr"] > 5, "cagr"].clip(upper=60)
    capped = percentile.copy()
    for name in ("max_drawdown", "avg_drawdown"):
        capped.loc[untested, name] = capped.loc[untested, name].clip(upper=0.6)
    capped.loc[board["cagr"] > 5, "cagr"] = capped.loc[board["cagr"] > 5, "cagr"].clip(upper=0.6)
    board["weighted_score"] = (scores.fillna(20) * share).sum(axis=1).round(9)
    board["quant_score"] = (100 * capped.fillna(0) * share).sum(axis=1).round(9)
    board["tie"] = (percentile.fillna(0) * share).sum(axis=1).round(9)
    board["address"] = board.index
    for score in ("weighted_score", "quant_score"):
        order = board.sort_values([score, "tie", "address"], ascending=[False, False, True]).index
        board[f"{score}_rank"] = pd.Series(range(1, len(order) + 1), index=order)
    return board


# --- the comparison ---


@pytest.mark.parametrize(
    "weights",
    [dict.fromkeys(METRICS, 1.0), {**dict.fromkeys(METRICS, 1.0), "max_drawdown": 3.0, "cagr": 0.0}],
    ids=["equal", "cautious"],
)
def test_the_ranking_is_the_references(panel: pd.DataFrame, weights: dict[str, float]) -> None:
    groups = [
        (
            rows["ts"].astype("int64").to_numpy() // 10**6,
            rows["account_value"].to_numpy(),
            rows["pnl"].to_numpy(),
        )
        for _, rows in panel.assign(ts=panel["ts"].dt.as_unit("ns")).groupby("address")
    ]
    table = compute_wallet_metrics(RaggedCurves.from_groups(sorted(set(panel["address"])), groups))
    eligibility = assess_eligibility(table)
    trust = compare_wallets(table, eligibility).columns["trust"]
    scored = score_slot(
        table.wallets,
        table.scored(),
        eligibility,
        grader_scores=np.full((len(table), len(SCORED_METRICS)), np.nan),
        valid_grade=np.zeros(len(table), dtype=np.bool_),
        trust=trust.values,
        trust_reasons=[NullReason(code).label if code else None for code in trust.reasons.tolist()],
        config=ScoringConfig(weights),
    )
    expected = reference_ranking(panel, weights).reindex(table.wallets)
    assert (expected["weighted_score"].notna() == eligibility.eligible).all()
    assert eligibility.eligible.sum() > 150
    for name in METRICS:
        ours = table.values[name][eligibility.eligible]
        np.testing.assert_allclose(
            ours, expected.loc[eligibility.eligible, name].astype(float), rtol=1e-9, atol=1e-12
        )
    for name in ("weighted_score", "quant_score"):
        np.testing.assert_allclose(
            scored.scores[name].values, expected[name].astype(float), rtol=0, atol=1e-7
        )
        np.testing.assert_array_equal(scored.scores[name].rank, expected[f"{name}_rank"].astype(float))
