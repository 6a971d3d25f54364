"""A fleet: real servers that are killed, restarted and replaced by a timeline, and what Vedette says of them.

    python -m faults.fleet fleet.toml --directory /tmp/fleet

One `vedette up` at default settings, except for the intervals that the file may shorten. Every few seconds
the servers are asked directly what they list and what they have loaded, and Vedette is asked as an agent asks; each
difference is a fault until it is gone. `docs/real-servers.md` explains the file.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import msgspec
import nats
from msgspec import Struct
from nats.aio.msg import Msg

from commands import Up, up
from vedette.client import Client
from vedette.errors import NoAnswer
from vedette.messages.events import JobKind, Progress
from vedette.messages.queries import EndpointView, ModelView
from vedette.runtime.subprocesses import child
from vedette.settings import Schedule
from vedette.settings.durations import interval_s
from vedette.types import Outcome, Status
from vedette.types import Use as Spent

# Our own requests come from here, so that the servers' logs tell them from Vedette's.
OUR_ADDRESS = "127.0.0.2"
USE_CASES = ("chat", "code_generation", "embedding")
_USABLE = {Status.AVAILABLE, Status.DEGRADED, Status.BUSY, Status.LOADING, Status.RATE_LIMITED}
_USE_EVERY_S = 5.0
_ACCESS = re.compile(r'\b(GET|HEAD|POST) +"?(/[^ "?]*)')
# What a router's child logs repeats what the router logs; Ollama logs its routes when it starts.
_NO_REQUEST = re.compile(r"^\[(\d+|GIN-debug)\] ")


class Program(Struct, frozen=True, kw_only=True):
    """A server that can be started; its log is `<name>.log`."""

    command: list[str]
    environment: dict[str, str] = {}


class Use(Struct, frozen=True, kw_only=True):
    """Calls of a user: one every few seconds; with *during*, from when such a job of another model there runs."""

    endpoint: str
    model: str
    minutes: float
    tokens: int = 8
    during: JobKind | None = None


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done at a minute."""

    minute: float
    kill: str | None = None
    start: str | None = None
    use: Use | None = None

    def __str__(self) -> str:
        if self.use:
            since = f", from the next {self.use.during} there on" if self.use.during else ""
            return f"a user calls {self.use.endpoint}/{self.use.model} for {self.use.minutes:g} min{since}"
        return f"kill -9 {self.kill}" if self.kill else f"start {self.start}"


class Fleet(Struct, frozen=True, kw_only=True):
    """The file: programs, the endpoints of Vedette, and the timeline.

    `behind` names, for a gateway's models, the model at another endpoint that answers for each; "" is a model that
    nothing answers for. `ignored` are listed names that are no models, as patterns.
    """

    minutes: float
    schedule: dict[str, str] = {}
    programs: dict[str, Program]
    endpoints: dict[str, dict[str, Any]]
    behind: dict[str, dict[str, str]] = {}
    ignored: dict[str, list[str]] = {}
    timeline: list[Step]

    @property
    def at_first(self) -> list[Step]:
        """What is done before Vedette is started: at negative minutes."""
        return [step for step in self.timeline if step.minute < 0]

    @property
    def later(self) -> list[Step]:
        """What is done while Vedette looks, in order."""
        return sorted((step for step in self.timeline if step.minute >= 0), key=lambda step: step.minute)


class Truth(Struct, frozen=True, kw_only=True):
    """What an endpoint is: no names when nothing of its protocol answers there, not known when it is too busy to."""

    names: frozenset[str] | None
    is_known: bool = True
    loaded: frozenset[str] | None = None  # None where the server does not tell
    dead: frozenset[str] = frozenset()  # listed, and nothing behind

    def __str__(self) -> str:
        return _line(self.names, self.loaded) if self.is_known else "too busy to answer"


class Said(Struct, frozen=True, kw_only=True):
    """What Vedette says of an endpoint."""

    outcome: Outcome | None
    statuses: dict[str, Status]
    loaded: frozenset[str]
    best: tuple[str, ...] = ()  # models there that are recommended

    @property
    def there(self) -> frozenset[str]:
        """The models that it says can be called, or of which it knows nothing against."""
        gone = (Status.NOT_FOUND, Status.UNREACHABLE)
        return frozenset(name for name, status in self.statuses.items() if status not in gone)

    def __str__(self) -> str:
        if self.outcome is not Outcome.OK:
            return str(self.outcome)
        return _line(self.there, self.loaded)


def _line(names: Iterable[str] | None, loaded: Iterable[str] | None) -> str:
    if names is None:
        return "no such server"
    shown = ", ".join(f"{name}*" if name in (loaded or ()) else name for name in sorted(names))
    return shown or "no models"


def wrong(truth: Truth, said: Said) -> list[str]:
    """Return what is wrong in what Vedette says of an endpoint."""
    if not truth.is_known:
        return []
    if truth.names is None:
        usable = sorted(name for name, status in said.statuses.items() if status in _USABLE)
        return [
            *(["it says ok"] if said.outcome is Outcome.OK else []),
            *(f"{name} is {said.statuses[name]}" for name in usable),
            *(f"{name} is recommended" for name in said.best),
        ]
    loaded = truth.loaded if truth.loaded is not None else said.loaded
    return [
        *([] if said.outcome is Outcome.OK else [f"it says {said.outcome}"]),
        *(f"{name} is missing" for name in sorted(truth.names - truth.dead - said.there)),
        *(f"{name} is not there" for name in sorted(said.there - truth.names)),
        *(f"{name} is loaded" for name in sorted(loaded - said.loaded)),
        *(f"{name} is not loaded" for name in sorted(said.loaded - loaded)),
        *(
            f"{name} is {said.statuses[name]} and never answers"
            for name in sorted(truth.dead)
            if said.statuses.get(name) in _USABLE - {Status.DEGRADED}
        ),
        *(f"{name} is recommended" for name in said.best if name in truth.dead or name not in truth.names),
    ]


class Sample(Struct, frozen=True, kw_only=True):
    """One look at everything."""

    at: float  # seconds since the start
    truth: dict[str, Truth]
    said: dict[str, Said]
    wrong: dict[str, list[str]]


class Jobs:
    """The jobs of Vedette, as it publishes their progress."""

    def __init__(self) -> None:
        self._running: dict[str, Progress] = {}
        self._heard = asyncio.Condition()
        self.ended = Counter[tuple[str, JobKind]]()  # by endpoint

    async def hear(self, message: Msg) -> None:
        """Take in the progress of a job."""
        progress = msgspec.json.decode(message.data, type=Progress)
        self._running.pop(progress.job_id, None)
        if progress.state in ("started", "step"):
            self._running[progress.job_id] = progress
            async with self._heard:
                self._heard.notify_all()
        elif progress.state == "done" and progress.endpoint and progress.kind:
            self.ended[progress.endpoint, progress.kind] += 1

    async def of_another(self, use: Use) -> None:
        """Return when a job of the kind runs on another model of the endpoint."""
        async with self._heard:
            await self._heard.wait_for(
                lambda: any(_is_of_another(one, use) for one in self._running.values())
            )


def _is_of_another(job: Progress, use: Use) -> bool:
    there = job.kind == use.during and job.endpoint == use.endpoint
    return there and job.model is not None and job.model.name != use.model


class Running:
    """The fleet while it runs."""

    def __init__(self, fleet: Fleet, directory: Path, stack: AsyncExitStack) -> None:
        self._fleet = fleet
        self._directory = directory
        self._stack = stack
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        # A connection for each request: uvicorn closes one that rested for 5 s, just when the next look would use it.
        transport = httpx.AsyncHTTPTransport(
            local_address=OUR_ADDRESS, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._http = httpx.AsyncClient(transport=transport, timeout=10.0)
        self.users_calls: list[tuple[float, str, str]] = []
        self.began = time.monotonic()
        self.jobs = Jobs()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    async def start(self, name: str) -> None:
        """Start a program."""
        program = self._fleet.programs[name]
        environment = [f"{key}={value}" for key, value in program.environment.items()]
        command = ["nice", "-n", "10", "env", *environment, *program.command]
        log = self._directory / f"{name}.log"
        self._processes[name] = await self._stack.enter_async_context(child(command, log=log))

    async def kill(self, name: str) -> None:
        """Kill a program and its children, as a machine that fails would."""
        process = self._processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def use(self, use: Use) -> None:
        """Call a model as a user would; note how each call ended."""
        url = f"{self._fleet.endpoints[use.endpoint]['url']}/v1/chat/completions"
        asked = {
            "model": use.model,
            "max_tokens": use.tokens,
            "messages": [{"role": "user", "content": "Say hello."}],
        }
        if use.during:
            await self.jobs.of_another(use)
        until = self.now + 60 * use.minutes
        while self.now < until:
            began = self.now
            try:
                reply = await self._http.post(url, json=asked, timeout=120.0)
                ended = str(reply.status_code)
            except httpx.TransportError as error:
                ended = type(error).__name__
            self.users_calls.append(
                (began, f"{use.endpoint}/{use.model}", f"{ended} {self.now - began:.1f}s")
            )
            await asyncio.sleep(_USE_EVERY_S)

    async def follow(self) -> None:
        """Do what the timeline says, when it says it."""
        async with asyncio.TaskGroup() as users:
            for step in self._fleet.later:
                await asyncio.sleep(max(0.0, 60 * step.minute - self.now))
                if step.kill:
                    await self.kill(step.kill)
                if step.start:
                    await self.start(step.start)
                if step.use:
                    users.create_task(self.use(step.use))

    async def truth(self) -> dict[str, Truth]:
        """Ask every server directly."""
        names = list(self._fleet.endpoints)
        found = dict(zip(names, await asyncio.gather(*map(self._truth, names)), strict=True))
        for gateway, behind in self._fleet.behind.items():
            dead = frozenset(name for name, real in behind.items() if not _answered(real, found))
            found[gateway] = msgspec.structs.replace(found[gateway], dead=dead)
        return found

    async def _truth(self, endpoint: str) -> Truth:
        try:
            return await self._asked(endpoint)
        except httpx.TimeoutException:
            return Truth(names=None, is_known=False)

    async def _asked(self, endpoint: str) -> Truth:
        settings = self._fleet.endpoints[endpoint]
        url = settings["url"]
        if settings.get("provider") == "ollama":
            listed, loaded = await self._get(f"{url}/api/tags"), await self._get(f"{url}/api/ps")
            return Truth(names=_names(listed, "models", "name"), loaded=_names(loaded, "models", "name"))
        listed = await self._get(f"{url}/v1/models") or await self._get(f"{url}/models")
        names = _names(listed, "data", "id")
        states = {entry["id"]: (entry.get("status") or {}).get("value") for entry in _list(listed, "data")}
        told = any(states.values())
        ignored = self._fleet.ignored.get(endpoint, [])
        return Truth(
            names=None
            if names is None
            else frozenset(name for name in names if not any(fnmatch(name, one) for one in ignored)),
            loaded=frozenset(name for name, state in states.items() if state == "loaded") if told else None,
        )

    async def _get(self, url: str) -> Any:
        """Return what is answered, or None. Raises httpx.TimeoutException."""
        try:
            reply = await self._http.get(url)
            return reply.json() if reply.status_code == 200 else None
        except (httpx.NetworkError, httpx.ProtocolError, ValueError):
            return None

    async def close(self) -> None:
        """Close the connections to the servers."""
        await self._http.aclose()


def _list(told: Any, key: str) -> list[Any]:
    found = told.get(key) if isinstance(told, dict) else None
    return found if isinstance(found, list) else []


def _names(told: Any, key: str, name: str) -> frozenset[str] | None:
    if not isinstance(told, dict) or not isinstance(told.get(key), list):
        return None
    return frozenset(entry[name] for entry in told[key])


def _answered(model: str, found: Mapping[str, Truth]) -> bool:
    endpoint, _, name = model.partition("/")
    there = found.get(endpoint)
    return there is not None and there.names is not None and name in there.names


async def say(client: Client, endpoints: Iterable[str]) -> dict[str, Said]:
    """Ask Vedette about every endpoint, and what it recommends."""
    best = [await client.best(use_case) for use_case in USE_CASES]
    recommended = [one.recommendation.model for one in best if one.recommendation]
    views = {view.endpoint: view for view in (await client.endpoints()).endpoints}
    models = defaultdict[str, list[ModelView]](list)
    for model in (await client.models()).models:
        models[model.model.endpoint].append(model)
    return {
        name: _said(views.get(name), models[name], [ref.name for ref in recommended if ref.endpoint == name])
        for name in endpoints
    }


def _said(view: EndpointView | None, models: list[ModelView], best: list[str]) -> Said:
    return Said(
        outcome=view.state.outcome if view and view.state else None,
        statuses={model.model.name: model.status for model in models},
        loaded=frozenset(model.model.name for model in models if model.resident),
        best=tuple(dict.fromkeys(best)),
    )


def _toml(fleet: Fleet) -> str:
    """Return Vedette's configuration. Strings, numbers and lists are written alike in JSON and TOML."""
    tables = {"schedule": fleet.schedule} | {
        f"endpoints.{name}": one for name, one in fleet.endpoints.items()
    }
    lines = []
    for name, settings in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    return "\n".join(lines)


async def run(fleet: Fleet, directory: Path, *, every_s: float) -> list[Sample]:
    """Run the fleet to its end; print a row a minute; write every sample to `samples.jsonl`."""
    samples = list[Sample]()
    async with AsyncExitStack() as stack:
        running = Running(fleet, directory, stack)
        stack.push_async_callback(running.close)
        for step in fleet.at_first:
            await running.start(step.start or "")
        await asyncio.sleep(-60 * min((step.minute for step in fleet.at_first), default=0.0))
        vedette = await stack.enter_async_context(up(directory / "state", _toml(fleet), VEDETTE_LOG="info"))
        await vedette.line("ready")
        noting = asyncio.create_task(_note(vedette, directory / "vedette.log"))
        stack.callback(noting.cancel)
        client = await stack.enter_async_context(Client(state_dir=str(directory / "state"), timeout_s=10))
        broker = await nats.connect(vedette.connection.operator_url)
        stack.push_async_callback(broker.close)
        await broker.subscribe("progress.*", cb=running.jobs.hear)
        running.began = time.monotonic()
        following = asyncio.create_task(running.follow())
        with (directory / "samples.jsonl").open("wb") as file:
            while running.now < 60 * fleet.minutes:
                due = running.now + every_s
                samples.append(await _sample(running, client, fleet))
                file.write(msgspec.json.encode(samples[-1]) + b"\n")
                file.flush()
                _print_minute(samples, fleet)
                await vedette.lives()
                await asyncio.sleep(max(0.0, due - running.now))
        following.cancel()  # calls that waited for a job that never came
        with suppress(asyncio.CancelledError):
            await following
        await _account(vedette, directory, fleet, running.jobs.ended)
        for at, model, ended in running.users_calls:
            print(f"user {at / 60:5.1f} {model} {ended}")
        await vedette.stop()
    return samples


async def _note(vedette: Up, file: Path) -> None:
    """Write what Vedette logs to *file*."""
    with file.open("w") as log:
        while True:
            with suppress(TimeoutError):
                if not (line := await vedette.complaint()):
                    return
                print(line, file=log, flush=True)


async def _sample(running: Running, client: Client, fleet: Fleet) -> Sample:
    at, truth = running.now, await running.truth()
    try:
        said = await say(client, fleet.endpoints)
    except NoAnswer as error:
        return Sample(at=at, truth=truth, said={}, wrong={"vedette": [str(error)]})
    found = {name: wrong(truth[name], said[name]) for name in fleet.endpoints}
    return Sample(
        at=at, truth=truth, said=said, wrong={name: words for name, words in found.items() if words}
    )


def _print_minute(samples: list[Sample], fleet: Fleet) -> None:
    """Print a row for each endpoint whose truth differs from a minute ago, or that is wrong."""
    now = samples[-1]
    before = samples[-2] if len(samples) > 1 else None
    minute = int(now.at // 60)
    if before is not None and int(before.at // 60) == minute:
        return
    done = "; ".join(str(step) for step in fleet.timeline if minute - 1 <= step.minute < minute)
    past = next((sample for sample in samples if sample.at > now.at - 65), now)
    shown = [
        name
        for name in fleet.endpoints
        if before is None or name in now.wrong or past.truth[name] != now.truth[name]
    ]
    for name in shown or ["all"]:
        truth, said = now.truth.get(name, ""), now.said.get(name, "")
        verdict = "; ".join(now.wrong.get(name, [])) or "right"
        print(f"| {minute} | {done} | {name} | {truth} | {said} | {verdict} |", flush=True)


def delays(fleet: Fleet, samples: list[Sample], endpoint_of: Mapping[str, str]) -> list[str]:
    """Return how long after the effect of each kill and start Vedette was right, and how often wrong later."""
    steps = [
        (60 * step.minute, step, endpoint_of[step.kill or step.start or ""])
        for step in fleet.later
        if not step.use
    ]
    found = []
    for at, step, endpoint in steps:
        until = min(
            (other for other, _, there in steps if there == endpoint and other > at),
            default=60 * fleet.minutes,
        )
        own = [sample for sample in samples if at < sample.at < until and sample.truth[endpoint].is_known]
        changed = [sample for sample in own if (sample.truth[endpoint].names is None) == bool(step.kill)]
        right = [sample for sample in changed if not sample.wrong.get(endpoint)]
        if not right:
            found.append(f"{step.minute:g} | {step} | {endpoint} | never right")
            continue
        later = sum(bool(sample.wrong.get(endpoint)) for sample in changed if sample.at > right[0].at)
        delay_s = right[0].at - changed[0].at
        found.append(f"{step.minute:g} | {step} | {endpoint} | {delay_s:.0f} s | {later} of {len(changed)}")
    return found


async def _account(vedette: Up, directory: Path, fleet: Fleet, jobs: Counter[tuple[str, JobKind]]) -> None:
    """Print what Vedette says that it sent, by purpose, beside what the servers logged of it."""
    told = (await vedette.ask("endpoints", "--json")).json()
    (directory / "endpoints.json").write_text(json.dumps(told, indent=1))
    for view in told["endpoints"]:
        name, by = view["endpoint"], ((view.get("state") or {}).get("ledger") or {}).get("by", {})
        requests = {purpose: use.get("requests", 0) for purpose, use in by.items()}
        print(f"sent  {name}: {sum(requests.values())} {json.dumps(requests)}")
        ended = {kind: number for (endpoint, kind), number in jobs.items() if endpoint == name}
        used = {purpose: msgspec.convert(use, Spent) for purpose, use in by.items()}
        for line in a_day(used, ended, models=view["models"]):
            print(f"day   {name}: {line}")
    for name in fleet.programs:
        log = directory / f"{name}.log"
        if log.exists():
            counts = logged(log.read_text(errors="replace").splitlines())
            print(f"log   {name}: {counts.total()} {dict(counts.most_common())}")


def a_day(used: Mapping[str, Spent], ended: Mapping[str, int], *, models: int) -> list[str]:
    """Return what a day costs a server by the default schedule: what a job of each kind *used*, times its jobs a day.

    Jobs of a kind that has not *ended* once are left out; each of *models* is benchmarked and evaluated by itself.
    """
    schedule = Schedule()
    day_s = timedelta(days=1).total_seconds()
    found, requests, tokens = [], 0.0, 0.0
    for kind, every, number in (
        ("probe", schedule.availability, 1),
        ("discover", schedule.discovery, 1),
        ("benchmark", schedule.performance, models),
        ("evaluate", schedule.quality, models),
    ):
        jobs, use = ended.get(kind, 0), used.get(kind, Spent())
        if not jobs:
            continue
        a_day = number * day_s / interval_s(every)
        each = f"{use.requests / jobs:.1f} requests, {use.tokens / jobs:.0f} tokens"
        found.append(f"{a_day:.2f} times {kind}: {each} ({jobs} ended)")
        requests, tokens = requests + a_day * use.requests / jobs, tokens + a_day * use.tokens / jobs
    return [*found, f"{requests:.0f} requests, {tokens:.0f} tokens"]


def logged(lines: Iterable[str]) -> Counter[str]:
    """Return the requests in a server's access log that were not ours."""
    found = Counter[str]()
    for line in lines:
        if OUR_ADDRESS not in line and not _NO_REQUEST.match(line) and (seen := _ACCESS.search(line)):
            found[f"{seen[1]} {seen[2]}"] += 1
    return found


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fleet", type=Path)
    parser.add_argument(
        "--directory", type=Path, required=True, help="for logs, state and samples; is created"
    )
    parser.add_argument("--every-s", type=float, default=5.0, help="between two looks")
    given = parser.parse_args()
    fleet = msgspec.convert(tomllib.loads(given.fleet.read_text()), Fleet)
    given.directory.mkdir(parents=True)
    samples = asyncio.run(run(fleet, given.directory, every_s=given.every_s))
    ports = {name: settings["url"].rpartition(":")[2] for name, settings in fleet.endpoints.items()}
    endpoint_of = {
        program: next(
            (name for name, port in ports.items() if port in json.dumps(msgspec.to_builtins(what))), ""
        )
        for program, what in fleet.programs.items()
    }
    print("minute | done | endpoint | right after | wrong looks later")
    print("\n".join(delays(fleet, samples, endpoint_of)))
    bad = sum(bool(sample.wrong) for sample in samples)
    print(f"{len(samples)} looks, {bad} with something wrong")


if __name__ == "__main__":
    main()
