"""Which inputs a trading style needs as evidence, and the styles that ratios alone can support.

Belongs here: the evidence table, for the rule grader and for any rubric. A style whose evidence is absent from the input
is not to be chosen: six ratios of an equity curve show appetite for risk and steadiness, not what was traded or when.
"""

from collections.abc import Callable
from typing import Literal

from hl_assets.grading.interface import GradeInput, TradingStyle
from hl_assets.metrics.discrete import DRAWDOWN_CAP_ABOVE

Evidence = Literal["equity_curve", "trades", "positions", "prices"]

STYLE_EVIDENCE: dict[TradingStyle, frozenset[Evidence]] = {
    "Aggressive Momentum": frozenset({"equity_curve"}),
    "Conservative Value": frozenset({"equity_curve"}),
    "Systematic Quant": frozenset({"equity_curve"}),
    "High-Frequency Scalper": frozenset({"trades"}),
    "Swing Trader": frozenset({"trades"}),
    "Trend Follower": frozenset({"trades", "prices"}),
    "Mean Reversion": frozenset({"trades", "prices"}),
    "Concentrated Bets": frozenset({"positions"}),
    "Diversified Portfolio": frozenset({"positions"}),
    "Risk Parity": frozenset({"positions", "prices"}),
    "Breakout": frozenset({"trades", "prices"}),
    "Counter-Trend": frozenset({"trades", "prices"}),
    "Unclassified": frozenset(),
}

_STEADY_DRAWDOWNS = 10


def supported_styles(available: frozenset[Evidence]) -> tuple[TradingStyle, ...]:
    """The styles whose evidence is all available."""
    return tuple(style for style, needed in STYLE_EVIDENCE.items() if needed <= available)


def style_of_ratios(item: GradeInput) -> TradingStyle:
    """The style the six ratios support, else `Unclassified`.

    Every rule needs a CAGR, so at least 90 days, and a drawdown of at least 5 %: an untested curve shows no style. The
    first rule that holds decides.
    """
    metrics = item.metrics
    if metrics.cagr is None or metrics.max_drawdown is None or metrics.avg_drawdown is None:
        return "Unclassified"
    if metrics.max_drawdown > DRAWDOWN_CAP_ABOVE:
        return "Unclassified"
    for style, holds in _RULES:
        if holds(item, metrics.cagr, metrics.max_drawdown, metrics.avg_drawdown):
            return style
    return "Unclassified"


def _aggressive(_item: GradeInput, cagr: float, deepest: float, _average: float) -> bool:
    """Growth of more than 100 % a year, paid for with a drawdown of 40 % or more."""
    return cagr >= 1.0 and deepest <= -0.4


def _systematic(item: GradeInput, _cagr: float, deepest: float, average: float) -> bool:
    """A Calmar ratio of at least 2 out of many small drawdowns, each recovered."""
    calmar = item.metrics.calmar_ratio
    many = item.data_quality.n_drawdowns >= _STEADY_DRAWDOWNS
    return calmar is not None and calmar >= 2.0 and deepest >= -0.25 and average >= -0.05 and many


def _conservative(_item: GradeInput, cagr: float, deepest: float, average: float) -> bool:
    """Moderate growth (up to 50 % a year) with drawdowns of at most 15 %."""
    return 0.0 < cagr <= 0.5 and deepest >= -0.15 and average >= -0.075


_RULES: tuple[tuple[TradingStyle, Callable[[GradeInput, float, float, float], bool]], ...] = (
    ("Aggressive Momentum", _aggressive),
    ("Systematic Quant", _systematic),
    ("Conservative Value", _conservative),
)
