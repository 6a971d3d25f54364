"""`vedette history`: of a model that was probed and measured, of one that is not, and of a wrong one."""

import json
from datetime import UTC, datetime
from pathlib import Path

from commands import Ended, vedette
from eventually import eventually
from providers.fake_ollama import fake_ollama
from vedette.runtime.nats_server import NatsServer
from whole import Found, found

OFTEN = """
[schedule]
availability = "1s"
[benchmarking]
runs = 1
output_tokens = 16
[endpoints.box]
url = "{url}"
evaluate = false
"""


async def recorded(running: Found) -> Ended:
    """Return the history of the model as JSON, once it was probed and measured."""

    async def there() -> bool:
        up = await running.client.history_availability("box/m:1b")
        fast = await running.client.history_performance("box/m:1b")
        return bool(up.probes and fast.points)

    await eventually(there, what="history recorded")
    return await running.ask("history", "box/m:1b", "--json")


async def test_a_model_s_history_as_json_as_tables_and_drawn(server: NatsServer, tmp_path: Path) -> None:
    """From the database of a running Vedette; drawn in at most 80 columns and without colour."""
    async with (
        fake_ollama(**{"m:1b": "d1"}) as ollama,
        found(OFTEN.format(url=ollama.url), server, tmp_path / "s") as running,
    ):
        told = (await recorded(running)).json()
        assert len(told["availability"]["buckets"]) == 24
        assert told["availability"]["uptime"] == 1.0
        assert told["performance"]["points"][0]["output_tps"] > 0

        tables = await running.ask("history", "box/m:1b", "--since", "2h", "--buckets", "3")
        assert tables.code == 0, tables.err
        assert tables.out.startswith("box/m:1b: ")
        assert "uptime 100 %" in tables.out
        assert "tokens/s" in tables.out

        drawn = await running.ask("history", "box/m:1b", "--since", "2h", "--plot")
        assert drawn.code == 0, drawn.err
        titles = [line.partition(" (")[0] for line in drawn.out.splitlines() if "(· not measured)" in line]
        assert titles == ["tokens/s", "TTFT", "availability"]
        assert "█" in drawn.out
        assert "\x1b" not in drawn.out
        assert max(map(len, drawn.out.splitlines())) <= 80

        for name in ("box/m:2b", "m:1b"):
            wrong = await running.ask("history", name)
            assert wrong.code == 2
            assert wrong.err == f'vedette: no model {name}; did you mean "box/m:1b"?\n'
        for arguments, says in (
            (("--since", "often"), "--since: 'often' is not a duration"),
            (("--since", "9999d"), "history is not kept that long"),
            (("--buckets", "501"), "buckets: Expected `int` <= 500"),
        ):
            wrong = await running.ask("history", "box/m:1b", *arguments)
            assert wrong.code == 2
            assert says in wrong.err
            assert len(wrong.said) == 1


async def test_many_models_and_the_past(server: NatsServer, tmp_path: Path) -> None:
    """An endpoint, the candidates for a use case and all models; what was recommended; what was recorded."""
    async with fake_ollama(**{"m:1b": "d1", "n:2b": "d2"}) as ollama:
        async with found(OFTEN.format(url=ollama.url), server, tmp_path / "s") as running:

            async def told() -> bool:
                models = (await running.client.history_models()).models
                return len(models) == 2 and all(one.benchmarks for one in models)

            await eventually(told, what="both models recorded")
            for asked, says in (
                (("--endpoint", "box"), "box: "),
                (("--use-case", "chat"), "chat, since "),
                ((), "all models, since "),
            ):
                ended = await running.ask("history", *asked)
                assert ended.code == 0, ended.err
                assert says in ended.out
                assert "box/n:2b" in ended.out
                assert "box/m:1b" in ended.out
            wrong = await running.ask("history", "--endpoint", "bax")
            assert (wrong.code, wrong.err) == (2, 'vedette: no endpoint bax; did you mean "box"?\n')
            wrong = await running.ask("history", "box/m:1b", "--endpoint", "box")
            assert (wrong.code, len(wrong.err.splitlines())) == (2, 1)

            at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
            then = await running.ask("recommend", "chat", "--at", at)
            assert then.code == 0, then.err
            assert "As of " in then.out
            whole = await running.ask("explain", "chat", "--at", at, "--json")
            assert len(whole.json()["explanation"]["recommendations"]) == 2
            before = await running.ask("explain", "chat", "--at", "2020-01-01T00:00")
            assert before.code == 3
            assert "As of 2020-01-01 00:00 UTC" in before.out
            later = await running.ask("recommend", "chat", "--at", "2999-01-01")
            assert (later.code, later.err) == (2, "vedette: at: the time is in the future\n")
        # What was recorded is there when nothing runs any more.
        ended = await vedette("export", "--format", "jsonl", "--state-dir", str(tmp_path / "s"))
        assert ended.code == 0, ended.err
        probes = [json.loads(line) for line in ended.out.splitlines()]
        assert {probe["model"] for probe in probes} == {"m:1b", "n:2b"}
        assert ended.err == ""


async def test_a_known_model_without_history_is_no_error(server: NatsServer, tmp_path: Path) -> None:
    """It was found, and what is told of a time before that is nothing."""
    quiet = OFTEN.replace('availability = "1s"', "run_on_startup = false")
    async with (
        fake_ollama(**{"m:1b": "d1"}) as ollama,
        found(quiet.format(url=ollama.url), server, tmp_path / "s") as running,
    ):
        await recorded(running)
        for shape in ((), ("--plot",)):
            ended = await running.ask("history", "box/m:1b", "--since", "1ms", *shape)
            assert ended.code == 0, ended.err
            assert "box/m:1b: 0 probes" in ended.out
