"""What lies in the state directory is for its user alone."""

import os
import resource
import stat
from pathlib import Path

import pytest

from commands import up
from vedette.errors import ConfigurationError, NotRunning, StateDirectoryError
from vedette.local import instance, private
from vedette_recorder.store import Store

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")


@pytest.mark.fault(
    "other users can write into the state directory",
    "I7",
    without=("vedette.local.private:why_not_private", lambda _: None),
)
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_directory_that_others_can_write_into_is_refused(mode: int, tmp_path: Path) -> None:
    """With the command that mends it."""
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(StateDirectoryError, match="chmod go-w"), instance.hold(directory):
        pass
    directory.chmod(0o755)
    with instance.hold(directory):
        pass


@as_root
@pytest.mark.fault(
    "the state directory is another user's",
    "I7",
    without=("vedette.local.private:why_not_private", lambda _: None),
)
@pytest.mark.parametrize("linked", [False, True])
def test_a_directory_of_another_user_is_refused(linked: bool, tmp_path: Path) -> None:
    """Also one to which another user's link leads."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    if linked:
        directory, target = tmp_path / "link", directory
        directory.symlink_to(target)
        os.chown(directory, 12345, 12345, follow_symlinks=False)
    else:
        os.chown(directory, 12345, 12345)
    with pytest.raises(StateDirectoryError, match="12345"), instance.hold(directory):
        pass


_LEFT = '{"nats_url":"","operator_url":"","database_url":"","health_url":"","pid":%d}'


@pytest.mark.parametrize("is_left", [False, True])
def test_a_vedette_that_is_starting_is_not_absent(is_left: bool, tmp_path: Path) -> None:
    """Also if a killed one left its file."""
    if is_left:
        ended = os.posix_spawn("/bin/true", ["true"], {})
        os.waitpid(ended, 0)
        (tmp_path / "connection.json").write_text(_LEFT % ended)
    said = rf"process {os.getpid()} is starting .*; try again in a moment$"
    with instance.hold(tmp_path), pytest.raises(NotRunning, match=said):
        instance.find(tmp_path)
    with pytest.raises(NotRunning, match='start one with "vedette up"'):
        instance.find(tmp_path)


@pytest.mark.fault("a file of the state directory is a link to elsewhere", "I7", without=("os:O_NOFOLLOW", 0))
async def test_links_are_not_followed(tmp_path: Path) -> None:
    """Not of the lock, not of the database."""
    elsewhere = tmp_path / "elsewhere"
    for name in ("lock", "vedette.db"):
        (tmp_path / name).symlink_to(elsewhere)
    with pytest.raises(StateDirectoryError), instance.hold(tmp_path):
        pass
    with pytest.raises(ConfigurationError, match="is a link"):
        async with Store(instance.database_url(tmp_path)):
            pass
    assert not elsewhere.exists()


@pytest.mark.fault(
    "an earlier version made files that others can read", "I7", without=("os:fchmod", lambda *_: None)
)
async def test_a_database_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """Its log and its shared memory too."""
    files = [tmp_path / f"vedette.db{end}" for end in ("", "-wal", "-shm")]
    for file in files:
        file.touch(mode=0o644)
    async with Store(instance.database_url(tmp_path)):
        pass
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3


@pytest.mark.fault("files are made with the umask of the starting shell", "I7")
async def test_no_file_of_a_running_instance_can_be_read_by_others(tmp_path: Path) -> None:
    """Database, streams, logs, passwords: whatever the umask was."""
    before = os.umask(0)
    try:
        async with up(
            tmp_path / "state", "[endpoints.closed]\nurl = 'http://127.0.0.1:1'\n", first_start=True
        ) as running:
            await running.line("ready")
            state = tmp_path / "state"
            passing = [state / name for name in ("connection.json", "vedette.db-wal", "vedette.db-shm")]
            modes = {path.name: path.stat().st_mode & 0o077 for path in passing}
            assert await running.stop() == 0
            modes |= {path.name: path.stat().st_mode & 0o077 for path in (state, *state.rglob("*"))}
    finally:
        os.umask(before)
    assert {"vedette.db", "credentials.json", "nats-server.log", "jetstream"} <= modes.keys()
    assert not any(modes.values()), modes


def test_a_disk_without_room_for_the_lock_is_named(tmp_path: Path) -> None:
    """Without room for a byte, starting ends with a cause and a remedy."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(StateDirectoryError, match="free some space"), instance.hold(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_written_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    private.write_file(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)


@pytest.mark.parametrize("below", ["", "state"])
def test_a_file_in_the_place_of_the_directory_is_named(below: str, tmp_path: Path) -> None:
    """`mkdir` says "File exists" of it, which is no reason that helps."""
    file = tmp_path / "state"
    file.write_text("")
    with pytest.raises(StateDirectoryError, match="is a file, or lies in one"), instance.hold(file / below):
        pass
