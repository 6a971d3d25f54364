"""A whole process on another time of day, by libfaketime (Debian's package faketime)."""

from pathlib import Path

from require import missing

_LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1")


def faked(offset: str) -> dict[str, str]:
    """Return the environment in which a process's time of day is off by *offset* (`+31d`); skip without the library.

    A Go program such as nats-server does not ask the C library for the time, so that it keeps the right one.
    """
    found = [path for pattern in _LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))]
    if not found:
        missing("faketime", "Debian's package faketime has it")
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}
