"""Spoilt answers: what is wrong with one that meets a fault of the answer.

Belongs here: changing a good answer. Which request meets which fault is decided in `faults.py`.
"""

import json
import random
import re
from collections.abc import Callable
from typing import Any

from hl_assets_tests.messages_api.answers import Body, Content, schema_of, user_text
from hl_assets_tests.messages_api.errors import StandInError
from hl_assets_tests.messages_api.schemas import Place, Schema, places

REFUSAL = "I can't help with grading this row."
_WORDS = ("High", "Medium", "Low")


def spoil(kind: str, body: Body, text: str, rng: random.Random) -> str:
    """The text of an answer, spoilt.

    Args:
        kind: `out_of_enum`, `invalid_json`, `missing_field`, `extra_field`, `ungrounded`, `wrong_row`,
            `raised_scores`.
        body: Request.
        text: The good answer.
        rng: Chooses the place.

    Raises:
        StandInError: The fault has no place in such an answer.
    """
    if kind == "invalid_json":
        return text.replace(":", " is", 1) if ":" in text else '{"'
    schema = schema_of(body)
    if schema is None:
        raise StandInError(
            f"fault {kind} needs an answer with a schema, and this request has no output_config.format"
        )
    answer = json.loads(text)
    _SPOILERS[kind](answer, schema, body, rng)
    return json.dumps(answer, ensure_ascii=False)


def cut(text: str, characters: int) -> str:
    """The beginning of a text: at most so many characters and never more than two thirds of it."""
    return text[: min(characters, len(text) * 2 // 3)]


def _out_of_enum(answer: Any, schema: Schema, _body: Body, rng: random.Random) -> None:
    place = _pick([place for place in places(answer, schema) if "enum" in place.schema], rng, "an enum")
    values = place.schema["enum"]
    numbers = [value for value in values if type(value) is int]
    place.holder[place.key] = max(numbers) + 7 if numbers else f"{place.value} and more"


def _missing_field(answer: Any, schema: Schema, _body: Body, rng: random.Random) -> None:
    place = _pick([place for place in places(answer, schema) if place.required], rng, "a required field")
    del place.holder[place.key]


def _extra_field(answer: Any, _schema: Schema, _body: Body, _rng: random.Random) -> None:
    if not isinstance(answer, dict):
        raise StandInError("extra_field needs an answer that is an object")
    answer["note_to_reader"] = "one more field than the schema has"


def _ungrounded(answer: Any, schema: Schema, body: Body, rng: random.Random) -> None:
    echoed = set(Content.of(body).ids.values())
    prose = [place for place in _strings(answer, schema) if place.value not in echoed]
    if not prose:
        raise StandInError("ungrounded needs a free text in the answer, and this one has none")
    for place in prose:
        place.holder[place.key] = f"Both {_absent(body, rng)} % and {_absent(body, rng)} speak for it."


def _wrong_row(answer: Any, schema: Schema, body: Body, rng: random.Random) -> None:
    echoed = set(Content.of(body).ids.values())
    for place in _strings(answer, schema):
        if place.value in echoed:
            place.holder[place.key] = f"other-{rng.randrange(10**6):06d}"
    _ungrounded(answer, schema, body, rng)


def _raised_scores(answer: Any, schema: Schema, _body: Body, _rng: random.Random) -> None:
    for place in places(answer, schema):
        values = place.schema.get("enum", ())
        if values and all(type(value) is int for value in values):
            place.holder[place.key] = max(values)
        elif set(values) == set(_WORDS):
            place.holder[place.key] = _WORDS[0]


_SPOILERS: dict[str, Callable[[Any, Schema, Body, random.Random], None]] = {
    "out_of_enum": _out_of_enum,
    "missing_field": _missing_field,
    "extra_field": _extra_field,
    "ungrounded": _ungrounded,
    "wrong_row": _wrong_row,
    "raised_scores": _raised_scores,
}


def _strings(answer: Any, schema: Schema) -> list[Place]:
    return [
        place
        for place in places(answer, schema)
        if isinstance(place.value, str) and "enum" not in place.schema and "const" not in place.schema
    ]


def _pick(found: list[Place], rng: random.Random, what: str) -> Place:
    if not found:
        raise StandInError(f"the fault needs {what} in the answer, and this one has none")
    return rng.choice(found)


def _absent(body: Body, rng: random.Random) -> str:
    """A number that no part of the request's message holds, whichever way it is rounded."""
    present = set(re.findall(r"\d+", user_text(body)))
    while True:
        whole, part = str(rng.randrange(10_000, 99_999)), str(rng.randrange(1_000, 9_999))
        if whole not in present and part not in present:
            return f"{whole}.{part}"
