"""Answers made from the request alone: a walk over the JSON schema whose choices come from the numbers in the message.

Belongs here: reading the row out of a request, and the generic answerer. It knows no field of any particular schema:
a field that shares its name with a number of the message is about that number. Nothing is random: the same numbers give
the same answer, whatever order or row name they come with.
"""

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from hl_assets_tests.messages_api.errors import StandInError
from hl_assets_tests.messages_api.schemas import Schema, resolve

Body = dict[str, Any]
Answerer = Callable[[Body], dict[str, Any] | str]
Write = Callable[[tuple[str, ...]], str]

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")
_FORMATS = {
    "date-time": "2026-01-15T12:00:00Z",
    "date": "2026-01-15",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "row@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_SENTENCES = (
    "{name} of {number} decides here.",
    "With {name} at {number} this is what the row shows.",
    "The {name} is {number}.",
)
_LONGEST_LIST = 3


class _Literal(str):
    """A number as it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """A number of the message: where it stands and how it was written."""

    path: tuple[str, ...]
    literal: str

    @property
    def name(self) -> str:
        """Last key, or empty for a number in running text."""
        return self.path[-1] if self.path else ""

    @property
    def quotable(self) -> bool:
        """Whether name and number can stand in a sentence without adding digits that are not in the message."""
        return "e" not in self.literal.lower() and not any(letter.isdigit() for letter in self.name)


@dataclass(frozen=True, slots=True)
class Content:
    """What the last user message holds: its numbers, its ids by key, and the keys that are null."""

    numbers: tuple[Leaf, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    nulls: frozenset[str] = frozenset()

    @classmethod
    def of(cls, body: Body) -> "Content":
        """Read the last user message: JSON documents in it if there are any, else numbers in its text."""
        text = user_text(body)
        numbers: list[Leaf] = []
        ids: dict[str, str] = {}
        nulls: set[str] = set()
        documents = list(_documents(text))
        for document in documents:
            for path, value in _leaves(document, ()):
                if isinstance(value, _Literal):
                    numbers.append(Leaf(path, str(value)))
                elif value is None and path:
                    nulls.add(path[-1])
                elif isinstance(value, str) and path and path[-1].endswith("id"):
                    ids.setdefault(path[-1], value)
        if not documents:
            numbers = [Leaf((), match) for match in _NUMBER.findall(text)]
        # Sorted, so the order of fields does not choose among them.
        numbers.sort(key=lambda leaf: (leaf.path, leaf.literal))
        return cls(tuple(numbers), ids, frozenset(nulls))

    def named(self, name: str) -> list[Leaf]:
        """Numbers at or under this key, the measured values before the percentiles."""
        subject = name.removesuffix("_score")
        return sorted((leaf for leaf in self.numbers if subject in leaf.path), key=_is_percentile)

    def percentile(self, name: str) -> float | None:
        """The percentile of that name as a share of 1, if the message has one."""
        found = [float(leaf.literal) for leaf in self.named(name) if _is_percentile(leaf)]
        return None if not found else found[0] / 100 if found[0] > 1 else found[0]

    def seed(self) -> str:
        """Digest of the numbers; empty if there are none."""
        if not self.numbers:
            return ""
        return digest([(leaf.path, leaf.literal) for leaf in self.numbers])


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def content_key(body: Body) -> str:
    """What makes two requests ask about the same thing: their messages. Budget, model and prompt do not matter."""
    return digest(body["messages"])


def user_text(body: Body) -> str:
    """Text of the last user message."""
    for message in reversed(body["messages"]):
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return "\n".join(block["text"] for block in content if block.get("type") == "text")
    raise StandInError("the request has no user message to answer")


def schema_of(body: Body) -> Schema | None:
    """The schema the answer must follow, if the request gives one."""
    output = body.get("output_config") or {}
    found = output.get("format") or {}
    return cast("Schema | None", found.get("schema"))


def generic_answer(body: Body) -> dict[str, Any] | str:
    """The answer when the test gives none: follows the schema if there is one, else a sentence."""
    content, schema = Content.of(body), schema_of(body)
    rng = random.Random(digest([content.seed() or body["messages"], schema]))
    if schema is None:
        return content_sentence(content, (), rng)
    return cast("dict[str, Any] | str", answer_for(schema, rng, content))


def answer_for(
    schema: Schema, rng: random.Random, content: Content | None = None, write: Write | None = None
) -> Any:
    """A value that validates against a schema the API takes.

    Args:
        schema: JSON schema, with `$defs` at its root.
        rng: Source of choices; hypothesis's `randoms()` makes every answer reachable.
        content: The row to answer about; without one all choices come from `rng`.
        write: Makes the free texts from their path; default: sentences quoting numbers of the row only.
    """
    about = content or Content()
    return _Walk(schema, rng, about, write or (lambda path: content_sentence(about, path, rng))).value(
        schema, ()
    )


def content_sentence(content: Content, path: tuple[str, ...], rng: random.Random) -> str:
    """A sentence about the field, quoting one number of the row as it was written, and no other."""
    own = [leaf for leaf in content.named(path[-1]) if leaf.quotable] if path else []
    usable = own[:1] or [leaf for leaf in content.numbers if leaf.quotable]
    if not usable:
        return "The request gives no number to quote."
    leaf = rng.choice(usable)
    name = leaf.name.replace("_", " ") or "number"
    if _is_percentile(leaf) and "percentile" not in name:
        name += " percentile"
    return rng.choice(_SENTENCES).format(name=name, number=leaf.literal)


class _Walk:
    """One walk over a schema."""

    def __init__(self, root: Schema, rng: random.Random, content: Content, write: Write) -> None:
        self._root, self._rng, self._content, self._write = root, rng, content, write

    def value(self, schema: Schema, path: tuple[str, ...]) -> Any:
        schema = resolve(schema, self._root)
        if "anyOf" in schema:
            return self.value(self._branch(schema["anyOf"], path), path)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._enum(schema["enum"], path)
        make: dict[str, Callable[[Schema, tuple[str, ...]], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda *_: self._rng.choice((False, True)),
            "null": lambda *_: None,
        }
        return make[schema["type"]](schema, path)

    def _branch(self, branches: list[Schema], path: tuple[str, ...]) -> Schema:
        """A number the row has is answered about, a null with null; where the row is silent, anything goes."""
        name = path[-1] if path else ""
        if self._content.percentile(name) is not None:
            branches = [branch for branch in branches if branch.get("type") != "null"] or branches
        elif name in self._content.nulls:
            branches = [branch for branch in branches if branch.get("type") == "null"] or branches
        return self._rng.choice(branches)

    def _enum(self, values: list[Any], path: tuple[str, ...]) -> Any:
        share = self._content.percentile(path[-1]) if path else None
        if share is not None and all(type(value) is int for value in values):
            ordered = sorted(values)
            return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
        return self._rng.choice(values)

    def _object(self, schema: Schema, path: tuple[str, ...]) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        return {
            name: self.value(part, (*path, name))
            for name, part in schema.get("properties", {}).items()
            if name in required or self._rng.choice((True, False))
        }

    def _array(self, schema: Schema, path: tuple[str, ...]) -> list[Any]:
        if "items" not in schema:
            return []
        length = self._rng.randint(schema.get("minItems", 0), _LONGEST_LIST)
        return [self.value(schema["items"], path) for _ in range(length)]

    def _string(self, schema: Schema, path: tuple[str, ...]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        if path and path[-1] in self._content.ids:
            return self._content.ids[path[-1]]
        return self._write(path)

    def _integer(self, _schema: Schema, path: tuple[str, ...]) -> int:
        own = [leaf.literal for leaf in self._content.named(path[-1])] if path else []
        whole = [int(literal) for literal in own if re.fullmatch(r"-?\d+", literal)]
        return whole[0] if whole else self._rng.randint(0, 10)

    def _number(self, _schema: Schema, path: tuple[str, ...]) -> float:
        own = self._content.named(path[-1]) if path else []
        return float(own[0].literal) if own else self._rng.randint(0, 1_000) / 1_000


def _is_percentile(leaf: Leaf) -> bool:
    return any("percentile" in part for part in leaf.path)


def _documents(text: str) -> Iterator[Any]:
    """The outermost JSON objects in a text, numbers kept as written."""
    decoder = json.JSONDecoder(parse_float=_Literal, parse_int=_Literal)
    start = text.find("{")
    while start >= 0:
        try:
            document, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            end = start + 1
        else:
            yield document
        start = text.find("{", end)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part, path)
    else:
        yield path, value
