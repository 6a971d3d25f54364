"""Ports for servers that are not there yet, or not any more."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved() -> Iterator[int]:
    """Yield a port of loopback that refuses connections, until a server is told to listen on it.

    No other test is given it meanwhile, as it might be if it were only looked for: a socket that does not listen has
    it. On Linux a server may take it all the same if it sets SO_REUSEADDR, as servers do.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
