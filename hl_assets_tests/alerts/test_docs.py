"""docs/alerts.md: its code verifies real messages, its example is a real body."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from hl_assets.alerts.alert import EVENTS, KINDS
from hl_assets.alerts.config import parse_secrets
from hl_assets.alerts.signing import signed_headers
from hl_assets_tests.alerts.builders import SECRET, T0, message
from hl_assets_tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "alerts.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found[-1])


@pytest.fixture
def verify() -> Callable[..., None]:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # the page's own code
    return names["verify"]  # type: ignore[no-any-return]


BODY = message().body()


def headers(*secrets: str, age: int = 0) -> dict[str, str]:
    return signed_headers(parse_secrets(" ".join(secrets)), message().id, int(time.time()) - age, BODY)


def test_the_code_takes_our_messages(verify: Callable[..., None]) -> None:
    verify(SECRET, headers(SECRET), BODY)
    verify(SECRET, headers("whsec_" + "A" * 40, SECRET), BODY)


def test_the_code_refuses_what_is_not_ours_changed_or_old(verify: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="wrong signature"):
        verify(SECRET, headers("whsec_" + "A" * 40), BODY)
    with pytest.raises(ValueError, match="wrong signature"):
        verify(SECRET, headers(SECRET), BODY.replace(b"error", b"info "))
    with pytest.raises(ValueError, match="wrong signature"):
        verify(SECRET, headers(SECRET) | {"webhook-id": "msg_other"}, BODY)
    for age in (400, -400):
        with pytest.raises(ValueError, match="too old"):
            verify(SECRET, headers(SECRET, age=age), BODY)


def test_the_example_has_the_fields_of_a_body_and_all_are_described() -> None:
    example, body = json.loads(block("json")), json.loads(message(slot=T0).body())
    assert list(example) == list(body)
    assert list(example["data"]) == list(body["data"])
    assert body["data"]["slot"] == "2026-05-31T12:00:00Z"
    table = PAGE.split("| field | meaning |")[1].split("Verify before")[0]
    undescribed = [name for name in (*body, *body["data"]) if f"`{name}`" not in table]
    assert undescribed == ["data", "id", "kind"], "those are described above"


def test_every_kind_and_event_is_described() -> None:
    for kind in set(KINDS) - {"test"}:
        assert f"| `{kind}` |" in PAGE, kind
    for event in EVENTS:
        assert f"`{event}`" in PAGE, event


def test_a_body_is_small_and_the_same_each_time() -> None:
    full = message(title="t" * 200, facts={f"fact_{n}": ("0x" + "a" * 40,) * 10 for n in range(12)})
    assert len(full.body()) < 20_000, "Standard Webhooks: smaller than 20 kB"
    assert message().body() == message().body()
    assert message().id == message(title="another title").id, "an id names the fact, not its words"
