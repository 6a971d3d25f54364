"""Webhooks as they are decided: which events, signed how, tried again when, and what is known of one."""

import base64
import os
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from samples import lifecycle_event, probe_event, winner_event
from vedette.cli.findings import webhook_finding
from vedette.errors import ConfigurationError
from vedette.messages.channels import DURABLES, PUBLIC_EVENTS
from vedette.messages.events import AnswerChanged, Event, ModelProbed, WebhookState
from vedette.providers.posting import Reply
from vedette.settings import WEBHOOK_EVENTS, Outbound, Secret, Settings, Webhook, examine
from vedette.testing import EPOCH
from vedette.types import ModelRef, Status
from vedette_console.checking import problems
from vedette_console.webhooks import signing
from vedette_console.webhooks.choosing import chosen, kind_of
from vedette_console.webhooks.command import standing
from vedette_console.webhooks.retrying import (
    RETRIED_FOR_S,
    Tally,
    delay_s,
    folded,
    judged,
    pause_s,
    registered,
    stopped,
)
from vedette_console.webhooks.sending import target

GPU = ModelRef("gpu", "qwen3:8b")
URL = "https://ops.example.com/a/path?token=t0p"
NEVER = Webhook(name="ops", url=URL, secret=Secret(env="NEVER_SET"))


def secret() -> str:
    """Return a new secret, as an operator makes one."""
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def state_of(webhook: Webhook = NEVER, **facts: Any) -> WebhookState:
    """Return the state of *webhook* since EPOCH, with *facts*."""
    made = registered(webhook, URL, None, EPOCH)
    assert made is not None
    return msgspec.structs.replace(made, **facts)


def winner(use_case: str = "chat") -> AnswerChanged:
    """Return the announcement of a winner."""
    return winner_event(GPU, at=EPOCH, use_case=use_case)


def probed(*, since: datetime, earlier: int = 1, renamed_from: ModelRef | None = None) -> ModelProbed:
    """Return a probe after which the status has held *since*, with so many before it."""
    before = tuple(
        probe_event(GPU, at=EPOCH - timedelta(hours=n + 1), job_id=str(n)).sample for n in range(earlier)
    )
    event = probe_event(GPU, at=EPOCH, job_id="p", before=before)
    health = msgspec.structs.replace(event.health, since=since, status=Status.UNREACHABLE)
    return msgspec.structs.replace(event, health=health, renamed_from=renamed_from)


# --- Which events ----------------------------------------------------------------------------------------------


def test_every_event_that_can_be_chosen_is_delivered_to_the_console() -> None:
    public = {*PUBLIC_EVENTS, "recommend.changed", "model.status"}
    assert set(WEBHOOK_EVENTS) <= public
    taken = {one for durable in DURABLES if durable.name == "console-webhooks" for one in durable.filters}
    assert taken == {
        *(f"model.{name}.>" for name in ("found", "changed", "lost", "regressed", "probed")),
        "answer.*",
    }


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (lifecycle_event("found", GPU, at=EPOCH), "model.found"),
        (lifecycle_event("lost", GPU, at=EPOCH), "model.lost"),
        (winner(), "recommend.changed"),
        (probed(since=EPOCH), "model.status"),
        (probed(since=EPOCH - timedelta(hours=1)), None),
        (probed(since=EPOCH, earlier=0), None),
        (probed(since=EPOCH, renamed_from=ModelRef("old", "m")), None),
    ],
    ids=["found", "lost", "winner", "another status", "same status", "first probe", "repeated by a rename"],
)
def test_what_an_event_is_called(event: Event, kind: str | None) -> None:
    """Of probes only those that change a status are sent."""
    assert kind_of(event) == kind


@pytest.mark.parametrize(
    ("changes", "event", "wanted"),
    [
        ({}, lifecycle_event("found", GPU, at=EPOCH), True),
        ({"enabled": False}, lifecycle_event("found", GPU, at=EPOCH), False),
        ({"events": ("model.lost",)}, lifecycle_event("found", GPU, at=EPOCH), False),
        ({"models": ("gpu/*",)}, lifecycle_event("found", GPU, at=EPOCH), True),
        ({"models": ("attic/*", "gpu/q*")}, lifecycle_event("found", GPU, at=EPOCH), True),
        ({"models": ("attic/*",)}, lifecycle_event("found", GPU, at=EPOCH), False),
        ({"models": ("attic/*",)}, winner("chat"), True),
        ({"use_cases": ("chat",)}, winner("chat"), True),
        ({"use_cases": ("chat",)}, winner("embedding"), False),
        ({"use_cases": ("chat",)}, lifecycle_event("found", GPU, at=EPOCH), True),
    ],
)
def test_a_webhook_gets_what_it_asks_for(changes: dict[str, Any], event: Event, wanted: bool) -> None:
    webhook = msgspec.structs.replace(NEVER, **changes)
    assert bool(list(chosen(event, EPOCH, [webhook], {"ops": state_of(webhook)}))) is wanted


def test_what_happened_before_it_was_configured_is_not_sent() -> None:
    event, before = lifecycle_event("found", GPU, at=EPOCH), EPOCH - timedelta(seconds=1)
    assert list(chosen(event, before, [NEVER], {"ops": state_of()})) == []
    assert list(chosen(event, EPOCH, [NEVER], {})) == []
    assert list(chosen(event, EPOCH, [NEVER], {"ops": state_of(stopped_at=EPOCH)})) == []


# --- Signatures ------------------------------------------------------------------------------------------------


@given(body=st.binary(max_size=200).map(lambda raw: msgspec.json.encode({"data": raw})))
def test_the_official_library_takes_what_is_signed(body: bytes) -> None:
    made, now = secret(), datetime.now(UTC)
    headers = signing.headers("01a2", now, body, [signing.key(made, "here")])
    assert Verifier(made).verify(body, headers) == msgspec.json.decode(body)
    with pytest.raises(WebhookVerificationError):
        Verifier(made).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(secret()).verify(body, headers)


def test_while_a_secret_is_changed_both_verify() -> None:
    old, new = secret(), secret()
    keys = [signing.key(one, "here") for one in (new, old)]
    headers = signing.headers("01a2", datetime.now(UTC), b"{}", keys)
    for one in (old, new):
        Verifier(one).verify(b"{}", headers)


def test_the_example_of_the_specification() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, libraries/python/tests/test_webhooks.py."""
    key = signing.key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "here")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signing.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', [key])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("wrong", ["", "sesame", "whsec_%%%", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_wrong_secret_is_named_with_what_to_do_and_not_quoted(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="openssl rand") as raised:
        signing.key(wrong, "webhooks.ops.secret")
    assert "webhooks.ops.secret" in str(raised.value)
    assert not wrong or wrong not in str(raised.value).replace("whsec_$(", "")


# --- Attempts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    assert judged(Reply(status=status)).problem is None


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410, 429, 500, 503])
def test_anything_else_is_not(status: int) -> None:
    attempt = judged(Reply(status=status, body="no", retry_after_s=7.0))
    assert attempt.problem is not None
    assert str(status) in attempt.problem
    assert attempt.gone is (status == 410)
    assert attempt.retry_after_s == 7.0


@given(attempts=st.integers(1, 10_000), draw=st.floats(0, 1), asked=st.none() | st.floats(0, 86_400))
def test_the_wait_is_bounded_and_never_shorter_than_asked(
    attempts: int, draw: float, asked: float | None
) -> None:
    wait_s = delay_s(attempts, 0.0, asked, draw)
    if wait_s is None:
        assert asked is not None
        return
    assert 3.75 <= wait_s <= max(2250.0, asked or 0.0)
    assert wait_s >= (asked or 0.0)


def test_waits_grow_and_end_after_a_day() -> None:
    waits, age_s, attempts = [], 0.0, 1
    while (wait_s := delay_s(attempts, age_s, None, 0.5)) is not None:
        waits.append(wait_s)
        age_s, attempts = age_s + wait_s, attempts + 1
    assert waits == sorted(waits)
    assert waits[:4] == [5.0, 15.0, 45.0, 135.0]
    assert 0.9 * RETRIED_FOR_S < age_s <= RETRIED_FOR_S


def test_an_event_that_waited_for_long_is_tried_some_times_all_the_same() -> None:
    assert delay_s(1, 3 * RETRIED_FOR_S, None, 0.5) is not None
    assert delay_s(5, 3 * RETRIED_FOR_S, None, 0.5) is None


def test_a_receiver_that_fails_is_left_alone_for_longer_each_time() -> None:
    assert [pause_s(n, None) for n in (0, 1, 2, 3, 7, 10_000)] == [0.0, 1.0, 2.0, 4.0, 60.0, 60.0]
    assert pause_s(1, 90.0) == 90.0


# --- What is known of one --------------------------------------------------------------------------------------


def test_an_unchanged_webhook_goes_on_and_a_changed_one_keeps_its_beginning() -> None:
    later = EPOCH + timedelta(days=1)
    assert registered(NEVER, URL, state_of(), later) is None
    changed = registered(msgspec.structs.replace(NEVER, events=("model.lost",)), URL, state_of(), later)
    assert changed is not None
    assert changed.since == EPOCH


def test_one_whose_receiver_was_gone_begins_again_when_it_changes() -> None:
    later = EPOCH + timedelta(days=1)
    gone = stopped(state_of(), "HTTP 410", EPOCH)
    assert registered(NEVER, URL, gone, later) is None
    changed = registered(msgspec.structs.replace(NEVER, events=("model.lost",)), URL, gone, later)
    assert changed is not None
    assert changed.stopped_at is None
    assert changed.since == later


def test_what_is_published_of_a_url_is_its_host() -> None:
    assert state_of().receiver == "https://ops.example.com"


def test_failing_begins_with_the_first_failure_and_ends_with_a_delivery() -> None:
    one, two, three = (EPOCH + timedelta(minutes=n) for n in (1, 2, 3))
    failing = folded(state_of(), Tally().failed(one, "HTTP 500"), one)
    failing = folded(failing, Tally().failed(two, "HTTP 503"), two)
    assert (failing.failing_since, failing.failed_at, failing.problem) == (one, two, "HTTP 503")
    well = folded(failing, Tally().delivered(three), three)
    assert (well.failing_since, well.delivered_at, well.problem) == (None, three, None)
    again = folded(well, Tally().delivered(one).failed(three + timedelta(minutes=1), "HTTP 500"), three)
    assert again.failing_since == three + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("facts", "word", "well"),
    [
        ({}, "waiting", True),
        ({"delivered_at": EPOCH}, "delivering", True),
        ({"failing_since": EPOCH, "problem": "HTTP 500"}, "failing", False),
        ({"stopped_at": EPOCH, "failing_since": EPOCH}, "stopped", False),
        ({"enabled": False}, "disabled", True),
    ],
)
def test_a_state_in_a_word_and_for_doctor(facts: dict[str, Any], word: str, well: bool) -> None:
    state = state_of(**facts)
    assert standing(state) == word
    finding = webhook_finding(state)
    assert finding.ok is well
    assert bool(finding.remedy) is not well


# --- The configuration -----------------------------------------------------------------------------------------

CONFIG = """
[[webhooks]]
name = "{name}"
url = "{url}"
secret = {secret}
events = {events}
"""
RIGHT = {"name": "ops", "url": URL, "secret": '{ env = "OPS" }', "events": '["model.lost"]'}


def complaints(text: str) -> list[str]:
    """Return what is wrong with the configuration *text*."""
    _, wrong = examine(tomllib.loads(text), where="vedette.toml", environ={})
    return [str(error) for error in wrong]


def test_a_right_table_is_taken() -> None:
    assert complaints(CONFIG.format(**RIGHT)) == []
    assert complaints(CONFIG.format(**RIGHT | {"secret": '[{ env = "A" }, { file = "/b" }]'})) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "Ops!"}, "webhooks[0].name"),
        ({"url": "ops.example.com/x?token=t0p"}, "webhooks[0].url"),
        ({"url": "ftp://ops.example.com/"}, "is not an http or https URL"),
        ({"url": "https://me:t0p@ops.example.com/"}, "login"),
        ({"events": '["model.lots"]'}, 'did you mean "model.lost"?'),
        ({"events": "[]"}, "leave the key out to send all events"),
        ({"secret": "[]"}, "webhooks[0].secret"),
        ({"secret": "[{}]"}, "webhooks[0].secret[0]"),
        ({"secret": '"whsec_AAAA"'}, "webhooks[0].secret"),
    ],
)
def test_a_wrong_one_is_named(wrong: dict[str, str], said: str) -> None:
    told = "\n".join(complaints(CONFIG.format(**RIGHT | wrong)))
    assert said in told
    assert "t0p" not in told


def test_two_of_one_name_and_no_console() -> None:
    twice = CONFIG.format(**RIGHT) * 2
    assert any("webhooks[1].name" in one for one in complaints(twice))
    assert any(
        "[console]" in one for one in complaints(f"[console]\nenabled = false\n{CONFIG.format(**RIGHT)}")
    )


def test_config_check_reads_the_secrets(tmp_path: Any) -> None:
    file = tmp_path / "secret"
    webhook = msgspec.structs.replace(NEVER, secret=(Secret(file=str(file)),))
    settings = Settings(webhooks=(webhook,))
    assert [str(one.where) for one in problems(settings)] == ["webhooks.ops.secret[0]"]
    file.write_text("sesame\n")
    (problem,) = problems(settings)
    assert "openssl rand" in problem.problem
    file.write_text(f"{secret()}\n")
    assert list(problems(settings)) == []
    assert target(webhook, Outbound(allow=("10.0.0.0/8",))).allowed == ("10.0.0.0/8",)
