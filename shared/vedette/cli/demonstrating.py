"""`demo`: one full cycle on a real small model, served locally: `up`, and then a wait for events."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter, validators
from msgspec import Struct
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.local import answering
from vedette.cli.output import document, err, out
from vedette.cli.showing import show_explanation, show_models
from vedette.client import Client
from vedette.clock import SystemClock
from vedette.demo.cycle import Cycle
from vedette.demo.server import serving
from vedette.local import private
from vedette.messages import events
from vedette.messages.events import Event
from vedette.messages.queries import ExplainReply, ModelView
from vedette.runtime import process
from vedette.runtime.loop import run
from vedette.runtime.process import Running
from vedette.runtime.stopping import Stopped, stop_signals
from vedette.settings import EndpointSettings, Nats, Settings, Source, parse

USE_CASE = "chat"
_LOOK_EVERY_S = 1.0
_SAY_EVERY_S = 15.0
_REPLY_TIMEOUT_S = 60.0
# A busy machine is slow, but works: a measurement may take as long as the timeout of its job.
_PATIENT_S = 3600.0


class Shown(Struct, frozen=True, kw_only=True):
    """The result of the demo: the models, the explained recommendation, and unfinished steps."""

    models: tuple[ModelView, ...]
    recommendation: ExplainReply
    unfinished: tuple[str, ...]
    elapsed_s: float


def demo(
    *,
    json: options.Json = False,
    stay: Annotated[bool, Parameter(negative="", help="Keep running after the demo, as `up` does.")] = False,
    state_dir: Annotated[
        str | None, Parameter(help="Directory for streams and history. Default: a temporary one.")
    ] = None,
    within: Annotated[
        float | None,
        Parameter(
            validator=validators.Number(gt=0),
            help="Show the results after this many seconds, measured or not. Default: when everything is measured.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        Parameter(
            validator=validators.Number(gte=1),
            help="Threads for the model. Default: one for every two cores.",
        ),
    ] = None,
    with_ollama: Annotated[
        bool, Parameter(negative="", help="Also measure the models of the Ollama on this machine.")
    ] = False,
) -> int:
    """Serve a small real model; discover, probe and benchmark it; recommend. Ctrl-C shows the results so far."""
    return run(
        _demo(
            as_json=json,
            stay=stay,
            state_dir=state_dir,
            within=within,
            threads=threads,
            with_ollama=with_ollama,
        )
    )


async def _demo(
    *,
    as_json: bool,
    stay: bool,
    state_dir: str | None,
    within: float | None,
    threads: int | None,
    with_ollama: bool,
) -> int:
    started = time.monotonic()
    async with stop_signals(hang_up_stops=True) as stopped, AsyncExitStack() as stack:
        async with stopped.interrupting():
            directory = _directory(stack, state_dir)
            err.print("serving   SmolLM2-135M-Instruct by a llama.cpp server of our own")
            waits = _Waits(err.print)
            served = await stack.enter_async_context(
                serving(
                    directory,
                    threads=threads,
                    within_s=None,
                    waiting=lambda line: waits.report(f"the model server to start: {line}"),
                )
            )
            settings = await _settings(served, with_ollama=with_ollama)
            for name, endpoint in settings.endpoints.items():
                err.print(f"endpoint  {name}: {endpoint.url}")
            # No file is watched, but endpoints are changed at run time here as elsewhere.
            source = Source(Path(os.devnull), lambda: settings, settings)
            running = await stack.enter_async_context(
                process.up(settings, directory, say=err.print, source=source)
            )
            connection = await stack.enter_async_context(
                connect(Nats(url=running.connection.operator_url), name="vedette-demo", reconnect=True)
            )
        if stay:
            err.print(f'ask it    in another terminal: vedette models --state-dir "{directory}"')
        unfinished = await _one_cycle(connection, set(settings.endpoints), running, stopped, within)
        if stopped.number == signal.SIGHUP:
            stopped.check()  # the terminal is closed
        shown = await _ask(running.connection.nats_url, unfinished, started)
        if as_json:
            document(shown)
        else:
            _show(shown)
        stopped.check()
        if stay:
            err.print(
                f'staying; another terminal can ask: vedette recommend chat --state-dir "{directory}", '
                f'or open the console: vedette console --open --state-dir "{directory}". Ctrl-C stops.'
            )
            await process.until_stopped(running, stopped)
    return 0 if shown.recommendation.recommendations else 1


def _directory(stack: AsyncExitStack, named: str | None) -> Path:
    if named is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vedette-demo-")))
    directory = Path(named).expanduser().absolute()
    private.make_directory(directory)
    return directory


async def _settings(served: EndpointSettings, *, with_ollama: bool) -> Settings:
    """Return settings with the demo's own endpoint; *with_ollama*: also with the local Ollama, if it replies."""
    default = parse({}, where="the defaults")
    here = {name: default.endpoints[name] for name in await answering(default)} if with_ollama else {}
    if with_ollama and not here:
        urls = ", ".join(endpoint.url for endpoint in default.endpoints.values())
        err.print(f"endpoint  no Ollama replies at {urls}, so the demo goes on without it")
    return msgspec.structs.replace(
        default,
        endpoints={"demo": served, **here},
        probing=msgspec.structs.replace(
            default.probing, answer_timeout_s=_PATIENT_S, job_timeout_s=_PATIENT_S
        ),
        benchmarking=msgspec.structs.replace(
            default.benchmarking, run_timeout_s=_PATIENT_S, first_run_timeout_s=_PATIENT_S
        ),
    )


async def _one_cycle(
    connection: NatsClient, endpoints: set[str], running: Running, stopped: Stopped, within: float | None
) -> tuple[str, ...]:
    """Wait until all models were found, probed and measured, at most *within* seconds; return the unfinished steps."""
    cycle, news = Cycle(endpoints), asyncio.Event()
    bus = Bus(connection, name="demo", clock=SystemClock(), log=log.logger("demo"))
    with _Shown.open() as shown:

        def on_event(event: Event, _: int) -> None:
            shown.line(cycle.apply(event))
            news.set()

        async def on_progress(message: Msg) -> None:
            progress = msgspec.json.decode(message.data, type=events.Progress)
            cycle.give_up(progress)
            if cycle.awaits(progress):
                shown.progress(progress)
            news.set()

        async def until_complete() -> None:
            await connection.subscribe("progress.*", cb=on_progress)
            await bus.followings.follow_retrying("ENDPOINTS", "endpoint.observed.*", on_event)
            await bus.followings.follow_retrying("MODELS", "model.>", on_event)
            while missing := cycle.missing():
                shown.waiting(missing)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await news.wait()
                news.clear()

        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await _first_of(until_complete(), running.until_failure(), stopped.wait())
    return tuple(cycle.missing())


async def _first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Run *works* until one ends. Raises its error, if any."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Waits:
    """Prints at intervals what the demo waits for, and how long it has waited."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._began = time.monotonic()
        self._next_s = _SAY_EVERY_S

    def report(self, what: str) -> None:
        """Print that the demo waits for *what*, unless a line was printed a short time ago."""
        waited_s = time.monotonic() - self._began
        if waited_s >= self._next_s:
            self._next_s = waited_s + max(_SAY_EVERY_S, waited_s / 4)  # longer and longer intervals
            self._say(f"waiting   {waited_s:.0f} s so far for {what}")


class _Shown:
    """Prints news as lines; on a terminal, also a bar for the running job."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("waiting for the first event", total=None) if bar else None
        self._waits = _Waits(self.line)
        self._last = ""

    @classmethod
    @contextmanager
    def open(cls) -> "Iterator[_Shown]":
        """Show the bar while this context is open, if standard error is a terminal."""
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

    def waiting(self, missing: Sequence[str]) -> None:
        """Show what the demo waits for. On a terminal the bar shows it until a job runs."""
        if self._bar is not None and self._task is not None:
            if not self._last:
                self._bar.update(self._task, description=f"waiting for {'; '.join(missing)}")
        else:
            self._waits.report(f"{'; '.join(missing)}{self._step(missing)}")

    def _step(self, missing: Sequence[str]) -> str:
        """Return the progress of the job, without the model's name if only one model is missing."""
        if not self._last:
            return ""
        name = missing[0].partition(": ")[0] if len(missing) == 1 else ""
        return f" ({self._last.removeprefix(f'{name}: ')})"

    def progress(self, progress: events.Progress) -> None:
        """Move the bar, and store the progress of the job."""
        steps = f", step {progress.step} of {progress.steps}" if progress.steps else ""
        self._last = f"{progress.message}{steps}"
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                description=progress.message,
                total=progress.steps or None,
                completed=progress.step,
            )


async def _ask(url: str, unfinished: tuple[str, ...], started: float) -> Shown:
    async with Client(url, timeout_s=_REPLY_TIMEOUT_S) as client:
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
        out.print(f"\nNot done after {shown.elapsed_s:.0f} s: {'; '.join(shown.unfinished)}")
        return
    out.print(f"\nDone in {shown.elapsed_s:.0f} s. For your own models: vedette up")
