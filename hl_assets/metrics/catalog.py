"""The catalogue of metrics: name, unit, kind and meaning of every published figure, in publishing order.

Belongs here: what a figure is. How it is computed lives in the module that computes it; table contracts are generated
from or tested against this catalogue.
"""

from dataclasses import dataclass
from typing import Literal

FORMULA_VERSION = "4"
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
    _float(
        "ulcer_index",
        "fraction",
        "Root mean square of the drawdown, weighted by time, over the whole curve; each step counts with the drawdown at "
        "its end",
    ),
    _float(
        "time_under_water",
        "fraction",
        "Share of the time of the whole curve in steps that end below the running maximum",
    ),
    _float("volatility", "fraction/year", "Standard deviation of daily returns x sqrt(365)"),
    _float("sharpe", "ratio", "Mean / standard deviation of daily returns x sqrt(365), no risk-free rate"),
    _float(
        "sortino",
        "ratio",
        "Mean of daily returns / root mean square of the negative ones (over all days) x sqrt(365)",
    ),
    _float(
        "skew",
        "ratio",
        "Population skewness of daily returns; 0 if symmetric, negative if losses have the tail",
    ),
    _float("kurtosis", "ratio", "Raw population kurtosis of daily returns; a normal distribution has 3"),
    _float(
        "best_day_share",
        "fraction",
        "Share of the total daily log return that the best day earned; above 1 if the other days together lost",
    ),
    _float("daily_autocorrelation", "ratio", "Lag-1 autocorrelation of daily returns, -1 to 1"),
    _count(
        "n_daily_steps",
        "Daily returns known since the newest funding after a wipe-out: steps between the last points of consecutive UTC "
        "days, 12 to 36 hours apart",
    ),
    _float(
        "daily_coverage",
        "fraction",
        "n_daily_steps over the days from the beginning of the first of them to the last day's sample, a day that is not over "
        "left out",
    ),
    _float(
        "psr",
        "fraction",
        "Probabilistic Sharpe ratio: probability that the true Sharpe ratio is above 0, given length and shape of the record",
    ),
    _float(
        "min_trl_days",
        "days",
        "Minimum track record length: daily steps after which psr would reach 95 % at this Sharpe ratio",
    ),
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
    _float(
        "share_clean_steps",
        "fraction",
        "Share of steps that are neither flow-dominated nor clipped, have capital at work and a known return",
    ),
    _count("n_epochs", "Funded periods: an account value of 0 ends one, refunding starts the next"),
    _count("n_wipeouts", "Times trading lost everything; the index restarts at the refunding after it"),
    _count("n_drawdowns", "Drawdown episodes of the whole curve, the open one included"),
    _count("n_unknown_returns", "Steps into an account value below zero that no loss explains"),
    _count("n_contradictions", "Points left out because their timestamp already had a different value"),
    MetricDefinition("first_ts_ms", "ms", "instant_ms", "First point of the curve"),
    MetricDefinition("last_ts_ms", "ms", "instant_ms", "Last point of the curve"),
    MetricDefinition("performance_start_ms", "ms", "instant_ms", "Where roi and cagr begin"),
)

COMPARISON_METRICS: tuple[MetricDefinition, ...] = (
    _float(
        "dsr",
        "fraction",
        "Deflated Sharpe ratio: probability that the true Sharpe ratio is above the best one that dsr_n wallets without skill "
        "would show",
    ),
    _float(
        "dsr_benchmark",
        "ratio",
        "Annual Sharpe ratio expected of the best of dsr_n wallets without skill",
    ),
    _count("dsr_n", "Eligible wallets of the slot with a Sharpe ratio: those compared"),
    _float(
        "eb_sharpe",
        "ratio",
        "Empirical-Bayes mean of the true annual Sharpe ratio: sharpe, winsorised, shrunk towards the mean of the wallets "
        "compared the more the shorter and wilder the record",
    ),
    _float("eb_sharpe_sd", "ratio", "Standard deviation of the true annual Sharpe ratio around eb_sharpe"),
    _float("trust", "percent", "100 x trust_quality x trust_significance, 0 to 100"),
    _float("trust_quality", "fraction", "Quality of the data: daily_coverage x share_clean_steps"),
    _float(
        "trust_significance",
        "fraction",
        "Probability that the true Sharpe ratio is above 0, given the record and the wallets compared",
    ),
)
"""Figures that exist only among the wallets of a slot (`hl_assets.metrics.trust`), in publishing order."""
