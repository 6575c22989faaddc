"""The catalogue of metrics: name, unit, kind and meaning of every published figure, in publishing order.

Belongs here: what a figure is. How it is computed lives in the module that computes it; table contracts are generated
from or tested against this catalogue.
"""

from dataclasses import dataclass
from typing import Literal

FORMULA_VERSION = "1"
"""Version of all definitions of `hl_assets.equity` and `hl_assets.metrics`; raise it when any figure may change."""

Kind = Literal["float", "count", "bool", "instant_ms"]

SCORED_METRICS = ("max_drawdown", "roi", "cagr", "calmar_ratio", "avg_drawdown", "recovery_factor")
"""The six metrics that are graded and ranked, in publishing order; of each, higher is better."""


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One published figure.

    Attributes:
        name: column name.
        unit: `fraction`, `fraction/year`, `ratio`, `USD`, `days`, `hours`, `percent`, `count`, `ms` (UTC) or "".
        kind: float; count (never null); bool (0.0 or 1.0); instant_ms (UTC milliseconds, exact in a double).
        description: meaning, sign and window, for table contracts and documentation.
    """

    name: str
    unit: str
    kind: Kind
    description: str

    @property
    def nullable(self) -> bool:
        """Whether the figure may be missing; counts never are."""
        return self.kind != "count"


def _float(name: str, unit: str, description: str) -> MetricDefinition:
    return MetricDefinition(name, unit, "float", description)


def _count(name: str, description: str) -> MetricDefinition:
    return MetricDefinition(name, "count", "count", description)


METRICS: tuple[MetricDefinition, ...] = (
    _float(
        "max_drawdown",
        "fraction",
        "Deepest fall of the index below its running maximum, over the whole curve; <= 0, and -1 if trading ever lost "
        "everything. A lower bound where points are far apart: see largest_gap_hours",
    ),
    _float("roi", "fraction", "Index at the end minus 1, since the newest funding after a wipe-out"),
    _float(
        "cagr",
        "fraction/year",
        "Index at the end to the power of 1/years, minus 1, since the newest funding after a wipe-out",
    ),
    _float("calmar_ratio", "ratio", "cagr / |max_drawdown|"),
    _float(
        "avg_drawdown",
        "fraction",
        "Mean of the lows of all drawdown episodes of the whole curve, the open one included; <= 0",
    ),
    _float("recovery_factor", "ratio", "roi / |max_drawdown|, signed"),
    _float("cagr_short", "fraction/year", "cagr of a span under 90 days: shown, never ranked"),
    _float("recovery_usd", "ratio", "total_pnl / largest fall of cumulative PnL, signed"),
    _float("total_pnl", "USD", "PnL from the first to the last point of the curve"),
    _float("net_flow", "USD", "Deposits minus withdrawals after the first point"),
    _float("gross_flow", "USD", "Deposits plus withdrawals after the first point"),
    _count("n_flows", "Steps with a deposit or withdrawal"),
    _float("account_value", "USD", "Account value at the last point"),
    _float(
        "roi_account_value",
        "fraction",
        "Raw twin of roi: change of account value over its start, flows included, over the whole curve",
    ),
    _float(
        "max_drawdown_account_value",
        "fraction",
        "Raw twin of max_drawdown: deepest fall of account value below its running maximum, flows included",
    ),
    _count("data_points", "Points of the curve, from the first one at or above the funding floor"),
    _float("data_span_days", "days", "From the first to the last point of the curve"),
    _float(
        "performance_span_days",
        "days",
        "Span of roi and cagr: from the newest funding after a wipe-out, else from the first point, to the last point",
    ),
    _float("avg_interval_hours", "hours", "Mean interval between points"),
    _float(
        "interval_cv_percent",
        "percent",
        "Coefficient of variation (population standard deviation over mean) of the intervals",
    ),
    MetricDefinition("is_uniform", "", "bool", "Whether interval_cv_percent is below 5"),
    _float("largest_gap_hours", "hours", "Longest interval between points"),
    _float("share_flow_dominated", "fraction", "Share of steps whose flow is at least half of their capital"),
    _float("share_clipped", "fraction", "Share of steps whose return was cut to the ceiling"),
    _float("share_no_base", "fraction", "Share of steps with less capital at work than the funding floor"),
    _count("n_epochs", "Funded periods: an account value of 0 ends one, refunding starts the next"),
    _count("n_wipeouts", "Times trading lost everything; the index restarts at the refunding after it"),
    _count("n_drawdowns", "Drawdown episodes of the whole curve, the open one included"),
    _count("n_unknown_returns", "Steps into an account value below zero that no loss explains"),
    _count("n_contradictions", "Points left out because their timestamp already had a different value"),
    MetricDefinition("first_ts_ms", "ms", "instant_ms", "First point of the curve"),
    MetricDefinition("last_ts_ms", "ms", "instant_ms", "Last point of the curve"),
    MetricDefinition("performance_start_ms", "ms", "instant_ms", "Where roi and cagr begin"),
)
