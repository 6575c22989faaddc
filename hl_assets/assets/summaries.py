"""One number for many values, None where nothing is known.

Belongs here: the summaries that metadata and `score_runs` show. Does not belong here: what they are summaries of.
"""

from typing import Any

import pandas as pd


def median(values: "pd.Series[Any]") -> float | None:
    """Median of the present values, None if there are none."""
    present = values.astype("float64").dropna()
    return None if present.empty else float(present.median())


def mean(values: "pd.Series[Any]") -> float | None:
    """Mean of the present values, None if there are none."""
    present = values.astype("float64").dropna()
    return None if present.empty else float(present.mean())
