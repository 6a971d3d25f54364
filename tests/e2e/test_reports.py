"""What a person, or a shell script, reports of a call."""

from pathlib import Path

from eventually import eventually
from providers.fake_ollama import fake_ollama
from vedette.runtime.nats_server import NatsServer
from whole import found


async def test_a_call_is_reported(server: NatsServer, tmp_path: Path) -> None:
    """Counted, said so for people and for programs, until there are too many; a wrong name is a usage error."""
    async with (
        fake_ollama(m="1") as ollama,
        found(
            f'[endpoints.box]\nurl = "{ollama.url}"\nevaluate = false\n', server, tmp_path / "state"
        ) as running,
    ):
        await running.knows(1)

        async def told() -> bool:
            measured = ("--ttft-ms", "120", "--e2e-ms", "900", "--output-tokens", "40", "--use-case", "chat")
            ended = await running.ask("report", "box/m", *measured, "--json")
            return ended.code == 0 and ended.json() == {"counted": True}

        await eventually(told, what="counted")
        failed = await running.ask("report", "box/m", "--outcome", "rate_limited", "--caller", "me")
        assert (failed.code, failed.out) == (0, "box/m: counted\n")
        unknown = await running.ask("report", "box/n")
        assert unknown.code == 2
        assert 'did you mean "box/m"' in unknown.err
        wrong = await running.ask("report", "box/m", "--ttft-ms", "2", "--e2e-ms", "1")
        assert wrong.code == 2
        assert "ttft_ms" in wrong.err
