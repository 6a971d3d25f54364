"""`demo`: one full cycle on a real small model, served locally. It is `up`, and waiting for events."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter, validators
from msgspec import Struct
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vedette import events, log, private, process
from vedette.bus import Bus
from vedette.cli import options
from vedette.cli.asking import show_explanation, show_models
from vedette.cli.local import answering
from vedette.cli.output import document, err, out
from vedette.client import Client
from vedette.clock import SystemClock
from vedette.connecting import connect
from vedette.demo.cycle import Cycle
from vedette.demo.server import serving
from vedette.events import Event, ExplainReply, ModelView
from vedette.loop import run
from vedette.settings import EndpointSettings, Nats, Settings, parse

USE_CASE = "chat"
_LONGEST_S = 150.0


class Shown(Struct, frozen=True, kw_only=True):
    """What the demo comes to: the models, the explained recommendation, and what was not done in time."""

    models: tuple[ModelView, ...]
    recommendation: ExplainReply
    unfinished: tuple[str, ...]
    elapsed_s: float


def demo(
    *,
    json: options.Json = False,
    stay: Annotated[bool, Parameter(negative="", help="Keep running afterwards, as `up` does.")] = False,
    state_dir: Annotated[
        str | None, Parameter(help="Keep streams and history here. Default: nowhere.")
    ] = None,
    within: Annotated[float, Parameter(help="Show what there is after so many seconds.")] = _LONGEST_S,
    threads: Annotated[
        int | None,
        Parameter(
            validator=validators.Number(gte=1),
            help="How many threads the model gets; fewer are faster on a busy machine. Default: one for each core.",
        ),
    ] = None,
) -> int:
    """Serve a small real model; discover, probe and benchmark it (and what Ollama has here); recommend."""
    return run(_demo(as_json=json, stay=stay, state_dir=state_dir, within=within, threads=threads))


async def _demo(
    *, as_json: bool, stay: bool, state_dir: str | None, within: float, threads: int | None
) -> int:
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        stopped = await stack.enter_async_context(process.stop_signals())
        directory = _directory(stack, state_dir)
        err.print("serving   SmolLM2-135M-Instruct by a llama.cpp server of our own")
        served = await stack.enter_async_context(serving(directory, threads=threads))
        settings = await _settings(served)
        for name, endpoint in settings.endpoints.items():
            err.print(f"endpoint  {name}: {endpoint.url}")
        running = await stack.enter_async_context(process.up(settings, directory, say=err.print))
        connection = await stack.enter_async_context(
            connect(Nats(url=running.connection.operator_url), name="vedette-demo")
        )
        unfinished = await _one_cycle(connection, set(settings.endpoints), stopped, within)
        if stopped.is_set():
            err.print("stopped")
            return 1
        shown = await _ask(running.connection.nats_url, unfinished, started)
        if as_json:
            document(shown)
        else:
            _show(shown)
        if stay:
            err.print(
                f'staying; another terminal can ask: vedette recommend chat --state-dir "{directory}". Ctrl-C stops.'
            )
            await process.until_stopped(running, stopped)
    return 0 if shown.recommendation.recommendations else 1


def _directory(stack: AsyncExitStack, named: str | None) -> Path:
    if named is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vedette-demo-")))
    directory = Path(named).expanduser().absolute()
    private.make_directory(directory)
    return directory


async def _settings(served: EndpointSettings) -> Settings:
    """Return settings for the demo's own endpoint and for Ollama, if one answers where Ollama is looked for."""
    default = parse({}, where="the defaults")
    here = {name: default.endpoints[name] for name in await answering(default)}
    return msgspec.structs.replace(default, endpoints={"demo": served, **here})


async def _one_cycle(
    connection: NatsClient, endpoints: set[str], stopped: asyncio.Event, within: float
) -> tuple[str, ...]:
    """Wait until every model was found, probed and measured; return what was not within *within* seconds."""
    cycle, news = Cycle(endpoints), asyncio.Event()
    bus = Bus(connection, name="demo", clock=SystemClock(), log=log.logger("demo"))
    with _Shown.open() as shown:

        def on_event(event: Event, _: int) -> None:
            shown.line(cycle.apply(event))
            news.set()

        async def on_progress(message: Msg) -> None:
            progress = msgspec.json.decode(message.data, type=events.Progress)
            cycle.give_up(progress)
            shown.progress(progress)
            news.set()

        await connection.subscribe("progress.*", cb=on_progress)
        await bus.follow("ENDPOINTS", "endpoint.observed.*", on_event)
        await bus.follow("MODELS", "model.>", on_event)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await _until(lambda: not cycle.missing(), news, stopped)
    return tuple(cycle.missing())


async def _until(done: Callable[[], bool], news: asyncio.Event, stopped: asyncio.Event) -> None:
    """Return when *done* says so, which is asked at each piece of news, or when stopped."""
    interrupted = asyncio.create_task(stopped.wait())
    try:
        while not done() and not stopped.is_set():
            heard = asyncio.create_task(news.wait())
            await asyncio.wait([heard, interrupted], return_when=asyncio.FIRST_COMPLETED)
            heard.cancel()
            news.clear()
    finally:
        interrupted.cancel()


class _Shown:
    """News in lines, and a bar for the job in hand on a terminal."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("waiting for the first event", total=None) if bar else None

    @classmethod
    @contextmanager
    def open(cls) -> "Iterator[_Shown]":
        """Show a bar while the context is open, if anybody can see one."""
        if not err.is_terminal:
            yield cls(None)
            return
        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=err, transient=True) as bar:
            yield cls(bar)

    def line(self, text: str | None) -> None:
        """Print a line of news."""
        if text is not None:
            err.print(text)

    def progress(self, progress: events.Progress) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                description=progress.message,
                total=progress.steps or None,
                completed=progress.step,
            )


async def _ask(url: str, unfinished: tuple[str, ...], started: float) -> Shown:
    async with Client(url) as client:
        return Shown(
            models=(await client.models()).models,
            recommendation=await client.explain(USE_CASE),
            unfinished=unfinished,
            elapsed_s=round(time.monotonic() - started, 1),
        )


def _show(shown: Shown) -> None:
    out.print()
    show_models(shown.models)
    out.print()
    show_explanation(shown.recommendation)
    if shown.unfinished:
        out.print(f"\nNot done in time: {'; '.join(shown.unfinished)}")
    out.print(f"\nDone in {shown.elapsed_s:.0f} s. For your own models: vedette up")
