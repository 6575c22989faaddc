"""Checks of a request as the API makes them, with its messages where they are known.

Belongs here: what is refused before anything is answered. Schemas are checked in `schemas.py`.
Source: parameters of `messages.create` in the SDK 2.11 and https://docs.claude.com/en/api/messages.
"""

import json
from collections.abc import Mapping
from typing import Any

from hl_assets_tests.messages_api.answers import Body
from hl_assets_tests.messages_api.errors import ApiError, invalid
from hl_assets_tests.messages_api.models import ModelCard
from hl_assets_tests.messages_api.schemas import check_schema

_COUNTED = frozenset(
    {
        "messages", "model", "cache_control", "output_config", "speed", "system", "thinking", "tool_choice", "tools"
    }
)  # fmt: skip
_CREATED = _COUNTED | {
    "max_tokens", "container", "diagnostics", "inference_geo", "metadata", "service_tier", "stop_sequences", "stream"
}  # fmt: skip
_NOT_SERVED = ("tools", "tool_choice", "container", "stop_sequences")
_ROLES = ("user", "assistant", "system")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_MOST_MARKS = 4


def read_json(raw: bytes) -> Body:
    """The body as an object.

    Raises:
        ApiError: 400: not JSON, or not an object.
    """
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("Input should be a valid dictionary")
    return body


def check_message(body: Body, models: Mapping[str, ModelCard]) -> None:
    """Refuse a request `POST /v1/messages` would refuse.

    Raises:
        ApiError: 400, or 404 for a model that does not answer.
    """
    _check_names(body, _CREATED, ("max_tokens", "messages", "model"))
    card = _model(body, models)
    most = body["max_tokens"]
    if type(most) is not int:
        raise invalid("max_tokens: Input should be a valid integer")
    if most < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    if most > card.max_tokens:
        raise invalid(
            f"max_tokens: {most} > {card.max_tokens}, which is the maximum allowed number of output tokens for {card.id}"
        )
    if body.get("stream"):
        raise invalid("stream: this stand-in does not stream")
    _check_common(body, card)
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if type(budget) is not int or budget < 1_024:
            raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= most:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")


def check_count(body: Body, models: Mapping[str, ModelCard]) -> None:
    """Refuse a request `POST /v1/messages/count_tokens` would refuse.

    Raises:
        ApiError: 400 or 404.
    """
    _check_names(body, _COUNTED, ("messages", "model"))
    _check_common(body, _model(body, models))


def _check_names(body: Body, allowed: frozenset[str], needed: tuple[str, ...]) -> None:
    for name in needed:
        if name not in body:
            raise invalid(f"{name}: Field required")
    for name in body:
        if name not in allowed:
            raise invalid(f"{name}: Extra inputs are not permitted")
    for name in _NOT_SERVED:
        if body.get(name):
            raise invalid(f"{name}: this stand-in does not serve it")


def _model(body: Body, models: Mapping[str, ModelCard]) -> ModelCard:
    name = body["model"]
    if not isinstance(name, str) or not name:
        raise invalid("model: Input should be a valid string")
    card = models.get(name)
    if card is None or card.lifecycle == "retired":
        raise ApiError("not_found_error", f"model: {name}")
    return card


def _check_common(body: Body, card: ModelCard) -> None:
    _check_messages(body["messages"])
    system = body.get("system")
    if system is not None:
        _check_content(system, "system")
    _check_marks(body)
    _check_output(body.get("output_config"), card)
    kind = (body.get("thinking") or {"type": "disabled"}).get("type")
    if kind not in {"enabled", "adaptive", "disabled"}:
        raise invalid(
            f"thinking: Input tag {kind!r} found using 'type' does not match any of the expected tags"
        )


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    for index, message in enumerate(messages):
        _check_one(message, f"messages.{index}")
    if messages[-1]["role"] != "user":
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _check_one(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise invalid(f"{where}: Input should be a valid dictionary")
    for name in ("role", "content"):
        if name not in message:
            raise invalid(f"{where}.{name}: Field required")
    for name in message:
        if name not in {"role", "content"}:
            raise invalid(f"{where}.{name}: Extra inputs are not permitted")
    if message["role"] not in _ROLES:
        raise invalid(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
    _check_content(message["content"], f"{where}.content")


def _check_content(content: Any, where: str) -> None:
    if isinstance(content, str):
        if not content and where != "system":
            raise invalid(f"{where}: text content blocks must be non-empty")
        return
    if not isinstance(content, list):
        raise invalid(f"{where}: Input should be a valid string or list")
    for index, block in enumerate(content):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise invalid(f"{where}.{index}: this stand-in reads text blocks only")
        if not isinstance(block.get("text"), str) or not block["text"]:
            raise invalid(f"{where}.{index}.text: text content blocks must be non-empty")
        for name in block:
            if name not in {"type", "text", "cache_control", "citations"}:
                raise invalid(f"{where}.{index}.text.{name}: Extra inputs are not permitted")


def _check_marks(body: Body) -> None:
    parts = [body.get("system"), *(message["content"] for message in body["messages"])]
    marks = [
        block["cache_control"]
        for part in parts
        if isinstance(part, list)
        for block in part
        if block.get("cache_control")
    ]
    marks += [body["cache_control"]] if body.get("cache_control") else []
    if len(marks) > _MOST_MARKS:
        raise invalid(
            f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided. Found {len(marks)}."
        )
    for mark in marks:
        known = isinstance(mark, dict) and mark.get("type") == "ephemeral" and set(mark) <= {"type", "ttl"}
        if not known or mark.get("ttl", "5m") not in {"5m", "1h"}:
            raise invalid("cache_control: Input should be {'type': 'ephemeral'} with ttl '5m' or '1h'")


def _check_output(output: Any, card: ModelCard) -> None:
    if output is None:
        return
    if not isinstance(output, dict):
        raise invalid("output_config: Input should be a valid dictionary")
    for name in output:
        if name not in {"effort", "format"}:
            raise invalid(f"output_config.{name}: Extra inputs are not permitted")
    if (effort := output.get("effort")) is not None:
        if effort not in _EFFORTS:
            raise invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
        if not card.effort:
            raise invalid("This model does not support the effort parameter.")
    if (form := output.get("format")) is not None:
        _check_format(form, card)


def _check_format(form: Any, card: ModelCard) -> None:
    if not card.structured_outputs:
        raise invalid(f"'{card.id}' does not support output format.")
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise invalid("output_config.format.type: Input should be 'json_schema'")
    if "schema" not in form:
        raise invalid("output_config.format.schema: Field required")
    for name in form:
        if name not in {"type", "schema"}:
            raise invalid(f"output_config.format.{name}: Extra inputs are not permitted")
    check_schema(form["schema"])
