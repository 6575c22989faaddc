"""The generic answers: always valid, never inventing numbers, with every choice within reach."""

import json
import random
import re
from typing import Any

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from hl_assets_tests.messages_api import answer_for, generic_answer
from hl_assets_tests.messages_api.answers import Content, content_key
from hl_assets_tests.messages_api.errors import ApiError, StandInError
from hl_assets_tests.messages_api.samples import SCHEMA, Verdict, request, row
from hl_assets_tests.messages_api.schemas import check_schema
from hl_assets_tests.messages_api.strategies import answers, answers_to

_LEAVES = st.one_of(
    st.sampled_from(
        [{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")]
        + [{"type": "string", "format": "date"}, {"const": "fixed"}, {"enum": [1, "two", None]}]
    ),
    st.lists(st.integers(-5, 5), min_size=1, unique=True).map(lambda values: {"enum": values}),
)
_NAMES = st.sampled_from(["roi", "row_id", "scores", "note"])


def _objects(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(_NAMES, parts, max_size=3).flatmap(
        lambda properties: (
            st.lists(st.sampled_from(sorted(properties)), unique=True).map(
                lambda required: {
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": False,
                }
            )
            if properties
            else st.just({"type": "object", "properties": {}, "additionalProperties": False})
        )
    )


SCHEMAS = st.recursive(
    _LEAVES,
    lambda parts: st.one_of(
        _objects(parts),
        parts.map(lambda items: {"type": "array", "items": items, "minItems": 1}),
        parts.map(lambda part: {"anyOf": [part, {"type": "null"}]}),
    ),
    max_leaves=8,
)


def valid(value: Any, schema: dict[str, Any]) -> bool:
    """A second reading of the few keywords the API takes."""
    if "anyOf" in schema:
        return any(valid(value, branch) for branch in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    if schema["type"] == "object":
        known = schema["properties"]
        return (
            isinstance(value, dict)
            and set(schema.get("required", ())) <= set(value) <= set(known)
            and all(valid(part, known[name]) for name, part in value.items())
        )
    if schema["type"] == "array":
        return (
            isinstance(value, list)
            and len(value) >= schema.get("minItems", 0)
            and all(valid(part, schema["items"]) for part in value)
        )
    types: dict[str, Any] = {
        "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)
    }  # fmt: skip
    is_bool = isinstance(value, bool)
    return isinstance(value, types[schema["type"]]) and is_bool == (schema["type"] == "boolean")


@settings(max_examples=150)
@given(schema=SCHEMAS, rng=st.randoms(use_true_random=False))
def test_every_answer_is_valid(schema: dict[str, Any], rng: random.Random) -> None:
    check_schema(schema)
    assert valid(answer_for(schema, rng), schema)
    assert valid(answer_for(schema, rng, Content.of(request(1))), schema)


@settings(max_examples=50)
@given(answer=answers_to(request(1)))
def test_every_answer_to_a_pydantic_schema_is_accepted_by_the_model(answer: dict[str, Any]) -> None:
    Verdict.model_validate_json(json.dumps(answer))


def test_every_choice_is_within_reach() -> None:
    far = find(answers(SCHEMA), lambda answer: answer["scores"] == {"max_drawdown": None, "roi": 100})
    assert far["confidence"] in {"High", "Medium", "Low"}
    texts = st.sampled_from(["", "\x00"])
    wild = find(answers(SCHEMA, texts=texts), lambda answer: answer["overall_assessment"] == "\x00")
    assert wild["reasoning"]["roi"] in {"", "\x00"}


@settings(max_examples=100)
@given(
    numbers=st.dictionaries(
        st.sampled_from(["roi", "cagr", "n_drawdowns"]),
        st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e9, 1e9, allow_nan=False)),
        min_size=1,
    )
)
def test_prose_quotes_numbers_of_the_row_as_they_are_written(numbers: dict[str, float]) -> None:
    content = json.dumps({"metrics": numbers})
    body = request(messages=[{"role": "user", "content": f"Grade this row:\n{content}\nThank you."}])
    answer = generic_answer(body)
    assert isinstance(answer, dict)
    for text in (answer["overall_assessment"], answer["reasoning"]["roi"], *answer["hidden_risks"]):
        for quoted in re.findall(r"-?\d[\d.e+-]*", text):
            assert quoted.rstrip(".") in {str(number) for number in numbers.values()}


def test_the_same_request_is_answered_the_same() -> None:
    assert generic_answer(request(1)) == generic_answer(request(1))
    assert generic_answer(request(1)) == generic_answer(request(1, max_tokens=5))
    assert len({json.dumps(generic_answer(request(number))) for number in range(10)}) == 10


def test_a_request_without_schema_gets_a_sentence() -> None:
    answer = generic_answer({"messages": [{"role": "user", "content": "How good is 42 %?"}]})
    assert isinstance(answer, str)
    assert "42" in answer


def test_numbers_are_found_in_blocks_and_beside_running_text() -> None:
    blocks = [{"type": "text", "text": "Rules {not json} 99"}, {"type": "text", "text": json.dumps(row(1))}]
    content = Content.of({"messages": [{"role": "user", "content": blocks}]})
    assert {leaf.literal for leaf in content.numbers} == {"-0.2501", "1.51", "0.9", "0.3"}
    assert content.percentile("roi") == content.percentile("roi_score") == 0.3
    assert content.ids == {"row_id": "row-1"}


def test_percentiles_in_hundreds_and_beside_their_value_are_understood() -> None:
    text = json.dumps({"roi": {"value": 1.5, "percentile": 95}})
    content = Content.of({"messages": [{"role": "user", "content": text}]})
    assert content.percentile("roi") == 0.95


def test_a_metric_that_is_null_gets_no_score_and_its_reason_is_not_echoed() -> None:
    item = row(1)
    item["metrics"]["max_drawdown"] = item["percentiles"]["max_drawdown"] = None
    item["null_reasons"] = {"max_drawdown": "span_under_90_days"}
    for number in range(10):
        item["metrics"]["roi"] = number
        answer = generic_answer(request(messages=[{"role": "user", "content": json.dumps(item)}]))
        assert isinstance(answer, dict)
        assert answer["scores"]["max_drawdown"] is None
        assert "span_under" not in answer["reasoning"]["max_drawdown"]


def test_a_request_nobody_asks_cannot_be_answered() -> None:
    with pytest.raises(StandInError, match="no user message"):
        Content.of({"messages": [{"role": "assistant", "content": "x"}]})


def test_the_content_is_the_messages_alone() -> None:
    assert content_key(request(1)) == content_key(request(1, system="Other.", max_tokens=9))
    assert content_key(request(1)) != content_key(request(2))


def test_a_schema_must_be_an_object() -> None:
    with pytest.raises(ApiError, match="valid dictionary"):
        check_schema(["string"])
