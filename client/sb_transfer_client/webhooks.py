"""Whether a webhook is the service's: signed by Standard Webhooks 1.0, a CloudEvent 1.0 inside."""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from sb_transfer_client.errors import WebhookRefused
from sb_transfer_client.models import CloudEvent

__all__ = ["CloudEvent", "receive", "sign", "verify"]
_PREFIX = "whsec_"
_TOLERANCE_SECONDS = 5 * 60.0


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    now: float | None = None,
    tolerance_seconds: float = _TOLERANCE_SECONDS,
) -> str:
    """Make sure that a delivery is genuine, whole and fresh, and return its id; a repetition has the same.

    Args:
        headers: Those of the request, in any case of letters.
        body: Its body, byte for byte as it came: JSON that was read and written again is another text.
        secrets: One secret, or all that are good now, while one is being replaced; each `whsec_` and base64.
        now: Seconds since 1970; the clock's if left out.
        tolerance_seconds: How much older or newer than now it may be.

    Raises:
        WebhookRefused: It is not; answer 400 and do nothing with it.
        ValueError: A secret is none.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, moment, signatures = (lowered[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise WebhookRefused(f"The header {error} is missing. This was not sent by the service.") from None
    if not (moment.isascii() and moment.isdecimal()):
        raise WebhookRefused("The header webhook-timestamp holds no number of seconds.")
    if abs((time.time() if now is None else now) - int(moment)) > tolerance_seconds:
        raise WebhookRefused("It was sent too long ago, or the clocks differ. Let the service send it again.")
    given = [
        signature for version, _, signature in (one.partition(",") for one in signatures.split()) if version == "v1"
    ]
    wanted = [
        sign(secret, message_id, int(moment), body) for secret in ([secrets] if isinstance(secrets, str) else secrets)
    ]
    # In constant time, so that nobody learns a signature byte by byte.
    if not any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in wanted):
        raise WebhookRefused("No signature is by a secret of ours. It is not from the service, or it was altered.")
    return message_id


def receive(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    now: float | None = None,
    tolerance_seconds: float = _TOLERANCE_SECONDS,
) -> CloudEvent:
    """Return the event of a delivery that is genuine; takes and raises what `verify` does."""
    verify(headers, body, secrets, now=now, tolerance_seconds=tolerance_seconds)
    try:
        return CloudEvent.model_validate_json(body)
    except ValidationError as error:
        raise WebhookRefused(f"It is signed, but no CloudEvent 1.0: {error}") from error


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message without its version: what a sender puts behind `v1,`.

    Raises:
        ValueError: The secret is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("A webhook secret is whsec_ and base64, as the service showed it once.") from error
    content = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()
