"""A configuration that is begun, and one that is shown: what they say is what holds."""

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


def test_what_is_begun_is_the_defaults_and_what_was_found() -> None:
    found = {"vllm": EndpointSettings(provider="openai-compatible", url="http://127.0.0.1:8000")}
    text = configuring.begun(found)
    assert parse(tomllib.loads(text), where="f", environ={}).endpoints == found
    assert "# [endpoints.gpu]" in text
    assert "# retention_days = 30" in text
    nothing = parse(tomllib.loads(configuring.begun({})), where="f", environ={})
    assert nothing == parse({}, where="f", environ={})


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


def test_what_is_checked_shows_no_secret_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text(GIVEN)
    for as_json in (True, False):
        assert configuring.check(str(file), json=as_json) == 0
        shown = capsys.readouterr().out
        assert "secret" not in shown
        assert "s3cret" not in shown
        assert "http://gpu:8000" in shown
