"""The stand-in as a command: help, URL, control paths, bad options."""

import anthropic
import httpx
import pytest

from hl_assets_tests.messages_api.__main__ import main
from hl_assets_tests.messages_api.faults import kinds
from hl_assets_tests.messages_api.fixtures import StartMessagesApi
from hl_assets_tests.messages_api.process import running_process
from hl_assets_tests.messages_api.samples import request


def test_the_process_serves_and_its_faults_can_be_switched() -> None:
    with (
        running_process("--fault", "refusal=1,containing=row-1,variant=text", "--seed", "3") as url,
        anthropic.Anthropic(base_url=url, api_key="sk-secret-of-the-test", max_retries=0) as client,
    ):
        reasons = [client.messages.create(**request(number)).stop_reason for number in (0, 1)]
        switched = httpx.post(
            f"{url}/_stand_in/faults", json=[{"kind": "overloaded_error", "lasts": "permanent"}]
        )
        with pytest.raises(anthropic.OverloadedError):
            client.messages.create(**request(2))
        bad = httpx.post(f"{url}/_stand_in/faults", json=[{"kind": "nonsense"}])
        seen = httpx.get(f"{url}/_stand_in/requests").json()
        assert httpx.post(f"{url}/_stand_in/reset").status_code == 204
        assert httpx.get(f"{url}/_stand_in/requests").json()["requests"] == []
    assert reasons == ["end_turn", "refusal"]
    assert switched.json()[0]["kind"] == "overloaded_error"
    assert (bad.status_code, "unknown fault 'nonsense'" in bad.text) == (400, True)
    assert [asked["status"] for asked in seen["requests"]] == [200, 200, 529]
    assert [asked["key_accepted"] for asked in seen["requests"]] == [True] * 3
    assert "row-1" in seen["requests"][1]["body"]
    assert seen["max_in_flight"] == 1
    assert "sk-secret-of-the-test" not in str(seen)


def test_help_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert "--fault" in shown
    assert "ANTHROPIC_BASE_URL" in shown
    assert [kind for kind in kinds() if kind not in shown] == []


def test_a_bad_fault_or_a_taken_port_is_said(
    messages_api: StartMessagesApi, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", "0", "--fault", "refuse=0.1"]) == 2
    assert "unknown fault 'refuse'" in capsys.readouterr().err
    port = messages_api().url.rsplit(":", 1)[1]
    assert main(["--port", port]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
