"""Names of endpoints that appear: allowed, and the same each time. Pure."""

import hashlib
import re
from typing import Final

_MAX_NAME: Final = 63
_DIGEST: Final = 8
_OTHER: Final = re.compile(r"[^a-z0-9]+")


def named(*parts: str) -> str:
    """Return the name that *parts* give, joined by hyphens: a-z, 0-9 and hyphens, at most 63 characters.

    A name that is too long is cut and ends with a digest of *parts*, so that two long names stay different.
    """
    whole = "-".join(parts)
    name = _OTHER.sub("-", whole.lower()).strip("-") or "endpoint"
    if len(name) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]
    return f"{name[: _MAX_NAME - _DIGEST - 1].rstrip('-')}-{digest}"
