"""Which names the shell is offered, and that a name which a server chose can do nothing there."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from require import missing
from vedette.cli.completing import OF_COMMANDS, OF_OPTIONS, offered, parser, wanted


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vedette ", (None, "")),
        ("vedette recommend ", ("use-case", "")),
        ("vedette recommend co", ("use-case", "co")),
        ("vedette recommend --json co", ("use-case", "co")),
        ("vedette recommend --limit ", (None, "")),
        ("vedette recommend --max-ttft-ms 300 co", ("use-case", "co")),
        ("vedette explain chat --exclude gpu/qw", ("model", "gpu/qw")),
        ("vedette models --endpoint=g", ("endpoint", "g")),
        ("vedette models --end", (None, "")),
        ("vedette history gpu/qwen3:", ("target", "gpu/qwen3:")),
        ("vedette evaluate gpu --suite ", ("suite", "")),
        ("vedette evaluate --show gpu", ("target", "gpu")),
        ("vedette report 'gpu/a b", (None, "")),
        ("/opt/bin/vedette discover ", ("endpoint", "")),
        ("vedette knowledge show gpu", ("model", "gpu")),
        ("vedette knowledge show --state-dir ", (None, "")),
        ("", (None, "")),
    ],
)
def test_what_the_cursor_stands_at(line: str, expected: tuple[str | None, str]) -> None:
    assert wanted(line) == expected


def test_the_options_and_commands_exist() -> None:
    """A renamed one must be renamed here as well."""
    known = {
        name
        for command in (*OF_COMMANDS, "models")
        for argument in parser(command).assemble_argument_collection()
        for name in argument.names
    }
    assert OF_OPTIONS.keys() <= known


def test_names_that_a_terminal_would_not_show_as_they_are_stay_out() -> None:
    names = ["gpu/b", "gpu/a", "gpu/a", "gpu/\x1b[2J", "gpu/a\nrm", "gpu/\u202efdp", "cpu/a"]
    assert offered(names, "gpu/") == ["gpu/a", "gpu/b"]


@cache
def _script() -> str:
    command = [sys.executable, "-c", "from vedette.cli import main; main(['completion', 'bash'])"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout


def _bash(tmp_path: Path, line: str, names: str) -> list[str]:
    """Return what bash puts into the line where `vedette complete-names` prints *names*."""
    program = tmp_path / "vedette"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' {names}\n")
    program.chmod(0o755)
    ask = f"""{_script()}
COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDS=({line}) COMP_CWORD=2
_vedette_names {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True, timeout=600)
    return done.stdout.splitlines()


@pytest.mark.fault("a server names its model like a shell command", "I13")
def test_bash_gets_names_quoted(tmp_path: Path) -> None:
    """It puts them into the line as they are, and the next Enter runs it."""
    if shutil.which("bash") is None:
        missing("bash", "bash is missing")
    assert _bash(tmp_path, "vedette report gpu/", """'gpu/$(reboot)' 'gpu/a;b' 'gpu/a b'""") == [
        r"gpu/\$\(reboot\)",
        r"gpu/a\;b",
        r"gpu/a\ b",
    ]


def test_bash_replaces_what_follows_the_last_colon(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        missing("bash", "bash is missing")
    assert _bash(tmp_path, "vedette report gpu/qwen3:", "gpu/qwen3:8b gpu/qwen3:32b") == ["8b", "32b"]
