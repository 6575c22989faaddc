"""What a run's grades and calls add up to.

Belongs here: counting. Showing it does not belong here.
"""

from collections import Counter
from dataclasses import dataclass, field

from hl_assets.claude.calls import GradeCall
from hl_assets.grading.interface import Fallback, Grade


@dataclass
class GradeTally:
    """Counts of one run.

    Attributes:
        graded: grades of answers made for this slot.
        cached: grades of stored answers.
        failed: inputs without a grade.
        fallbacks: grades of the rules, by why.
        calls: calls made, repetitions included.
        input_tokens: uncached tokens read, like all tokens of the calls that told them.
        output_tokens: tokens written.
        cache_read_tokens: tokens read from the service's cache.
        cache_write_tokens: tokens written to it.
        usd: estimated cost of the calls whose cost is known.
        calls_of_unknown_cost: calls that may have been billed without telling.
    """

    graded: int = 0
    cached: int = 0
    failed: int = 0
    fallbacks: Counter[Fallback] = field(default_factory=Counter)
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    usd: float = 0.0
    calls_of_unknown_cost: int = 0

    @property
    def refused(self) -> int:
        """Inputs the model declined."""
        return self.fallbacks["refused"]

    @property
    def rules(self) -> int:
        """Grades of the rules, whatever the reason."""
        return sum(self.fallbacks.values())

    @property
    def total(self) -> int:
        """Inputs answered."""
        return self.graded + self.cached + self.failed + self.rules

    def count_grade(self, grade: Grade) -> None:
        """Count a final grade."""
        if grade.fallback is not None:
            self.fallbacks[grade.fallback] += 1
        elif grade.grade_source == "llm":
            self.graded += 1
        elif grade.grade_source == "cache":
            self.cached += 1
        else:
            self.failed += 1

    def count_call(self, call: GradeCall) -> None:
        """Count a call that was made."""
        self.calls += 1
        self.input_tokens += call.input_tokens or 0
        self.output_tokens += call.output_tokens or 0
        self.cache_read_tokens += call.cache_read_tokens or 0
        self.cache_write_tokens += call.cache_write_tokens or 0
        self.usd += call.estimated_usd or 0.0
        self.calls_of_unknown_cost += call.estimated_usd is None
