"""Prompt, schema, request and hashes."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from hl_assets.claude.prices import estimate_tokens
from hl_assets.claude.prompt import UnknownPromptError, load_prompt
from hl_assets.claude.schema import answer_schema
from hl_assets.grading.answer import ANSWERABLE_STYLES
from hl_assets.grading.canonical import canonical_input, input_from_canonical
from hl_assets.grading.interface import TRADING_STYLES
from hl_assets_tests.claude.builders import MODEL, profile
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.grading.strategies import inputs
from hl_assets_tests.messages_api.tokens import input_tokens


class TestPrompt:
    def test_a_published_prompt_is_never_edited(self):
        # A new wording is a new version: stored grades name this hash.
        assert load_prompt("v1").sha256 == "c68b0d3549340682fbe83fd26b090e1b1b703e8eaf77ce92dcc1c44811f6711d"

    def test_an_unknown_version_names_the_known(self):
        with pytest.raises(UnknownPromptError, match="no prompt 'v99'; choose one of v1"):
            load_prompt("v99")

    @pytest.mark.parametrize("name", ["../v1", "", "v1/", "v1/system.md"])
    def test_no_path_leaves_the_folder(self, name):
        with pytest.raises(UnknownPromptError):
            load_prompt(name)

    def test_it_names_the_styles_that_can_be_told_and_no_other(self):
        text = load_prompt().text
        assert all(f"`{style}`" in text for style in ANSWERABLE_STYLES)
        assert not any(style in text for style in set(TRADING_STYLES) - set(ANSWERABLE_STYLES))

    def test_it_names_every_field_of_the_input_and_of_the_answer(self):
        text = load_prompt().text
        told = json.loads(canonical_input(grade_input()))
        for name in [*told, *told["metrics"], *told["metrics"]["roi"], *told["data_quality"]]:
            assert f"`{name}`" in text, name
        for name in ("reasoning", "overall_assessment", "confidence"):
            assert f"`{name}`" in text


class TestSchema:
    def test_everything_is_required_and_nothing_extra_allowed(self):
        def objects(schema):
            if isinstance(schema, dict):
                if schema.get("type") == "object":
                    yield schema
                for part in schema.values():
                    yield from objects(part)

        found = list(objects(answer_schema()))
        assert len(found) == 3
        for schema in found:
            assert schema["required"] == list(schema["properties"])
            assert schema["additionalProperties"] is False

    def test_scores_may_be_null_and_reasons_come_before_verdicts(self):
        schema = answer_schema()
        roi = schema["$defs"]["AnswerScores"]["properties"]["roi"]
        assert roi == {"anyOf": [{"enum": [20, 40, 60, 80, 100]}, {"type": "null"}]}
        assert next(iter(schema["properties"])) == "reasoning"


class TestRequest:
    def test_it_is_what_was_agreed(self):
        request = profile().request(grade_input(row_id="row-9"))
        assert set(request) == {"model", "max_tokens", "system", "messages", "output_config"}
        assert request["system"][0]["cache_control"] == {"type": "ephemeral"}
        assert request["messages"] == [{"role": "user", "content": canonical_input(grade_input())}]
        assert request["output_config"]["effort"] == "low"
        assert request["max_tokens"] == 2_000

    @given(inputs())
    def test_it_holds_no_row_and_is_the_same_for_the_same_input(self, item):
        other = item.model_copy(update={"row_id": "another-row"})
        assert profile().request_bytes(item) == profile().request_bytes(other)

    @given(inputs())
    def test_the_estimate_is_never_below_the_stand_ins_count(self, item):
        request = profile().request(item)
        assert profile().input_tokens_estimate(request["messages"][0]["content"]) >= input_tokens(request)

    @given(inputs())
    def test_an_input_comes_back_from_its_text(self, item):
        assert input_from_canonical(canonical_input(item), item.row_id) == item

    @pytest.mark.parametrize("text", ["{}", "[]", "null", '{"metrics": {}}'])
    def test_another_text_is_no_input(self, text):
        with pytest.raises(ValueError, match="canonical"):
            input_from_canonical(text, "row-0")


class TestKeys:
    @pytest.mark.parametrize(
        "change",
        [{"model": "claude-sonnet-5-5"}, {"effort": "high"}, {"schema": {"type": "object"}},
         {"prompt": replace(load_prompt(), sha256="0" * 64)}],
    )  # fmt: skip
    def test_what_decides_an_answer_changes_key_and_version(self, change):
        assert profile(**change).grade_key(grade_input()) != profile().grade_key(grade_input())
        assert profile(**change).version != profile().version

    def test_what_does_not_decide_it_does_not(self):
        assert profile(max_tokens=500).grade_key(grade_input()) == profile().grade_key(
            grade_input(row_id="x")
        )
        assert profile(max_tokens=500).version == profile().version

    def test_the_version_can_be_read(self):
        assert profile().version.startswith(f"{MODEL}/low/v1-")

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [({"model": ""}, "name"), ({"effort": "max"}, "effort"), ({"max_tokens": 50}, "max_tokens"),
         ({"max_tokens": 20_000}, "max_tokens")],
    )  # fmt: skip
    def test_what_cannot_be_asked_is_refused(self, change, complaint):
        with pytest.raises(ValueError, match=complaint):
            profile(**change)


def test_words_and_numbers_count_as_tokens():
    assert estimate_tokens("") == 0
    assert estimate_tokens("trading") == 3
    assert estimate_tokens("-0.2034") == 5
    assert estimate_tokens("\u00e9\ud800") == 5
