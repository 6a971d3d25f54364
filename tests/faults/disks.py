"""Disks of a given size, for what happens when one is small or full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from require import missing

MIB = 2**20


@contextmanager
def disk(place: Path, size_mib: int) -> Iterator[Path]:
    """Mount a tmpfs of *size_mib* at *place*; it takes memory only for what is written to it."""
    place.mkdir(parents=True)
    options = f"size={size_mib}m,mode=0700"
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True
        ).returncode
        == 0
    )
    if not mounted:
        missing("tmpfs", "run the tests as root where mount is allowed")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path) -> Path:
    """Fill the disk of *place* up to its last byte; return the file that does it."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return ballast
