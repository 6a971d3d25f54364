"""The code of the documents does what they say: each block is run as it stands, beside a real model.

Above a block of Python, `<!-- until: WORD -->` says that it goes on for ever, and that it has done its work when it
prints WORD; `<!-- with: REQUIREMENT -->` what it needs beside the development environment. Above a block of the shell,
`<!-- not run: REASON -->` says why it is not run here; its commands must be understood all the same.
"""

import asyncio
import os
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import Struct

from commands import Up, up, vedette
from eventually import eventually
from require import missing
from vedette.cli import app
from vedette.demo.server import serving, weights
from vedette.errors import ConfigurationError
from vedette.settings import parse

ROOT = Path(__file__).parents[2]
DOCUMENTS = tuple(
    str(file.relative_to(ROOT))
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if file.name not in ("events.md", "benchmarks.md", "charter.md")
)
CONFIG = """
[gateway]
enabled = true
[benchmarking]
runs = 1
output_tokens = 16
[endpoints.gpu]
provider = "openai-compatible"
url = "{url}"
evaluate = false
"""
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # that of the specification's example
SERVED = "qwen3:8b"  # as the documents call the model that they ask; here it is a small one in disguise
_SHELL = re.compile(r"(?:<!-- not run: (?P<reason>.*?) -->\n)?```sh\n(?P<code>.*?)```", re.DOTALL)
_TOML = re.compile(r"```toml\n(?P<code>.*?)```", re.DOTALL)
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>until|with): (?P<value>.*?) -->\n)?```python\n(?P<code>.*?)```", re.DOTALL
)


class Snippet(Struct, frozen=True):
    """A block of code: where it stands, and what is said above it."""

    place: str
    code: str
    until: str | None = None
    requirement: str | None = None


def snippets() -> list[Snippet]:
    """Return the blocks of all documents."""
    found = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        for match in _BLOCK.finditer(text):
            line = text[: match.start("code")].count("\n") + 1
            mark, value = match["mark"], match["value"]
            found.append(
                Snippet(
                    f"{name}:{line}",
                    match["code"],
                    value if mark == "until" else None,
                    value if mark == "with" else None,
                )
            )
    return found


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Up]:
    """Run a Vedette that knows a real model."""
    try:
        weights()
    except ConfigurationError as error:
        missing("model-server", str(error))
    async with (
        serving(tmp_path, name=SERVED, threads=1) as model_server,
        up(tmp_path / "state", CONFIG.format(url=model_server.url)) as started,
    ):
        await started.line("ready")

        async def known() -> bool:
            best = await started.ask("recommend", "chat")
            return best.code == 0

        await eventually(known, what="a model that can be recommended")
        yield started


async def run(snippet: Snippet, url: str, gateway_url: str) -> str:
    """Run *snippet* to its end, or until it prints what it says; return what it printed."""
    command = [sys.executable]
    if snippet.requirement is not None:
        if shutil.which("uv") is None:
            missing("uv", "pip install uv")
        command = [
            "uv",
            "run",
            "--quiet",
            "--no-default-groups",
            "--with",
            snippet.requirement,
            "--isolated",
            "python",
        ]
    process = await asyncio.create_subprocess_exec(
        *command,
        "-c",
        snippet.code,
        cwd=ROOT,
        env={
            **os.environ,
            "VEDETTE_NATS_URL": url,
            "OPENAI_BASE_URL": f"{gateway_url}/v1",
            "OPS_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "OPENAI_API_KEY": "none",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(420):  # an answer without a limit may fill the context, on a busy machine
        if snippet.until is None:
            out, err = await process.communicate()
            assert process.returncode == 0, f"{snippet.place}: {err.decode()}"
            return out.decode()
        assert process.stdout is not None
        printed = await process.stdout.readuntil(snippet.until.encode())
    process.kill()
    await process.communicate()
    return printed.decode()


@pytest.mark.lane("snippets")
async def test_every_snippet_runs(running: Up) -> None:
    """Whatever they say is printed; and what `calls` made of it has been reported."""
    url = running.connection.nats_url
    assert len(snippets()) >= 7
    for snippet in snippets():
        printed = await run(snippet, url, running.connection.gateway_url)
        if snippet.requirement is None:
            assert "gpu/qwen3:8b" in printed or "colour" in printed or printed.strip(), snippet.place
        else:
            assert "says:" in printed, snippet.place

    async def reported() -> bool:
        model = await vedette("models", "--json", "--nats", url)
        return model.code == 0

    await eventually(reported, what="models")


def shell_blocks() -> list[tuple[str, str, str | None]]:
    """Return the blocks of shell of all documents: where each stands, its lines, why it is not run."""
    found = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        for match in _SHELL.finditer(text):
            line = text[: match.start("code")].count("\n") + 1
            found.append((f"{name}:{line}", match["code"], match["reason"]))
    return found


def commands() -> list[tuple[str, str]]:
    """Return the commands of Vedette in the blocks, each with its place."""
    return [
        (place, line.partition("vedette ")[2].partition(" #")[0].partition(" > ")[0].partition(" || ")[0])
        for place, code, _ in shell_blocks()
        for line in code.splitlines()
        if re.match(r"(?:pip install uv && )?(?:uv run (?:--extra \w+ )*)?vedette ", line)
    ]


@pytest.mark.parametrize(("place", "command"), commands())
def test_commands_are_understood(place: str, command: str) -> None:
    app.parse_args(shlex.split(command), exit_on_error=False, print_error=False)


@pytest.mark.lane("snippets")
async def test_every_block_of_shell_runs(running: Up, tmp_path: Path) -> None:
    """In the order in which they stand, each document's in a directory of its own, beside a Vedette that runs."""
    run_here = [(place, code) for place, code, reason in shell_blocks() if reason is None]
    assert len(run_here) >= 6
    for place, code in run_here:
        there = tmp_path / place.partition(":")[0]
        there.mkdir(parents=True, exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            code,
            cwd=there,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "VEDETTE_STATE_DIR": str(tmp_path / "state"),
                "OLLAMA_HOST": "127.0.0.1:1",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(300):
            out, err = await process.communicate()
        assert process.returncode == 0, f"{place}: {out.decode()} {err.decode()}"


def _tables() -> list[tuple[str, str]]:
    return [
        (f"{name}:{text[: match.start('code')].count(chr(10)) + 1}", match["code"])
        for name in DOCUMENTS
        for text in ((ROOT / name).read_text(),)
        for match in _TOML.finditer(text)
        if not any(other in match["code"] for other in ("entry-points", "[[item]]", "[model_providers."))
    ]


@pytest.mark.parametrize(("place", "code"), _tables())
def test_every_configuration_holds(place: str, code: str) -> None:
    parse(tomllib.loads(code), where=place, environ={})
