"""What a user of NATS may say is what the contracts name, and nothing that they name is missing."""

import pytest

from vedette.bus import permissions
from vedette.messages.channels import CHANNELS, PUBLIC_EVENTS, QUERIES
from vedette.messages.declaring import SERVICES, Role


def _matches(pattern: str, subject: str) -> bool:
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        return len(given) >= len(wanted) and _matches(
            ".".join(wanted[:-1]), ".".join(given[: len(wanted) - 1])
        )
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def _may_publish(role: str, subject: str) -> bool:
    publish = permissions.users()[role]["publish"]
    allowed = any(_matches(one, subject) for one in publish.get("allow", [">"]))
    return allowed and not any(_matches(one, subject) for one in publish["deny"])


@pytest.mark.parametrize("role", SERVICES)
def test_a_service_may_say_what_its_contracts_say(role: Role) -> None:
    said = {one for one in permissions.of_service(role)["publish"]["allow"] if not one.startswith("$JS.")}
    named = {
        channel.filter for channel in CHANNELS if role in channel.publishers and channel.stream != "DEAD"
    }
    asked = {query.subject for query in QUERIES if role in query.askers}
    assert said == named | asked | {f"dead.{role}", f"canary.{role}"}


@pytest.mark.parametrize("role", SERVICES)
def test_a_service_may_hear_what_it_answers(role: Role) -> None:
    heard = permissions.of_service(role)["subscribe"]["allow"]
    asked = [one for one in QUERIES if role in (one.service, *one.beside)]
    told = ["progress.*"] if role == "console" else []
    through_micro = ["$SRV.>"] if any(not one.beside for one in asked) else []
    assert heard == [f"_INBOX.{role}.>", *told, *(one.subject for one in asked), *through_micro]


def test_nobody_may_publish_what_only_the_broker_repeats() -> None:
    for role in permissions.users():
        for copy in (*PUBLIC_EVENTS, "recommend.changed.chat"):
            assert not _may_publish(role, copy), (role, copy)


@pytest.mark.parametrize("role", SERVICES)
def test_no_service_touches_the_stream_or_the_durable_of_another(role: Role) -> None:
    for subject in (
        "$JS.API.STREAM.DELETE.MODELS",
        "$JS.API.STREAM.PURGE.JOBS",
        "$JS.API.STREAM.CREATE.MORE",
        "$JS.API.STREAM.UPDATE.MODELS",
        "$JS.API.STREAM.MSG.DELETE.MODELS",
        "$JS.API.STREAM.MSG.GET.DEAD",
    ):
        assert not _may_publish(role, subject), subject
    for owner in SERVICES:
        for durable in permissions.durables(owner):
            name = durable.name.replace("*", f"{owner}-gpu")
            for subject in (
                f"$JS.API.CONSUMER.DELETE.{durable.stream}.{name}",
                f"$JS.API.CONSUMER.MSG.NEXT.{durable.stream}.{name}",
                f"$JS.API.CONSUMER.CREATE.{durable.stream}.{name}.model.>",
                f"$JS.ACK.{durable.stream}.{name}.1.1.1.1.1",
            ):
                assert _may_publish(role, subject) == (role == owner), (role, subject)


def test_agents_ask_and_hear() -> None:
    agent = permissions.of_agent()
    for question in QUERIES:
        asked = any(_matches(one, question.subject) for one in agent["publish"]["allow"])
        assert asked is question.public, question.subject
    for channel in CHANNELS:
        assert not any(_matches(one, channel.filter) for one in agent["publish"]["allow"]), channel.subject
        assert not any(_matches(one, channel.filter) for one in agent["subscribe"]["allow"]), channel.subject
