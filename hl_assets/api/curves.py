"""A curve with fewer points: the newest of each hour, day or week, with what happened since the point before.

Belongs here: thinning rows of `equity_curves`. Does not belong here: reading them, computing returns (they are stored).
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

Point = dict[str, Any]
Coarse = Literal["hour", "day", "week"]


def thinned(points: Sequence[Point], step: str) -> list[Point]:
    """The newest point of each UTC hour, day or week (from Monday).

    State (values, PnL, index, drawdown, epoch) is that of the point kept. What belongs to a step covers all steps since the
    point kept before: flows add up, returns compound, `base` is that of the first of them, flags are collected. A sum with an
    unknown part is unknown.

    Args:
        points: Rows of one curve, oldest first.
        step: hour, day or week.
    """
    return [
        _merged(list(bucket)) for _, bucket in groupby(points, key=lambda point: _bucket(point["ts"], step))
    ]


def _bucket(instant: datetime, step: str) -> datetime:
    hour = instant.replace(minute=0, second=0, microsecond=0)
    if step == "hour":
        return hour
    day = hour.replace(hour=0)
    return day if step == "day" else day - timedelta(days=day.weekday())


def _merged(bucket: list[Point]) -> Point:
    last = bucket[-1]
    steps = [point for point in bucket if "start" not in point["flags"]] or bucket
    return {
        **last,
        "flow": _sum([point["flow"] for point in steps]),
        "base": steps[0]["base"],
        "step_return": _compounded([point["step_return"] for point in steps]),
        "flags": list(dict.fromkeys(_flags(bucket))),
    }


def _flags(bucket: Sequence[Point]) -> Iterator[str]:
    for point in bucket:
        yield from point["flags"]


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _compounded(returns: Sequence[float | None]) -> float | None:
    known = [value for value in returns if value is not None]
    if len(known) < len(returns):
        return None
    return math.prod(1 + value for value in known) - 1
