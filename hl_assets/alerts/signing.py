"""Signatures of Standard Webhooks: who sent a message, that nobody changed it, and when it was sent.

Belongs here: the signature's bytes and the headers that carry it. Does not belong here: HTTP (`webhook`).

Source: Standard Webhooks 1.0.0, https://www.standardwebhooks.com, "Signature scheme" and "Webhook headers". The package
`standardwebhooks` does the same; it is not used because the scheme is one line and its verifying half is the receiver's.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The symmetric signature `v1,...`: base64 of HMAC-SHA256 over `id.timestamp.body`.

    Args:
        key: The key's bytes.
        message_id: `webhook-id`; without a full stop.
        timestamp: `webhook-timestamp`: when this attempt is made, seconds since 1970.
        body: The body's bytes as sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def signed_headers(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers; one signature per key, so that receivers can change keys one after the other."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(key, message_id, timestamp, body) for key in keys),
    }
