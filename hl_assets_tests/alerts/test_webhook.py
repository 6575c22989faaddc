"""Delivery over real HTTP: signed, repeated where it helps, bounded in time, and silent about its address."""

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from hl_assets.alerts.webhook import DeliveryError, Webhook
from hl_assets_tests.alerts.builders import SECRET, TOKEN, Receiver, message, receiving
from hl_assets_tests.exchange.scripted_server import Reply, running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_acknowledges(receiver: Receiver, status: int) -> None:
    receiver.script = [Reply(status=status)]
    receipt = receiver.webhook().deliver(message(), within_seconds=5)
    assert (receipt.status, receipt.attempts) == (status, 1)
    assert receiver.told == [("opened", "stale/wallet_scores")]
    request = receiver.requests[0]
    assert request.method == "POST"
    assert request.path == f"/hooks/{TOKEN}?also={TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("hl_assets/")


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=408),
        Reply(status=425),
        Reply(status=429),
        Reply(status=500),
        Reply(status=502, body=b"<html>bad gateway</html>"),
        Reply(status=503),
        Reply(status=504),
        Reply(drop=True),
        Reply(status=204, delay=1.0),
    ],
    ids=lambda reply: "reset" if reply.drop else ("timeout" if reply.delay else str(reply.status)),
)
def test_what_can_heal_is_repeated_under_the_same_id(receiver: Receiver, fault: Reply) -> None:
    receiver.script = [fault, fault]
    receipt = receiver.webhook().deliver(message(), within_seconds=10)
    assert receipt.attempts == 3
    assert {request.headers["webhook-id"] for request in receiver.requests} == {message().id}
    assert {request.raw for request in receiver.requests} == {message().body()}
    assert receiver.told == [("opened", "stale/wallet_scores")]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422])
def test_what_cannot_heal_is_asked_once(receiver: Receiver, status: int) -> None:
    receiver.script = [Reply(status=status, headers={"location": "/elsewhere", "retry-after": "1"})]
    with pytest.raises(DeliveryError, match=str(status)) as caught:
        receiver.webhook().deliver(message(), within_seconds=5)
    assert not caught.value.transient
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert [request.path for request in receiver.requests] == [f"/hooks/{TOKEN}?also={TOKEN}"]


def test_attempts_end(receiver: Receiver) -> None:
    receiver.script = [Reply(status=500)] * 9
    with pytest.raises(DeliveryError) as caught:
        receiver.webhook(attempts=4).deliver(message(), within_seconds=10)
    assert caught.value.transient
    assert len(receiver.requests) == caught.value.attempts == 4


def test_each_attempt_is_signed_at_its_own_time(receiver: Receiver) -> None:
    receiver.script = [Reply(status=500)]
    clock = iter([time.time(), time.time() + 7])
    receiver.webhook(now=lambda: next(clock)).deliver(message(), within_seconds=5)
    first, second = (int(request.headers["webhook-timestamp"]) for request in receiver.requests)
    assert second - first in {7, 8}


def test_retry_after_is_waited_for(receiver: Receiver) -> None:
    receiver.script = [Reply(status=429, headers={"retry-after": "1"})]
    receipt = receiver.webhook().deliver(message(), within_seconds=5)
    assert receipt.seconds >= 1.0
    first, second = (request.at for request in receiver.requests)
    assert second - first >= 1.0


def test_a_longer_retry_after_than_there_is_time_is_handed_on(receiver: Receiver) -> None:
    receiver.script = [Reply(status=503, headers={"retry-after": "120"})]
    began = time.monotonic()
    with pytest.raises(DeliveryError) as caught:
        receiver.webhook().deliver(message(), within_seconds=5)
    assert time.monotonic() - began < 2
    assert caught.value.retry_after_seconds == 120
    assert len(receiver.requests) == 1


def test_all_attempts_together_keep_the_time(receiver: Receiver) -> None:
    receiver.script = [Reply(status=204, delay=30)] * 9
    began = time.monotonic()
    with pytest.raises(DeliveryError, match="did not answer in"):
        receiver.webhook(timeout_seconds=0.4, attempts=9).deliver(message(), within_seconds=1.0)
    assert time.monotonic() - began < 2.0
    assert receiver.acknowledged == receiver.acknowledged[:1]


def test_a_head_that_trickles_does_not_take_longer_than_the_timeout() -> None:
    """A byte every tenth of a second never runs into a timeout between two reads."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for byte in b"HTTP/1.1 204 No Content\r\n" * 100:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.1)
        except ConnectionError:
            writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(trickle, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    webhook = Webhook(SecretStr(url), SecretStr(SECRET), timeout_seconds=0.5, attempts=1)
    began = time.monotonic()
    with pytest.raises(DeliveryError) as caught:
        webhook.deliver(message(), within_seconds=5)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - began < 1.5
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


def test_an_answer_without_end_is_not_read(receiver: Receiver) -> None:
    receiver.script = [Reply(status=200, body=b"x" * 50_000_000, delay_in_body=30)]
    receipt = receiver.webhook().deliver(message(), within_seconds=5)
    assert receipt.seconds < 1


def test_nobody_listening_says_what_to_check() -> None:
    webhook = Webhook(
        SecretStr(f"http://127.0.0.1:9/{TOKEN}"), SecretStr(SECRET), attempts=2, backoff_seconds=0.01
    )
    with pytest.raises(
        DeliveryError, match=r"no connection to the webhook \(ConnectError\).*check that"
    ) as caught:
        webhook.deliver(message(), within_seconds=5)
    assert caught.value.attempts == 2


def test_other_users_of_httpx_still_log(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.webhook().deliver(message(), within_seconds=5)
    assert "httpcore" not in caplog.text
    with (
        running(lambda request: Reply(status=204)) as other,
        httpx.Client(transport=httpx.HTTPTransport()) as client,
    ):
        client.get(other.url)
    assert "httpcore" in caplog.text


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=204),
        Reply(status=500, body=b"echo of ECHOED-BODY"),
        Reply(status=404, body=b"no ECHOED-BODY", headers={"x-echo": "ECHOED-HEADER"}),
        Reply(status=301, headers={"location": f"https://elsewhere.example/{TOKEN}"}),
        Reply(status=500, drop=True),
    ],
    ids=["204", "500", "404", "301", "reset"],
)
def test_neither_address_nor_secret_nor_answer_gets_out(
    receiver: Receiver, fault: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.script = [fault] * 3
    webhook = receiver.webhook()
    shown = [repr(webhook), str(webhook)]
    if fault.status == 204 and not fault.drop:
        webhook.deliver(message(), within_seconds=5)
    else:
        with pytest.raises(DeliveryError) as caught:
            webhook.deliver(message(), within_seconds=5)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        shown += [repr(caught.value), "".join(traceback.format_exception(caught.value))]
    shown += [caplog.text, *(str(record.args) for record in caplog.records)]
    port = receiver.url.split(":")[2].split("/")[0]
    for secret in (TOKEN, SECRET, port, "ECHOED-BODY", "ECHOED-HEADER", "elsewhere.example"):
        assert not [text for text in shown if secret in text]
