"""A cache of encoded replies to requests that come more than once, until something changes."""

from typing import Final

_MAX_REMEMBERED: Final = 4096
_MAX_REQUEST_BYTES: Final = 4096

# A request: its subject, its payload, and the account that asks, where that counts.
Asked = tuple[str, bytes, str | None]


class Remembered:
    """Replies by request. A reply is cached at the second request, because most requests never come again."""

    def __init__(self) -> None:
        self._replies: dict[Asked, bytes] = {}
        self._seen: set[int] = set()  # hashes of the requests that came once

    def get(self, asked: Asked) -> bytes | None:
        """Return the reply to the same request, if it is kept."""
        return self._replies.get(asked)

    def put(self, asked: Asked, reply: bytes) -> None:
        """Keep *reply* if *asked* comes the second time, and is no larger than 4,096 bytes."""
        if len(asked[1]) > _MAX_REQUEST_BYTES:
            return
        place = hash(asked)
        if place not in self._seen:
            if len(self._seen) >= _MAX_REMEMBERED:
                self._seen.clear()
            self._seen.add(place)
            return
        if len(self._replies) >= _MAX_REMEMBERED:
            self._replies.clear()
        self._replies[asked] = reply

    def forget(self) -> None:
        """Drop all replies: they no longer hold."""
        self._replies.clear()
