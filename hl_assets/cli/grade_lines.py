"""A grade as lines for a terminal.

Belongs here: rendering a row of `ai_grades`. Does not belong here: reading or making one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from rich.text import Text

from hl_assets.grading.interpretation import METRIC_LABELS
from hl_assets.metrics.catalog import SCORED_METRICS

_SOURCES = {
    "llm": "by the model",
    "cache": "by the model, from a stored answer",
    "rules": "by rule",
    "failed": "failed",
}


def grade_lines(grade: Mapping[Any, Any], *, reasons: bool = False) -> Iterator[Text]:
    """The lines of one grade.

    Args:
        grade: A row of `ai_grades`.
        reasons: Whether each metric's score and reasoning is told too.
    """
    fallback = f", because: {grade['fallback'].replace('_', ' ')}" if pd.notna(grade["fallback"]) else ""
    yield Text(f"Grade {_SOURCES[grade['grade_source']]} ({grade['grader_version']}){fallback}", style="bold")
    if grade["status"] != "graded":
        yield Text(f"{grade['status'].replace('_', ' ')}: {'; '.join(grade['status_reasons'])}")
        return
    yield Text(
        f"{grade['trading_style']}; sustainability {grade['sustainability']}, confidence {grade['confidence']}"
    )
    yield Text(str(grade["overall_assessment"]))
    for label, entries in (
        ("risk", grade["hidden_risks"]),
        ("trait", grade["unique_characteristics"]),
        ("changed by rule", grade["edge_rules"]),
        ("number not in the input", grade["ungrounded"]),
    ):
        for entry in entries:
            yield Text(f"  {label}: {entry}")
    if reasons:
        for name in SCORED_METRICS:
            score = grade[f"{name}_score"]
            shown = "  -" if pd.isna(score) else f"{score:3.0f}"
            yield Text(f"  {shown}  {METRIC_LABELS[name]}: {grade['reasoning'][name]}")
