"""The grader's interface: what it is given, what it answers, and the protocol both sides keep.

Belongs here: types only. No text a trader can set (a display name, say) has a field here, so none can reach a grader.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hl_assets.metrics.catalog import SCORED_METRICS

TradingStyle = Literal[
    "Aggressive Momentum",
    "Conservative Value",
    "Systematic Quant",
    "High-Frequency Scalper",
    "Swing Trader",
    "Trend Follower",
    "Mean Reversion",
    "Concentrated Bets",
    "Diversified Portfolio",
    "Risk Parity",
    "Breakout",
    "Counter-Trend",
    "Unclassified",
]
Level = Literal["High", "Medium", "Low"]
Score = Literal[20, 40, 60, 80, 100]
GradeSource = Literal["llm", "cache", "rules", "failed"]
GradeStatus = Literal["graded", "insufficient_data", "failed"]
Fallback = Literal["refused", "budget_run", "budget_day", "unavailable", "deadline", "gave_up", "not_asked"]
"""Why the rules graded an input that a model was configured for.

`refused`: the model declined. `budget_*`: the money was spent. `unavailable`: the service refused the key or the model, or
kept failing, so nobody asked any more. `deadline`: the slot's time was up. `gave_up`: this input had been answered without a
valid grade too often. `not_asked`: only stored answers were to be used.
"""

TRADING_STYLES: tuple[TradingStyle, ...] = get_args(TradingStyle)

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Percentile = Annotated[
    float, Field(ge=0, le=1, description="mid-rank among the eligible wallets; higher is better")
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ScoredMetrics(_Frozen):
    """The six metrics of one wallet; None is null, and `GradeInput.null_reasons` says why."""

    max_drawdown: float | None
    roi: float | None
    cagr: float | None
    calmar_ratio: float | None
    avg_drawdown: float | None
    recovery_factor: float | None


class MetricPercentiles(_Frozen):
    """Where the wallet stands in each of the six metrics; None where the metric is null or the wallet not eligible."""

    max_drawdown: Percentile | None
    roi: Percentile | None
    cagr: Percentile | None
    calmar_ratio: Percentile | None
    avg_drawdown: Percentile | None
    recovery_factor: Percentile | None


class DataQuality(_Frozen):
    """How good the data behind the metrics are; names and units as in `hl_assets.metrics.catalog`."""

    data_points: Count
    data_span_days: float | None
    performance_span_days: float | None
    avg_interval_hours: float | None
    interval_cv_percent: float | None
    is_uniform: bool | None
    largest_gap_hours: float | None
    share_flow_dominated: Share | None
    share_clipped: Share | None
    share_no_base: Share | None
    n_epochs: Count
    n_wipeouts: Count
    n_drawdowns: Count


class GradeInput(_Frozen):
    """Everything a grader is told about one wallet: numbers, and words from closed vocabularies.

    Attributes:
        row_id: opaque; says nothing about the wallet and only carries the answer back.
        period: what the metrics cover, e.g. `all_time`.
        metrics: the six metrics.
        percentiles: where they stand.
        null_reasons: name of each null metric of the six -> `NullReason` label.
        data_quality: points, span, spacing, doubtful steps.
        flags: `MetricFlag` names.
    """

    row_id: str
    period: str
    metrics: ScoredMetrics
    percentiles: MetricPercentiles
    null_reasons: Mapping[str, str]
    data_quality: DataQuality
    flags: tuple[str, ...]

    @model_validator(mode="after")
    def _nulls_have_reasons(self) -> Self:
        for name in SCORED_METRICS:
            missing = getattr(self.metrics, name) is None
            if missing != (name in self.null_reasons):
                raise ValueError(f"{name} must have a null reason exactly when it is null")
            if missing and getattr(self.percentiles, name) is not None:
                raise ValueError(f"{name} is null and cannot have a percentile")
        return self


class DiscreteScores(_Frozen):
    """The six discrete scores; None where there is none to give."""

    max_drawdown: Score | None
    roi: Score | None
    cagr: Score | None
    calmar_ratio: Score | None
    avg_drawdown: Score | None
    recovery_factor: Score | None


class Grade(_Frozen):
    """One wallet's grade, whoever gave it.

    Attributes:
        row_id: of the input answered.
        status: `graded`; `insufficient_data` (no grader was asked); `failed` (asked, no valid answer).
        status_reasons: why it is not graded; empty for a grade.
        trading_style: None unless graded, like all that follows.
        sustainability: whether the results can be expected to last.
        confidence: in this grade.
        hidden_risks: risks the figures hide.
        unique_characteristics: what sets this trader apart.
        reasoning: metric -> why it is scored so; all six when graded.
        overall_assessment: about this trader.
        scores: the six discrete scores.
        edge_rules: names of the rules of `hl_assets.grading.edge_rules` that changed the grader's answer.
        ungrounded: numbers quoted in the prose that are not in the input; empty when every one is.
        grade_source: `llm`, `cache` (a model's stored answer to an input of the same bucket), `rules` (also for the
            readiness gate) or `failed`.
        grader_version: of the grader that answered.
        fallback: why the rules answered in a model's place; None otherwise.
        call_id: the call whose answer this is, for `llm`, `cache` and `failed`.
        input_hash: SHA-256 of the bucketed input (`hl_assets.grading.canonical`).
    """

    row_id: str
    status: GradeStatus
    status_reasons: tuple[str, ...] = ()
    trading_style: TradingStyle | None = None
    sustainability: Level | None = None
    confidence: Level | None = None
    hidden_risks: tuple[str, ...] = ()
    unique_characteristics: tuple[str, ...] = ()
    reasoning: Mapping[str, str] = Field(default_factory=dict)
    overall_assessment: str | None = None
    scores: DiscreteScores | None = None
    edge_rules: tuple[str, ...] = ()
    ungrounded: tuple[str, ...] = ()
    grade_source: GradeSource
    grader_version: str
    fallback: Fallback | None = None
    call_id: str | None = None
    input_hash: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.fallback is not None and self.grade_source != "rules":
            raise ValueError(
                f"fallback {self.fallback} belongs to a grade of the rules, not to {self.grade_source}"
            )
        if self.grade_source in ("llm", "cache") and self.call_id is None:
            raise ValueError(f"a grade of source {self.grade_source} needs the call it comes from")
        words = (
            self.trading_style,
            self.sustainability,
            self.confidence,
            self.overall_assessment,
            self.scores,
        )
        if self.status == "graded":
            if None in words or set(self.reasoning) != set(SCORED_METRICS):
                raise ValueError(
                    "a grade needs style, sustainability, confidence, assessment, scores and six reasonings"
                )
            if self.status_reasons:
                raise ValueError("a grade has no status_reasons")
        elif not self.status_reasons:
            raise ValueError(f"status {self.status} needs status_reasons")
        elif any(word is not None for word in words):
            raise ValueError(f"status {self.status} cannot carry a grade")
        return self


class Grader(Protocol):
    """Anything that grades: the rule grader, or one that asks a model."""

    @property
    def version(self) -> str:
        """Changes whenever the same input may be graded differently."""

    async def grade(self, inputs: Sequence[GradeInput]) -> list[Grade]:
        """Grade each input.

        Returns:
            One grade per input, in the order given. An input that could not be graded is a grade with status `failed`
            and the reasons: one failure never stops the others.
        """
