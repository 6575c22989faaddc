"""Grounding: which numbers quoted in prose are not in the input.

Belongs here: finding numbers in prose and looking them up in an input's canonical text. What follows from an ungrounded
number does not belong here.

A quoted number is read with its unit and compared with every number of the input in the forms that unit allows: -0.2034 is
grounded as "-0.2034", "20.3 %" or "20%", 0.93 as "percentile 93", "93rd" or "top 7 %", 336 hours as "14 days". The unit keeps
the forms few: six metrics in all forms at once would ground nearly every integer up to 100. Signs are ignored, since prose
says "fell 20 %" of -0.2. A number may be rounded or cut at its last digit, and a whole number of three or more digits at its
third ("1,230" for 1,234). Numbers spelled in words are not looked at.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hl_assets.metrics.catalog import SCORED_METRICS

Kind = Literal["fraction", "percentile", "percent", "days", "hours", "number", "word"]
Rank = Literal["top", "bottom"]
Unit = Literal["none", "percent", "ordinal", "hours", "days", "weeks", "months", "years", "times"]

RUBRIC_CONSTANTS: Mapping[Unit, frozenset[float]] = {
    "none": frozenset({20.0, 40.0, 60.0, 80.0, 100.0, 6.0}),  # the scores, and how many there are
    "percent": frozenset({5.0, 500.0}),
    "days": frozenset({30.0}),
}
"""Numbers every grader may quote, by unit: the scores and the thresholds of the edge rules."""

_NUMBER = re.compile(
    r"""
    (?<![\w.])(?<!\d,)                               # not inside a word, a decimal or another number
    (?:(?P<rank>top|bottom)\s+)?
    (?P<total>of\s+(?:the|its|all)\s+)?
    (?P<sign>[-+\u2212\u2013~\u2248$<>]*)
    (?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<exponent>e[-+]?\d+)?(?!\d)
    (?P<scale>\s?(?:k|thousand|million|m)(?!\w))?
    (?:
        (?P<percent>\s?%|\s?percent\b|\s?per\s?cent\b|\s?pct\b)
      | (?P<ordinal>st|nd|rd|th)\b
      | (?P<times>\s?[x\u00d7](?!\w)|-?\s?fold\b|\s?times\b)
      | [\s-](?P<span>hour|day|week|month|year)s?\b
      | (?P<counts>(?=\s+(?:out\s+)?of\s+(?:the\s+|its\s+|all\s+)?(?:6|six)\b
                    |\s+(?:metric|score|ratio|figure|measure|percentile)s?\b))
    )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+(?:\.\d+)?")

_FRACTIONS = ("max_drawdown", "roi", "cagr", "avg_drawdown")
_NOISE = 1e-9
_DAYS_OF: Mapping[Unit, tuple[float, ...]] = {
    "days": (1.0,),
    "weeks": (7.0,),
    "months": (30.0, 365.25 / 12, 31.0),
    "years": (365.0, 365.25),
}
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6}


@dataclass(frozen=True, slots=True)
class Known:
    """A number of the input, and what kind of figure it is."""

    value: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Quoted:
    """A number as prose quotes it; `step` is the worth of its last digit."""

    text: str
    value: float
    step: float
    unit: Unit
    counting: bool
    rank: Rank | None


def ungrounded_numbers(texts: Iterable[str], canonical: str) -> tuple[str, ...]:
    """The numbers quoted in the texts that the input does not have, as they are written, each once.

    Args:
        texts: prose.
        canonical: the input as `hl_assets.grading.canonical.canonical_input` writes it.

    Raises:
        ValueError: the input is no JSON.
    """
    known = tuple(known_numbers(canonical))
    found = (quoted for text in texts for quoted in quoted_numbers(text))
    return tuple(dict.fromkeys(quoted.text for quoted in found if not is_grounded(quoted, known)))


def known_numbers(canonical: str) -> Iterator[Known]:
    """Every number of an input, also those inside its words (`span_under_90_days`), save what only interprets."""
    return _walk((), json.loads(canonical))


def quoted_numbers(text: str) -> Iterator[Quoted]:
    """The numbers of a text, in order."""
    for match in _NUMBER.finditer(text):
        yield _quoted(match)


def is_grounded(quoted: Quoted, known: Iterable[Known]) -> bool:
    """Whether the quoted number is a counting word, one of the rubric's, or a form of a number of the input."""
    if quoted.counting or quoted.value in RUBRIC_CONSTANTS.get(quoted.unit, ()):
        return True
    return any(_matches(quoted, form) for number in known for form in _forms(number, quoted))


def _walk(path: tuple[str, ...], value: Any) -> Iterator[Known]:
    if isinstance(value, dict):
        for key, entry in value.items():
            if key != "interpretation":  # says what the percentile says
                yield from _walk((*path, key), entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _walk(path, entry)
    elif isinstance(value, str):
        yield from (Known(float(digits), "word") for digits in _DIGITS.findall(value.replace("_", " ")))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield Known(float(value), _kind(path))


def _kind(path: tuple[str, ...]) -> Kind:
    name = path[-1] if path else ""
    if name == "percentile":
        return "percentile"
    if name == "value" and len(path) > 1:
        name = path[-2]
    if name in _FRACTIONS or name.startswith("share_"):
        return "fraction"
    for suffix, kind in _SUFFIXES:
        if name.endswith(suffix):
            return kind
    return "number"


_SUFFIXES: tuple[tuple[str, Kind], ...] = (("_percent", "percent"), ("_days", "days"), ("_hours", "hours"))


def _quoted(match: re.Match[str]) -> Quoted:
    digits = match["digits"].replace(",", "")
    worth = _SCALES[match["scale"].strip().lower()] if match["scale"] else 1.0
    worth *= 10.0 ** int(match["exponent"][1:]) if match["exponent"] else 1.0
    value, unit = float(digits) * worth, _unit(match)
    small = unit == "none" and value.is_integer() and 0 < value <= len(SCORED_METRICS)
    return Quoted(
        text=match.string[match.start("sign") : match.end()].strip(),
        value=value,
        step=_step(digits) * worth,
        unit=unit,
        counting=small and (match["counts"] is not None or match["total"] is not None),
        rank=_RANKS.get((match["rank"] or "").lower()),
    )


def _unit(match: re.Match[str]) -> Unit:
    if match["span"]:
        return _SPANS[match["span"].lower()]
    for unit in _MARKED:
        if match[unit]:
            return unit
    return "none"


_MARKED: tuple[Literal["percent", "ordinal", "times"], ...] = ("percent", "ordinal", "times")
_RANKS: Mapping[str, Rank] = {"top": "top", "bottom": "bottom"}
_SPANS: Mapping[str, Unit] = {
    "hour": "hours",
    "day": "days",
    "week": "weeks",
    "month": "months",
    "year": "years",
}


def _step(digits: str) -> float:
    """The worth of the last digit; trailing zeros of a whole number beyond its third digit count as rounded."""
    if "." in digits:
        return 10.0 ** -len(digits.partition(".")[2])
    zeros = len(digits) - len(digits.rstrip("0"))
    return 10.0 ** min(zeros, max(0, len(digits) - 3))


def _matches(quoted: Quoted, form: float) -> bool:
    """Rounded (either way at a half) or cut: between half a step below the quote's value and a step above it."""
    noise = _NOISE * max(1.0, abs(form))
    excess = abs(form) - quoted.value
    return -quoted.step / 2 - noise <= excess < quoted.step - noise or abs(excess) <= noise


def _forms(number: Known, quoted: Quoted) -> Iterator[float]:
    """The input's number as a quote of this unit may put it."""
    if number.kind == "word":
        if quoted.value == number.value:
            yield number.value
        return
    match quoted.unit:
        case "none" | "ordinal":
            yield number.value
            if number.kind in ("fraction", "percentile"):  # "between 20 and 25 %", "percentile 93"
                yield number.value * 100
        case "percent":
            yield from _as_percent(number, quoted)
        case "times":
            yield number.value
            if number.kind == "fraction":
                yield 1 + number.value
        case "hours":
            yield from _as_hours(number)
        case _:
            yield from (days / unit for days in _as_days(number) for unit in _DAYS_OF[quoted.unit])


def _as_percent(number: Known, quoted: Quoted) -> Iterator[float]:
    yield number.value * 100
    if number.kind == "percent":
        yield number.value
    if number.kind == "percentile":
        from_top = 100 - number.value * 100
        yield from_top
        # "Top 10 %" and "Bottom 20 %" are the words the input itself interprets percentiles with.
        reach = {"top": from_top, "bottom": number.value * 100}.get(quoted.rank or "", math.inf)
        if quoted.value in (10.0, 20.0) and reach <= quoted.value + _NOISE:
            yield quoted.value


def _as_days(number: Known) -> Iterator[float]:
    if number.kind == "days":
        yield number.value
    elif number.kind == "hours":
        yield number.value / 24


def _as_hours(number: Known) -> Iterator[float]:
    if number.kind == "hours":
        yield number.value
    elif number.kind == "days":
        yield number.value * 24
