"""A configuration that is begun, and one that is shown: what they say is what holds."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cronsim import CronSim

from vedette import settings
from vedette.cli import configuring
from vedette.errors import ConfigurationError
from vedette.settings import EndpointSettings, parse

GIVEN = """
[endpoints.gpu]
provider = "openai-compatible"
url = "http://gpu:8000"
api_key = { env = "GPU_KEY" }
headers = { "X-Team" = "agents-secret", "X-Token" = { file = "/run/token" } }
budget = { requests_per_day = 5 }
[schedule]
performance = "0 4 * * *"
[nats]
url = "nats://me:s3cret@nats:4222"
[database]
url = "postgresql+asyncpg://me:s3cret@db/vedette"
[recommend.use_cases.triage]
weights = { ttft = 1 }
[[quality]]
model = "gpu/qwen3:8b"
score = 0.8
source = "us"
as_of = 2026-07-01
"""

# What `vedette up` would refuse, one after the other.
BROKEN = """
[endpoints.provider]
provider = "olama"
url = "http://a:1"
[endpoints.scheme]
url = "127.0.0.1:8000"
[endpoints.port]
url = "http://127.0.0.1:99999"
[endpoints.space]
url = "http://my host"
[endpoints.bracket]
url = "http://[::1"
[endpoints.flavour]
provider = "openai-compatible"
url = "http://b:1"
flavour = "vlm"
[endpoints.key]
url = "http://c:1"
api_key = {{ env = "NOT_SET_ANYWHERE" }}
headers = {{ "X-Key" = {{ file = "{folder}/none" }} }}
[endpoints.ca]
url = "https://d:1"
ca_file = "{folder}/none"
[endpoints.twice]
url = "http://C:1/v1"
[endpoints.names]
url = "http://g:1"
headers = {{ "X T" = "a" }}
[endpoints.values]
url = "http://h:1"
headers = {{ X-T = "a " }}
[endpoints.nowhere]
url = "http://i:1"
api_key = {{}}
[endpoints.typed]
url = "http://e:1"
timeout_s = "soon"
[endpoints.unknown]
url = "http://f:1"
budgets = 3
[schedule]
discovery = "61 * * * *"
performance = "soon"
[nats]
url = "127.0.0.1:bad"
credentials = "{folder}/none"
[database]
url = "mysql://x/y"
[evaluating]
suites = "{folder}/none"
[probing]
window = 5
[recommend.use_cases.kinds]
weights = {{ speed = 1 }}
kinds = {{ arithmetics = 1 }}
[recommend.use_cases.weights]
weights = {{ speed = 0 }}
"""
WRONG = {
    "endpoints.provider.provider": 'did you mean "ollama"?',
    "endpoints.scheme.url": "did you mean 'http://127.0.0.1:8000'?",
    "endpoints.port.url": "Port out of range",
    "endpoints.space.url": "a space",
    "endpoints.bracket.url": "is not a URL",
    "endpoints.flavour.flavour": "'vlm' is not known",
    "endpoints.key.api_key": "the environment variable NOT_SET_ANYWHERE is not set",
    "endpoints.key.headers.X-Key": "cannot be read",
    "endpoints.ca.ca_file": "No such file",
    "endpoints.twice.url": "is that of endpoint key",
    "endpoints.names.headers.X T": "place 2 of 3 is a space",
    "endpoints.values.headers.X-T": "begins or ends with a space",
    "endpoints.nowhere.api_key": 'a secret has either "env" or "file"',
    "endpoints.typed.timeout_s": "Expected `float`",
    "": 'endpoints.unknown.budgets: unknown key; did you mean "budget"?',
    "schedule.discovery": "Bad minute",
    "schedule.performance": "'soon' is not a duration",
    "nats.url": "is not a URL of a NATS server",
    "nats.credentials": "is not a file",
    "database.url": '"mysql" is not supported',
    "evaluating.suites": "No such file",
    "probing.confirm": "more than half",
    "recommend.use_cases.kinds.kinds": 'did you mean "arithmetic"?',
    "recommend.use_cases.weights.weights": "at least one must be positive",
}


def test_what_is_begun_is_the_defaults_and_what_was_found() -> None:
    found = {"vllm": EndpointSettings(provider="openai-compatible", url="http://127.0.0.1:8000")}
    for every in (False, True):
        text = configuring.begun(found, every=every)
        assert parse(tomllib.loads(text), where="f", environ={}).endpoints == found
        assert "# [endpoints.gpu]" in text
        assert ("# retention_days = 30" in text) is every
        nothing = parse(tomllib.loads(configuring.begun({}, every=every)), where="f", environ={})
        assert nothing == parse({}, where="f", environ={})


def test_a_file_is_begun_short() -> None:
    """What a newcomer reads; all its lines are right when they are taken in."""
    text = configuring.begun({})
    assert len(text.splitlines()) <= 15
    given = "\n".join(line.removeprefix("# ") for line in text.splitlines()[1:])
    parsed = parse(tomllib.loads(given), where="f", environ={})
    assert parsed.endpoints["gpu"].url == "http://gpu-box:8000"


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text("mine")
    with pytest.raises(ConfigurationError, match="--force"):
        configuring.init(file)
    assert file.read_text() == "mine"


def test_what_is_shown_is_the_whole_configuration_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text(GIVEN)
    assert configuring.show(str(file)) == 0
    shown = capsys.readouterr().out
    assert "secret" not in shown
    assert "s3cret" not in shown
    again = parse(tomllib.loads(shown), where="shown", environ={})
    given = settings.load(str(file))
    assert again.endpoints["gpu"].api_key == given.endpoints["gpu"].api_key
    assert again.recommend == given.recommend
    assert again.quality == given.quality
    assert again.schedule == given.schedule
    assert again.nats.url == "nats://nats:4222"
    assert 'discovery = "24h" # default' in shown
    slot = next(CronSim("0 4 * * *", datetime.now(UTC)))
    assert f'performance = "0 4 * * *" # next {slot:%Y-%m-%d %H:%M} UTC' in shown


def test_a_file_that_is_replaced_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also the second time, beside the first copy."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    file = tmp_path / "vedette.toml"
    for number, text in enumerate(("mine", "mine too")):
        file.write_text(text)
        assert configuring.init(file, force=True) == 0
        backup = tmp_path / f"vedette.toml.bak{number or ''}"
        assert backup.read_text() == text
        assert f"kept      {backup}" in capsys.readouterr().out
        assert file.read_text() != text


def test_everything_that_is_wrong_is_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text(BROKEN.format(folder=tmp_path))
    assert configuring.check(config=str(file), json=True) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    found = {
        one["where"].removeprefix(f"{file}: ").removeprefix(str(file)): one["problem"]
        for one in told["problems"]
    }
    for where, words in WRONG.items():
        assert words in found.pop(where, "nothing"), where
    assert found == {}
    assert configuring.check(str(file)) == 2
    said = capsys.readouterr().err
    assert all(where in said for where in WRONG)


def test_a_good_configuration_has_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text('[endpoints.gpu]\nurl = "http://gpu:11434"\n[nats]\nurl = ["nats://a:4222", "b:4222"]')
    assert configuring.check(str(file), json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["problems"]) == (True, [])
    assert told["endpoints"]["gpu"]["url"] == "http://gpu:11434"


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert configuring.check(str(tmp_path / "none.toml")) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_what_is_checked_shows_no_secret_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GPU_KEY", "s3cret-key")
    (tmp_path / "token").write_text("s3cret-token")
    file = tmp_path / "vedette.toml"
    file.write_text(GIVEN.replace("/run/token", str(tmp_path / "token")))
    for as_json in (True, False):
        assert configuring.check(str(file), json=as_json) == 0
        shown = capsys.readouterr().out
        assert "secret" not in shown
        assert "s3cret" not in shown
        assert "http://gpu:8000" in shown
