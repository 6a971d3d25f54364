"""A NATS server with a certificate of its own authority, as an organisation runs it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trustme

from commands import vedette
from eventually import eventually, until_ready
from require import missing
from vedette.bus.connection import connect, open_connection
from vedette.errors import BusUnreachable, ConfigurationError
from vedette.runtime import nats_server
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.service import open_service
from vedette.runtime.subprocesses import child
from vedette.settings import Nats, Settings


@pytest.fixture
async def secured(tmp_path: Path, port: int) -> AsyncIterator[Nats]:
    """Run a server that speaks TLS only; yield how to reach it with its authority named."""
    try:
        binary = nats_server.find_binary()
    except ConfigurationError as error:
        missing("nats-server", str(error))
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    command = [binary, "-js", "-sd", str(tmp_path / "js"), "-a", "127.0.0.1", "-p", str(port)]
    command += ["--tls", "--tlscert", str(tmp_path / "cert.pem"), "--tlskey", str(tmp_path / "key.pem")]
    settings = Nats(url=f"tls://127.0.0.1:{port}", ca_file=str(tmp_path / "ca.pem"))

    async def listens() -> bool:
        try:
            async with connect(settings, name="test"):
                return True
        except BusUnreachable:
            return False

    async with child(command, log=tmp_path / "nats.log"):
        await eventually(listens, what="nats-server with TLS")
        yield settings


async def test_a_service_runs_behind_a_private_authority(
    secured: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    """The named authority is enough, for services as for commands; and no warning stands in any log."""
    async with open_service("test", msgspec.structs.replace(Settings(), nats=secured)) as service:
        await service.start()
        await until_ready(service)
    assert not [message for message in caplog.messages if "eof_received" in message]


@pytest.mark.fault("broker's certificate of an unknown authority", "I8")
async def test_an_unknown_authority_is_refused_with_the_remedy(secured: Nats) -> None:
    """Without it nobody talks to the server, and the error says what to set."""
    with pytest.raises(BusUnreachable, match=r"nats\.ca_file"):
        await open_connection(Nats(url=secured.url), name="test")


async def test_a_file_that_is_no_authority_is_named(secured: Nats, tmp_path: Path) -> None:
    """A wrong file is a configuration error, not a failed connection."""
    with pytest.raises(ConfigurationError, match=r"nats\.ca_file: .*key\.pem"):
        await open_connection(Nats(url=secured.url, ca_file=str(tmp_path / "key.pem")), name="test")


async def test_a_command_takes_the_authority_as_an_option(secured: Nats, tmp_path: Path) -> None:
    """It makes the streams and asks as an operator there; without the option it names it."""
    named = ["--nats", secured.url or "", "--ca-file", secured.ca_file or ""]
    made = await vedette("provision", *named)
    assert (made.code, "made MODELS" in made.err + made.out) == (0, True)
    shown = await vedette("endpoints", "history", "gpu", *named)
    assert "nothing was changed" in shown.err
    unnamed = await vedette("provision", "--nats", secured.url or "")
    assert unnamed.code != 0
    assert "--ca-file" in unnamed.err
    by_variable = await vedette("provision", "--nats", secured.url or "", VEDETTE_NATS_CA_FILE=named[-1])
    assert by_variable.code == 0


@pytest.mark.fault("broker takes no TLS though its URL says so", "I8")
async def test_a_server_without_tls_is_refused_where_the_url_asks_for_it(server: NatsServer) -> None:
    """nats-py goes on in plain text; neither a command nor a service does."""
    plain = Nats(url=server.url("operator").replace("nats://", "tls://"))
    with pytest.raises(BusUnreachable, match="offers no TLS"):
        await open_connection(plain, name="test")
    with pytest.raises(BusUnreachable, match="offers no TLS"):
        async with open_service("test", msgspec.structs.replace(Settings(), nats=plain)):
            pytest.fail("a service that talks in plain text")
