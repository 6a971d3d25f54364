"""Commands given something wrong: one line that names the thing and the remedy, and the documented exit code."""

import socket
from pathlib import Path

import pytest

from commands import vedette
from providers.fake_ollama import fake_ollama
from vedette.runtime.nats_server import NatsServer
from whole import found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[endpoints", "is not valid TOML"),
        ("[endpoint.gpu]\nurl = 'http://x'", 'endpoint: unknown key; did you mean "endpoints"?'),
        ("[endpoints.gpu]\nurll = 'http://x'", 'endpoints.gpu.urll: unknown key; did you mean "url"?'),
        (
            "[endpoints.gpu]\nurl = 'gpu-box:8000'",
            "endpoints.gpu.url: 'gpu-box:8000' is not an http or https URL",
        ),
        ("[endpoints.gpu]\nurl = 'http://x'\napi_key = 'sk-1'", 'use { env = "NAME" }'),
        (
            "[endpoints.gpu]\nprovider = 'olama'\nurl = 'http://x'",
            "provider 'olama': not installed; installed: ",
        ),
        ("[schedule]\navailability = 'often'", "schedule.availability: 'often' is not a duration"),
        (
            "[endpoints.gpu]\nurl = 'http://x'\napi_key = { env = 'NOT_SET_ANYWHERE' }",
            "NOT_SET_ANYWHERE is not set",
        ),
        ("[recommend.use_cases.mine]\nweights = { speed = 0 }", "at least one must be positive"),
    ],
)
async def test_a_broken_configuration_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    """File, key, reason, suggestion."""
    file = tmp_path / "vedette.toml"
    file.write_text(text)
    ended = await vedette("up", "--config", str(file), "--state-dir", str(tmp_path / "state"))
    assert ended.code == 2, ended.err
    assert says in ended.err
    assert len(ended.said) == 1


async def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    """A file that was asked for must be there."""
    ended = await vedette("config", "check", str(tmp_path / "none.toml"))
    assert ended.code == 2
    assert "none.toml" in ended.err


async def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """Said with the way out; a file in its way stands for every reason, because root may write anywhere."""
    (tmp_path / "file").write_text("")
    ended = await vedette("up", "--state-dir", str(tmp_path / "file" / "state"))
    assert ended.code == 2
    assert "--state-dir" in ended.err


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """NATS's port, with how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = await vedette("up", "--state-dir", str(tmp_path / "state"), "--port", port)
    assert ended.code == 2
    assert port in ended.err
    assert "--port" in ended.err


async def test_no_nats_server_there(tmp_path: Path) -> None:
    """Soon, and without its password."""
    url = "nats://me:secret@127.0.0.1:1"
    for command in (("up", "--state-dir", str(tmp_path)), ("models",), ("provision",)):
        ended = await vedette(*command, "--nats", url)
        assert ended.code == 4, ended.err
        assert "127.0.0.1:1" in ended.err
        assert "secret" not in ended.err


async def test_a_login_that_may_not_is_told_so(server: NatsServer, tmp_path: Path) -> None:
    """A server refuses by silence; that is a sentence with the remedy, not a traceback."""
    ended = await vedette("provision", "--nats", server.url("agent"), "--state-dir", str(tmp_path))
    assert ended.code == 4
    assert "only the operator's login" in ended.err
    assert len(ended.said) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("recomend", 'unknown command "recomend". Did you mean "recommend"? (see: vedette --help)'),
        ("config chek", 'unknown command "chek". Did you mean "check"? (see: vedette config --help)'),
        ("endpoints ad", 'unknown command "ad". Did you mean "add"? (see: vedette endpoints --help)'),
        (
            "endpoints ad x --url u",
            'unknown command "ad". Did you mean "add"? (see: vedette endpoints --help)',
        ),
        ("endpoints --jsn", "unknown option: --jsn. Did you mean --json? (see: vedette endpoints --help)"),
        ("endpoints add", "NAME is missing (see: vedette endpoints add --help)"),
        (
            "endpoints add x --provder y",
            "unknown option: --provder. Did you mean --provider? (see: vedette endpoints add --help)",
        ),
        ("models --limit", "--limit needs a value (see: vedette models --help)"),
        ("models --limit x", "--limit must be a whole number, not 'x' (see: vedette models --help)"),
        ("recommend chat twice", "unexpected argument: twice (see: vedette recommend --help)"),
    ],
)
async def test_a_mistyped_command_line_is_a_usage_error(given: str, says: str) -> None:
    """One behaviour for one mistake at every level, with the nearest command or option."""
    ended = await vedette(*given.split())
    assert (ended.code, ended.out, ended.err) == (2, "", f"vedette: {says}\n")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("speed=3", "is not a bound"),
        ("answer_s", "is not NAME=VALUE"),
        ("answer_s=soon", "is not NAME=VALUE"),
    ],
)
async def test_a_bound_that_is_none_is_refused(given: str, says: str) -> None:
    """Before anything is asked; a name that is unknown is answered with those that there are."""
    ended = await vedette("recommend", "chat", "--bound", given)
    assert ended.code == 2
    assert says in ended.err
    assert "answer_s" in ended.err


async def test_an_unknown_suite_is_refused_before_anything_is_queued(
    server: NatsServer, tmp_path: Path
) -> None:
    """By the suites of the Vedette that runs, its own ones among them."""
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "our-words.jsonl").write_text(
        '{"prompt": "1+1?", "checker": "number", "expected": 2}\n'
    )
    config = (
        f'[evaluating]\nsuites = "{tmp_path}/suites"\n[endpoints.box]\nurl = "{{url}}"\nevaluate = false\n'
    )
    async with (
        fake_ollama(a="1") as ollama,
        found(config.format(url=ollama.url), server, tmp_path / "state") as running,
    ):
        await running.knows(1)
        wrong = await running.ask("evaluate", "box/a", "--suite", "zzz")
        assert (wrong.code, wrong.out) == (2, "")
        assert wrong.err.startswith("vedette: no suite zzz; known: arithmetic, ")
        assert "our-words" in wrong.err
        assert "started" not in wrong.err
        assert (await running.ask("evaluate", "box/a", "--suite", "our_words")).code == 0


async def test_doctor_names_what_is_wrong(tmp_path: Path) -> None:
    """What is not reachable, and what to do about it."""
    ended = await vedette("doctor", "--json", "--state-dir", str(tmp_path))
    assert ended.code == 1
    findings = {finding["what"]: finding for finding in ended.json()["findings"]}
    assert not findings["endpoint ollama"]["ok"]
    assert findings["endpoint ollama"]["remedy"]
    assert findings["nats-server"]["ok"]
    assert not findings["running Vedette"]["ok"]


async def test_what_is_expected_of_a_listed_model(server: NatsServer, tmp_path: Path) -> None:
    """By what its server says, and not by its name alone; with facts of the operator's own in the state directory."""
    config = '[endpoints.box]\nurl = "{url}"\nevaluate = false\nmeasure = false\n'
    async with (
        fake_ollama(**{"gpt-5": "1"}) as ollama,
        found(config.format(url=ollama.url), server, tmp_path / "state") as running,
    ):
        await running.knows(1)
        told = (await running.ask("knowledge", "show", "box/gpt-5", "--json")).json()
        assert (told["listed"], told["recognised_as"]) == (True, None)
        by_name = (await running.ask("knowledge", "show", "gpt-5", "--json")).json()
        assert (by_name["listed"], by_name["recognised_as"]) == (False, "gpt-5")
