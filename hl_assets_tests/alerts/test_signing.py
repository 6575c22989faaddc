"""Signatures, against Standard Webhooks' own vector."""

import base64

from hl_assets.alerts.config import parse_secrets
from hl_assets.alerts.signing import signed_headers

# From the specification's repository: libraries/javascript/src/webhook.test.ts, "sign function works".
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_specifications_vector() -> None:
    assert signed_headers(parse_secrets(SECRET), ID, TIMESTAMP, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_every_key_signs_while_receivers_change_theirs() -> None:
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    header = signed_headers(parse_secrets(f"{other} {SECRET}"), ID, TIMESTAMP, BODY)["webhook-signature"]
    assert header.split(" ")[1] == SIGNATURE
    assert len(set(header.split(" "))) == 2


def test_id_timestamp_and_body_are_all_signed() -> None:
    keys = parse_secrets(SECRET)
    signatures = {
        signed_headers(keys, name, timestamp, body)["webhook-signature"]
        for name, timestamp, body in (
            (ID, TIMESTAMP, BODY),
            (ID + "x", TIMESTAMP, BODY),
            (ID, TIMESTAMP + 1, BODY),
            (ID, TIMESTAMP, BODY + b" "),
        )
    }
    assert len(signatures) == 4
