"""Files and directories that only their user can read: they contain passwords and history."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vedette.errors import StateDirectoryError

_OTHERS = 0o077


def make_directory(path: Path) -> None:
    """Create *path* for its user only. Raises StateDirectoryError if other users can put files into it."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        problem = why_not_private(path)
    except (FileExistsError, NotADirectoryError):
        problem = "is a file, or lies in one, and not a directory; choose another with --state-dir"
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); choose another with --state-dir"
    if problem:
        raise StateDirectoryError(path=path, problem=problem)


def why_not_private(directory: Path) -> str | None:
    """Return why other users could put files into *directory*, or None. Raises OSError if it does not exist."""
    for seen in (directory.lstat(), directory.stat()):  # a link, and its target
        if seen.st_uid not in (0, os.geteuid()):
            return f"belongs to the user with the id {seen.st_uid}; choose another with --state-dir"
    if not stat.S_ISDIR(seen.st_mode):
        return "is not a directory; choose another with --state-dir"
    # A volume that root gave to the group of this process counts as its own.
    given = seen.st_uid == 0 != os.geteuid() and seen.st_gid == os.getegid()
    if seen.st_mode & (0o002 if given else 0o022):
        return (
            f"others can write into it (mode {stat.S_IMODE(seen.st_mode):04o}); "
            f"run: chmod go-w {directory}, or choose another with --state-dir"
        )
    return None


def open_file(path: Path, flags: int) -> int:
    """Open *path*, created if needed, readable for its user only. Does not follow a link. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    seen = os.fstat(descriptor)
    if seen.st_uid == os.geteuid() and seen.st_mode & _OTHERS and stat.S_ISREG(seen.st_mode):
        os.fchmod(descriptor, stat.S_IMODE(seen.st_mode) & ~_OTHERS)
    return descriptor


def write_file(path: Path, text: str) -> None:
    """Write *text* to a file atomically; from the start, only its user can read it."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(open_file(temporary, os.O_WRONLY | os.O_EXCL), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


@contextmanager
def umask() -> Iterator[None]:
    """Make all files that this process and its children create readable for their user only."""
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)
