"""Where connections may go, whatever a name leads to."""

import asyncio
import socket
from typing import Any

import pytest

from providers.conftest import opened
from providers.replay import Replay, reply
from vedette.errors import ProviderError
from vedette.providers._outbound import refused
from vedette.types import Outcome

NOWHERE = (
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "255.255.255.255",
    "::169.254.169.254",  # compatible
    "::ffff:100.100.100.200",
    "::ffff:0:169.254.169.254",  # translated
    "2002:a9fe:a9fe::1",  # 6to4
    "2002:6464:64c8::",
    "2001:0:a9fe:a9fe::1",  # Teredo: its server, and its client
    "2001:0:cb00:7107::5601:5601",
    "64:ff9b:1::a9fe:a9fe",  # NAT64 of local use, with prefixes of 96, 64, 56 and 48 bits
    "64:ff9b:1:0:a9:fea9:fe00:0",
    "64:ff9b:1:a9:fe:a9fe::",
    "64:ff9b:1:a9fe:a9:fe00::",
    "fe80::5efe:a9fe:a9fe",  # ISATAP
    "2001:db8::200:5efe:168.63.129.16",
    "2001:db8:64::a9fe:a9fe",  # NAT64 with a network's own prefix
    "2001:db8:64::6464:64c8",
)


@pytest.mark.fault(
    "a metadata address is written as IPv6",
    "I8",
    without=("vedette.providers._outbound:_is_forbidden", lambda _: False),
)
@pytest.mark.parametrize("address", NOWHERE)
def test_where_credentials_are_handed_out_nobody_connects(address: str) -> None:
    """In whichever form it is written, and whatever is allowed."""
    assert refused("innocent.example", address, ()) is not None
    assert refused("innocent.example", address, ("innocent.example", "0.0.0.0/0", "::/0")) is not None


@pytest.mark.parametrize(
    ("host", "address", "allowed", "may"),
    [
        ("anything", "203.0.113.7", (), True),
        ("localhost", "127.0.0.1", (), True),
        ("gpu", "10.1.2.3", ("10.0.0.0/8",), True),
        ("gpu", "::ffff:10.1.2.3", ("10.0.0.0/8",), True),
        ("gpu", "11.1.2.3", ("10.0.0.0/8",), False),
        ("a.models.example.com", "203.0.113.7", ("*.models.example.com",), True),
        ("A.Models.Example.com", "203.0.113.7", ("*.models.example.com",), True),
        ("models.example.com.evil.org", "203.0.113.7", ("*.models.example.com",), False),
        ("localhost", "127.0.0.1", ("*.example.com",), False),
        ("localhost", "::1", (), True),
        ("gpu", "2001:db8::1", (), True),
        ("gpu", "fd12:3456::7", (), True),
        ("gpu", "2002:cb00:7107::1", (), True),
        ("gpu", "100.100.100.201", (), True),
    ],
)
def test_what_is_allowed(host: str, address: str, allowed: tuple[str, ...], may: bool) -> None:
    """A name, or the network of the address that it leads to."""
    assert (refused(host, address, allowed) is None) == may


@pytest.mark.fault(
    "an endpoint's name leads to a cloud's metadata service, or out of what is allowed",
    "I8",
    without=("vedette.providers._outbound:refused", lambda *_: None),
)
@pytest.mark.parametrize("allowed", [(), ("10.0.0.0/8",)])
async def test_a_name_that_leads_elsewhere_is_not_followed(
    allowed: tuple[str, ...], replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome says why, and nothing is sent."""
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo
    leads_to = "127.0.0.1" if allowed else "169.254.169.254"
    dialled: list[str] = []

    async def rebound(host: str, port: int, **options: Any) -> Any:
        if host == "innocent.example":
            dialled.append(leads_to)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (leads_to, port))]
        return await resolve(host, port, **options)

    monkeypatch.setattr(loop, "getaddrinfo", rebound)
    replay.otherwise = reply(200, {"models": []})
    port = replay.url.rpartition(":")[2]
    async with opened("ollama", f"http://innocent.example:{port}", allowed=allowed) as endpoint:
        with pytest.raises(
            ProviderError, match=r"that Vedette never connects to|not in outbound\.allow"
        ) as caught:
            await endpoint.list_models()
    assert caught.value.outcome is Outcome.UNREACHABLE
    assert dialled
    assert not replay.requests


async def test_what_is_allowed_by_name_is_reached(replay: Replay) -> None:
    """The server's own test of the same way."""
    replay.otherwise = reply(200, {"models": []})
    async with opened("ollama", replay.url, allowed=("127.0.0.*",)) as endpoint:
        assert not await endpoint.list_models()
    assert replay.requests
