"""All metrics of all wallets: from curves to the table that is published.

Belongs here: running the metric modules over a board in bounded memory and carrying figures, null reasons and flags.
Formulas belong in the modules this one calls; columns are described in `hl_assets.metrics.catalog`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.flags import StepFlag, flag_names
from hl_assets.equity.ragged import FloatArray, SegmentScan, segment_count
from hl_assets.equity.returns import ReturnRules, Steps, flow_adjusted_returns
from hl_assets.metrics.catalog import FORMULA_VERSION, METRICS, SCORED_METRICS
from hl_assets.metrics.daily import daily_quality, daily_returns
from hl_assets.metrics.drawdown import drawdown_ratios, drawdown_series, drawdowns
from hl_assets.metrics.flags import MetricFlag
from hl_assets.metrics.flows import flows, profits, raw_twins
from hl_assets.metrics.nulls import Column, ReasonArray, labels_by_row
from hl_assets.metrics.performance import performance
from hl_assets.metrics.quality import sampling, step_shares
from hl_assets.metrics.risk import daily_risk
from hl_assets.metrics.shape import CurveShape
from hl_assets.metrics.significance import record_significance
from hl_assets.metrics.underwater import under_water

SHORT_HISTORY_DAYS = 30.0
_CHUNK_POINTS = 200_000
_THREADS = 2


@dataclass(frozen=True, slots=True, eq=False)
class MetricTable:
    """Figures of many wallets, in the order of the curves given.

    Attributes:
        wallets: lower-case addresses.
        values: float64[n_wallets] per name of `METRICS`, in that order; NaN where null.
        reasons: uint8[n_wallets] per name, `NullReason` codes; 0 where the value is present.
        flags: uint32[n_wallets], `MetricFlag` bits.
        formula_version: version of the definitions.
        rules: thresholds of the returns.
    """

    wallets: tuple[str, ...]
    values: Mapping[str, FloatArray]
    reasons: Mapping[str, ReasonArray]
    flags: npt.NDArray[np.uint32]
    formula_version: str
    rules: ReturnRules

    def __len__(self) -> int:
        return len(self.wallets)

    def scored(self) -> FloatArray:
        """float64[n_wallets, 6], the metrics that are graded and ranked, in the order of `SCORED_METRICS`."""
        return np.column_stack([self.values[name] for name in SCORED_METRICS])

    def null_reasons(self) -> list[dict[str, str]]:
        """Per wallet: name of each null figure -> why. Wallets with the same nulls share one dictionary."""
        return labels_by_row(self.reasons)

    def flag_names(self) -> list[tuple[str, ...]]:
        """Per wallet: published names of its flags, in a fixed order."""
        patterns, pattern_of = np.unique(self.flags, return_inverse=True)
        shared = [flag_names(MetricFlag(bits)) for bits in patterns.tolist()]
        return [shared[number] for number in pattern_of.tolist()]


def compute_wallet_metrics(
    curves: RaggedCurves,
    rules: ReturnRules | None = None,
    *,
    chunk_points: int = _CHUNK_POINTS,
    threads: int = _THREADS,
) -> MetricTable:
    """Every metric of every wallet, from the points given and no others.

    For figures as of an instant pass `curves.until(instant)`. A wallet's figures are the same to the last bit whichever
    other wallets are computed with it.

    Args:
        curves: the points.
        rules: thresholds of the returns; default `ReturnRules()`.
        chunk_points: points one thread works on at once; bounds memory (about 250 bytes a point and thread, beside the
            curves). The default keeps a chunk's arrays near the processor's cache.
        threads: chunks worked on at the same time; numpy lets go of the interpreter while it computes.

    Returns:
        One row per wallet, empty curves included (their figures are null with a reason).

    Raises:
        ValueError: `chunk_points` or `threads` is not positive.
    """
    if chunk_points < 1 or threads < 1:
        raise ValueError(f"chunk_points and threads must be positive, got {chunk_points} and {threads}")
    rules = rules or ReturnRules()
    values = {metric.name: np.full(curves.n_wallets, np.nan) for metric in METRICS}
    reasons = {metric.name: np.zeros(curves.n_wallets, dtype=np.uint8) for metric in METRICS}
    flags = np.zeros(curves.n_wallets, dtype=np.uint32)

    def work(wallets: slice, chunk: RaggedCurves) -> None:
        """Fill the chunk's own rows; no two chunks share one."""
        steps = flow_adjusted_returns(chunk, rules)
        columns = metric_columns(steps)
        for name, column in columns.items():
            values[name][wallets] = column.values
            reasons[name][wallets] = column.reasons
        flags[wallets] = _flags(steps, columns)

    _keep_freed_memory()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, wallets, chunk) for wallets, chunk in curves.chunks(chunk_points)]:
            done.result()
    return MetricTable(curves.wallets, values, reasons, flags, FORMULA_VERSION, rules)


def _keep_freed_memory() -> None:
    """Have the C library reuse the memory of freed arrays instead of fetching it from the kernel again, page by page.

    glibc gives a freed block back above a threshold that rises to the largest block freed, up to 32 MB: freeing one just
    below that, never touched, settles it. Without it page faults are a third of the processor time. Elsewhere: no effect.
    """
    np.empty(31 * 2**20, dtype=np.uint8)


def metric_columns(steps: Steps) -> dict[str, Column]:
    """Every figure of the catalogue for the curves whose returns are given."""
    shape = CurveShape.of(steps)
    wallet_scan = steps.life_scan
    if len(steps.life_offsets) - 1 != int(shape.filled.sum()):  # somebody was wiped out and refunded
        wallet_scan = SegmentScan(steps.curves.offsets)
    grown = performance(steps, shape)
    fall = drawdown_series(steps)
    fallen = drawdowns(steps, shape, fall)
    daily = daily_returns(steps, shape)
    sampled = daily_quality(daily, shape)
    risk = daily_risk(daily, shape)
    return {
        **grown,
        **fallen,
        **drawdown_ratios(grown, fallen),
        **flows(steps, shape),
        **profits(steps, shape, wallet_scan),
        **raw_twins(steps, shape, wallet_scan),
        **sampling(steps, shape),
        **step_shares(steps, shape),
        **under_water(steps, shape, fall),
        **sampled,
        **risk,
        **record_significance(risk, sampled["n_daily_steps"]),
    }


def _flags(steps: Steps, columns: Mapping[str, Column]) -> npt.NDArray[np.uint32]:
    offsets = steps.curves.offsets

    def value(name: str) -> FloatArray:
        return columns[name].values

    def any_step(flag: StepFlag) -> npt.NDArray[np.bool_]:
        return segment_count(steps.flagged(flag), offsets) > 0

    conditions = (
        (value("max_drawdown") == 0.0, MetricFlag.UNTESTED),
        (~columns["cagr_short"].null, MetricFlag.ANNUALISED_SHORT),
        (value("data_span_days") < SHORT_HISTORY_DAYS, MetricFlag.SHORT_HISTORY),
        (any_step(StepFlag.FLOW_DOMINATED), MetricFlag.FLOW_DOMINATED),
        (any_step(StepFlag.CLIPPED), MetricFlag.CLIPPED),
        (any_step(StepFlag.NO_BASE), MetricFlag.NO_BASE),
        (any_step(StepFlag.NEGATIVE_EQUITY), MetricFlag.NEGATIVE_EQUITY),
        (value("n_unknown_returns") > 0, MetricFlag.UNKNOWN_RETURN),
        (value("n_wipeouts") > 0, MetricFlag.WIPED_OUT),
        (value("n_epochs") > 1, MetricFlag.REFUNDED),
        (value("account_value") < steps.rules.funding_floor, MetricFlag.UNFUNDED_NOW),
        (value("n_contradictions") > 0, MetricFlag.CONTRADICTED),
    )
    flags = np.zeros(len(offsets) - 1, dtype=np.uint32)
    for condition, flag in conditions:
        flags |= condition.astype(np.uint32) * np.uint32(flag)
    return flags
