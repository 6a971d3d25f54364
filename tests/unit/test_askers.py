"""What a service believes of a request: where a reply may go, and who asks."""

import pytest
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from vedette.bus import permissions
from vedette.runtime.askers import REQUEST_INFO, answerable, asker


def request(reply: str, headers: dict[str, str] | None = None) -> Msg:
    return Msg(_client=NatsClient(), subject="report.outcome", reply=reply, headers=headers)


@pytest.mark.parametrize("reply", ["_INBOX.a.b", "_INBOX_support-bot.a", "_R_.x.y", "_GR_.c.s._INBOX.a"])
def test_inboxes_are_answered(reply: str) -> None:
    assert answerable(reply)


@pytest.mark.parametrize(
    "reply",
    ["", "report.outcome", "$SRV.PING", "$JS.API.INFO", "INBOX.a", "_INBOXES.a", *permissions.FOLLOWED],
)
def test_nothing_else_is_answered(reply: str) -> None:
    assert not answerable(reply)


def test_the_server_says_who_asks() -> None:
    """The account, and the user where accounts share it; only on a reply that crosses accounts."""
    info = {REQUEST_INFO: '{"acc":"agent-a","rtt":12}'}
    assert asker(request("_R_.x.y", info)) == "agent-a"
    assert asker(request("_R_.x.y", {REQUEST_INFO: '{"acc":"A","user":"u","id":7}'})) == "A/u"
    assert asker(request("_INBOX.x.y", info)) is None
    assert asker(request("_R_.x.y")) is None
    assert asker(request("_R_.x.y", {REQUEST_INFO: "{"})) is None
    assert asker(request("_R_.x.y", {REQUEST_INFO: '{"acc":7}'})) is None
