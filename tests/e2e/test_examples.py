"""Every example runs as its first lines say, and the README's client does what the README says."""

import asyncio
import shutil
import sys
import tomllib
from pathlib import Path

from commands import up
from eventually import eventually
from providers.fake_ollama import fake_ollama
from providers.replay import Replay, replaying, reply, stream
from vedette import Client
from vedette.runtime.nats_server import NatsServer
from vedette.settings import EndpointSettings
from whole import found

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
QUICK = '[schedule]\navailability = "1s"\n[benchmarking]\nruns = 1\noutput_tokens = 16\n'


async def _started(program: Path, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", **environment},
    )


async def test_ask_and_call(tmp_path: Path, model_server: EndpointSettings) -> None:
    """The recommended model is called, and answers."""
    config = f'{QUICK}[endpoints.local]\nprovider = "openai-compatible"\nurl = "{model_server.url}"\n'
    async with up(tmp_path / "state", config) as running:
        await running.line("found")
        program = await _started(
            EXAMPLES / "ask_and_call.py", "Say hello.", VEDETTE_NATS_URL=running.connection.nats_url
        )
        out, err = await program.communicate()
    assert program.returncode == 0, err
    assert out.strip()
    assert b"local/smollm2:135m" in err


async def test_on_model_found(server: NatsServer, tmp_path: Path) -> None:
    """What is there is listed, what comes is told, once each."""
    async with (
        fake_ollama(old="1") as ollama,
        found(_box(ollama.url), server, tmp_path / "state") as running,
    ):
        await eventually(lambda: _probed(running.connection.nats_url), what="probed")
        program = await _started(EXAMPLES / "on_model_found.py", str(tmp_path / "state" / "connection.json"))
        assert program.stdout is not None
        assert await asyncio.wait_for(program.stdout.readline(), 60) == b"known box old\n"
        ollama.models["new"] = "2"
        assert await asyncio.wait_for(program.stdout.readline(), 60) == b"found box new\n"
        program.terminate()
        await program.communicate()


async def _probed(url: str) -> bool:
    async with Client(url, timeout_s=60) as client:
        return any(view.availability for view in (await client.models()).models)


def _box(url: str) -> str:
    return f'{QUICK}[endpoints.box]\nurl = "{url}"\nevaluate = false\n'


async def test_a_provider_of_ones_own(tmp_path: Path) -> None:
    """Installed beside Vedette, it is discovered by its entry point and its model is measured."""
    site = _installed(tmp_path / "site")
    async with replaying() as replay:
        _koboldcpp(replay)
        config = f'{QUICK}[endpoints.kobold]\nprovider = "koboldcpp"\nurl = "{replay.url}"\n'
        async with up(tmp_path / "state", config, PYTHONPATH=str(site)) as running:
            await running.line("found     kobold/koboldcpp/tiny")

            async def measured() -> bool:
                async with Client(running.connection.nats_url, timeout_s=60) as client:
                    (view,) = (await client.models()).models
                    return view.performance is not None and view.performance.output_tps is not None

            await eventually(measured, what="measured")


def _installed(site: Path) -> Path:
    """Lay the example out as an installer does: the module, and its entry points in a dist-info folder."""
    source = EXAMPLES / "koboldcpp_provider"
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    shutil.copy(source / "vedette_koboldcpp.py", site)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = project["entry-points"]["vedette.providers"]
    lines = "\n".join(f"{name} = {place}" for name, place in points.items())
    (info / "entry_points.txt").write_text(f"[vedette.providers]\n{lines}\n")
    return site


def _koboldcpp(replay: Replay) -> None:
    word = 'data: {"token": " word", "finish_reason": null}'
    end = 'data: {"token": "", "finish_reason": "length"}'
    words = [line for _ in range(16) for line in ("event: message", word, "")]
    replay.routes["GET", "/api/extra/version"] = reply(200, {"result": "KoboldCpp", "version": "1.80"})
    replay.routes["GET", "/api/v1/model"] = reply(200, {"result": "koboldcpp/tiny"})
    replay.routes["GET", "/api/extra/true_max_context_length"] = reply(200, {"value": 4096})
    replay.routes["POST", "/api/extra/generate/stream"] = stream(
        *words, "event: message", end, "", pace_s=0.001
    )


async def test_an_agent_without_the_client(server: NatsServer, tmp_path: Path) -> None:
    """Ten lines of bare nats-py: they are told the best model, and hear of a found one."""
    directory = tmp_path / ".local" / "share" / "vedette"  # where it is for everybody
    async with fake_ollama() as ollama, found(_box(ollama.url), server, directory):
        program = await _started(EXAMPLES / "bare_nats.py", HOME=str(tmp_path))
        assert program.stdout is not None
        assert await asyncio.wait_for(program.stdout.readline(), 60) == b"best: None\n"
        ollama.models["fresh"] = "1"
        line = await asyncio.wait_for(program.stdout.readline(), 60)
        assert line == b"found: {'endpoint': 'box', 'name': 'fresh'}\n"
        program.terminate()
        await program.communicate()
