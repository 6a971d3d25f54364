"""`vedette demo`: the whole path on a real model, what there is when it is stopped, and nothing left behind."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from commands import Up, started, vedette
from eventually import eventually
from providers.fake_ollama import fake_ollama
from require import missing
from vedette.demo.server import weights
from vedette.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _model_server() -> None:
    try:
        weights()
    except ConfigurationError as error:
        missing("model-server", str(error))


@pytest.mark.lane("real")
@pytest.mark.fault("the user's own Ollama listens next to the demo", "I13")
async def test_the_demo_measures_a_real_model_and_cleans_up(tmp_path: Path) -> None:
    """Exit 0, one JSON document with real figures, cold and warm, no process left; Ollama is not contacted."""
    directory = tmp_path / "demo"
    async with fake_ollama(mine="1") as ollama:
        ended = await vedette(
            *("demo", "--json", "--state-dir", str(directory)),
            within_s=600,
            OLLAMA_HOST=ollama.url,
        )
        assert ollama.replay.requests == []
    assert ended.code == 0, ended.err
    shown = ended.json()
    (model,) = shown["models"]
    speed = model["performance"]
    assert speed["output_tps"] > 0
    assert speed["ttft_ms"] > 0
    assert speed["ttft_cold_ms"] > 0
    assert speed["n"] >= 6
    best = shown["recommendation"]["recommendations"][0]
    assert best["model"] == model["model"]
    assert sum(part["points"] for part in best["contributions"]) == best["raw_score"]
    assert shown["unfinished"] == []
    assert _processes_naming(str(tmp_path)) == []


@pytest.mark.lane("real")
async def test_ollama_takes_part_when_asked(tmp_path: Path) -> None:
    async with (
        fake_ollama(mine="1") as ollama,
        _demo(tmp_path, "--with-ollama", OLLAMA_HOST=ollama.url) as demo,
    ):
        assert await _says(demo, "endpoint  ollama") == f"endpoint  ollama: {ollama.url}"
        await _says(demo, "found     ollama/mine")
        assert await demo.stop() == 128 + signal.SIGTERM


# Every signal once, at each moment: while the model server starts, while the services start, during the measurement.
SIGNALS = {
    "serving": ((signal.SIGHUP,), (signal.SIGTERM,)),
    "endpoint": ((signal.SIGINT, signal.SIGINT),),
    "found": ((signal.SIGINT,),),
}


@pytest.mark.fault("SIGINT, SIGTERM or SIGHUP, once or twice, at any moment of the demo", "I11")
@pytest.mark.parametrize(
    "moment",
    ["endpoint", *(pytest.param(one, marks=pytest.mark.lane("faults")) for one in ("serving", "found"))],
)
async def test_a_signal_leaves_no_process_and_no_directory(tmp_path: Path, moment: str) -> None:
    """The exit code names the signal."""
    for numbers in SIGNALS[moment]:
        async with _demo(tmp_path) as demo:
            await _says(demo, moment)
            for number in numbers:
                demo.send(number)
            code = await demo.stop(0)
            complaints = await demo.complaints()
        assert code == 128 + numbers[0], complaints
        assert complaints.endswith(f"vedette: stopped by {numbers[0].name}\n")
        assert "Traceback" not in complaints
        assert _left(tmp_path) == []


@pytest.mark.lane("real")
@pytest.mark.fault("the demo gets no processor for a while", "I4", trials=2)
async def test_the_demo_waits_and_shows_what_it_has(tmp_path: Path) -> None:
    """Its model server is suspended, first while it starts, then during the measurement; Ctrl-C shows the rest."""
    async with _demo(tmp_path, "--json", "--stay") as demo:
        await _says(demo, "serving")
        await eventually(_at(tmp_path, "vedette.demo.server"), what="the model server")
        (server,) = await _at(tmp_path, "vedette.demo.server")()
        os.kill(server, signal.SIGSTOP)
        assert "so far for the model server to start" in await _says(demo, "waiting")
        os.kill(server, signal.SIGCONT)
        assert "--state-dir" in await _says(demo, "ask it")
        await _says(demo, "probed    demo/smollm2:135m")
        os.kill(server, signal.SIGSTOP)
        assert "so far for demo/smollm2:135m: not measured" in await _says(demo, "waiting")
        demo.send(signal.SIGINT)
        assert await demo.stop(0) == 128 + signal.SIGINT
        shown = json.loads("\n".join(demo.lines))
    assert [model["model"]["name"] for model in shown["models"]] == ["smollm2:135m"]
    assert shown["unfinished"] == ["demo/smollm2:135m: not measured"]
    assert _left(tmp_path) == []


def _demo(tmp_path: Path, *arguments: str, **environment: str) -> AbstractAsyncContextManager[Up]:
    # All that it starts has this in its environment.
    chosen = {"TMPDIR": str(tmp_path), **environment}
    return started(tmp_path, "demo", *arguments, **chosen)


async def _says(demo: Up, begins: str) -> str:
    """Wait for a line on standard error that begins so."""
    lines = []
    while line := await demo.complaint():
        if line.startswith(begins):
            return line
        lines.append(line)
    raise AssertionError(f"ended without {begins!r}: {lines}")


def _at(tmp_path: Path, module: str) -> Callable[[], Awaitable[list[int]]]:
    async def find() -> list[int]:
        return [pid for pid, line in await asyncio.to_thread(_started_in, tmp_path) if module in line]

    return find


def _left(tmp_path: Path) -> list[object]:
    """Return the processes that the demo has left, and the files."""
    return [*_started_in(tmp_path), *tmp_path.iterdir()]


def _started_in(tmp_path: Path) -> list[tuple[int, str]]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={tmp_path}\0".encode() in (place / "environ").read_bytes():
                line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(place.name), line))
        except OSError:
            continue  # another user's, or it has just ended
    return found


def _processes_naming(text: str) -> list[str]:
    lines = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if text in line:
            lines.append(line)
    return lines
