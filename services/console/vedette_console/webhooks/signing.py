"""Standard Webhooks, specification 1.0.0 (https://www.standardwebhooks.com): secrets and signatures. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from vedette.errors import ConfigurationError

_PREFIX: Final = "whsec_"
_MIN_BYTES, _MAX_BYTES = 24, 64  # by the specification
REMEDY: Final = (
    f'a secret is "{_PREFIX}" and {_MIN_BYTES} to {_MAX_BYTES} bytes in base64; make one: '
    'echo "whsec_$(openssl rand -base64 32)"'
)


def key(secret: str, where: str) -> bytes:
    """Return the key in *secret*. Raises ConfigurationError, which names *where*, never the secret."""
    text = secret.strip()
    if not text.startswith(_PREFIX):
        raise ConfigurationError(where=where, problem=f"does not begin with {_PREFIX}; {REMEDY}")
    try:
        found = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(where=where, problem=f"is not base64 after {_PREFIX}; {REMEDY}") from error
    if not _MIN_BYTES <= len(found) <= _MAX_BYTES:
        raise ConfigurationError(where=where, problem=f"has {len(found)} bytes; {REMEDY}")
    return found


def headers(message_id: str, at: datetime, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """Return the headers of *body*, sent *at* that time: one signature by each of *keys*."""
    timestamp = int(at.timestamp())
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signatures = (base64.b64encode(hmac.new(one, signed, hashlib.sha256).digest()).decode() for one in keys)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
