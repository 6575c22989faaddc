"""What the `ALERT_*` settings may say; no refusal quotes a URL or a secret."""

import base64

import pytest
from pydantic import ValidationError

from hl_assets.alerts.alert import KINDS
from hl_assets.alerts.config import (
    DEFAULT_KINDS,
    AlertConfigError,
    check_webhook_url,
    parse_after_failures,
    parse_kinds,
    parse_secrets,
)
from hl_assets.resources.alerts import limits_of, webhook_of
from hl_assets.settings import Settings
from hl_assets_tests.alerts.builders import SECRET, TOKEN


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/a/b?c=d",
        "https://hooks.example:8443",
        "http://127.0.0.1:9000/hook",
        "http://[::1]:9000/",
        "http://localhost/x",
    ],
)
def test_https_and_http_to_this_machine_are_taken(url: str) -> None:
    check_webhook_url(url, allow_http=False)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"http://hooks.example/{TOKEN}", "clear text"),
        (f"http://10.0.0.1/{TOKEN}", "clear text"),
        (f"http://localhost.example/{TOKEN}", "clear text"),
        (f"ftp://hooks.example/{TOKEN}", "no http"),
        (f"hooks.example/{TOKEN}", "no http"),
        (f"https:///{TOKEN}", "no http"),
        (f"https://hooks.example:99999/{TOKEN}", "no URL"),
        (f"https://hooks.example/{TOKEN}#part", "fragment"),
        (f"https://hooks.example/{TOKEN} x", "space"),
        (f"https://user:{TOKEN}@hooks.example/", "user or password"),
        (f"https://[broken/{TOKEN}", "no URL"),
    ],
)
def test_other_urls_are_refused_without_being_quoted(url: str, says: str) -> None:
    with pytest.raises(AlertConfigError, match=says) as caught:
        check_webhook_url(url, allow_http=False)
    assert TOKEN not in str(caught.value)
    with pytest.raises(ValidationError, match=f"ALERT_WEBHOOK_URL: .*{says}") as refused:
        Settings.load(alert_webhook_url=url, alert_webhook_secret=SECRET)
    assert TOKEN not in str(refused.value)


def test_http_to_another_machine_can_be_allowed() -> None:
    check_webhook_url("http://alerts.internal:9000/hook", allow_http=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("c2VjcmV0LWtleS1zZWNyZXQta2V5LXNlY3JldC1rZXk=", "does not begin with whsec_"),
        ("whsec_not*base64*not*base64*not*base64*not", "not base64"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "23 bytes long instead of 24 to 64"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "65 bytes long"),
        (f"{SECRET} whsec_c2hvcnQ=", "secret 2"),
    ],
)
def test_unusable_secrets_are_refused_without_being_quoted(text: str, says: str) -> None:
    with pytest.raises(AlertConfigError, match=says) as caught:
        parse_secrets(text)
    for part in text.split():
        assert part.removeprefix("whsec_") not in str(caught.value)
    assert "secrets.token_bytes" in str(caught.value)


def test_a_webhook_needs_a_secret() -> None:
    with pytest.raises(ValidationError, match="ALERT_WEBHOOK_SECRET: it is empty; make one with"):
        Settings.load(alert_webhook_url="https://hooks.example/x")


def test_without_a_webhook_there_is_none() -> None:
    assert webhook_of(Settings.load()) is None


def test_neither_url_nor_secret_is_in_a_repr() -> None:
    settings = Settings.load(alert_webhook_url=f"https://h.example/{TOKEN}", alert_webhook_secret=SECRET)
    shown = f"{settings!r} {settings} {webhook_of(settings)!r} {settings.model_dump()}"
    assert TOKEN not in shown
    assert SECRET not in shown


def test_kinds() -> None:
    assert parse_kinds("stale, rank_jump") == {"stale", "rank_jump"}
    assert parse_kinds(DEFAULT_KINDS) == set(KINDS) - {"many_changes", "test"}
    with pytest.raises(AlertConfigError, match="no kinds of alerts: fire; there are run_failed,"):
        parse_kinds("stale,fire")


def test_failures_per_job() -> None:
    assert parse_after_failures("tick=2, *=3") == {"tick": 2, "*": 3}
    limits = limits_of(Settings.load(alert_after_failures="tick=1"))
    assert (limits.failures_of("tick"), limits.failures_of("other")) == (1, None)


@pytest.mark.parametrize(
    "text", ["tick", "tick=", "tick=0", "tick=51", "tick=two", "=2", "a b=2", "tick=1,tick=2"]
)
def test_failures_in_another_form_are_refused(text: str) -> None:
    with pytest.raises(AlertConfigError, match="is not JOB=N with N from 1 to 50"):
        parse_after_failures(text)
