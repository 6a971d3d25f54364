"""URLs of NATS servers as people write them: logins quoted or as they are, lists, schemes in capitals."""

import pytest

from vedette.bus.connection import servers
from vedette.errors import ConfigurationError

RAW = ("ved", "p@ss/w:rd#%")


@pytest.mark.parametrize(
    ("url", "named", "login"),
    [
        ("nats://h:4222", ["nats://h:4222"], None),
        ("h:4222", ["nats://h:4222"], None),
        ("NATS://h:4222", ["nats://h:4222"], None),
        ("nats://a:1, tls://b:2,", ["nats://a:1", "tls://b:2"], None),
        ("nats://ved:p%40ss%2Fw%3Ard%23%25@h", ["nats://h"], RAW),
        ("nats://ved:p@ss/w:rd#%@h", ["nats://h"], RAW),
        ("nats://ved:p@ss/w:rd#%@a,nats://b", ["nats://a", "nats://b"], RAW),
        ("nats://ved:a,b@h,nats://i", ["nats://h", "nats://i"], ("ved", "a,b")),
        ("nats://me:s3cret@h", ["nats://me:s3cret@h"], None),
        ("nats://s3cret@h", ["nats://s3cret@h"], None),
        ("nats://a:b@h,nats://c:d@i", ["nats://a:b@h", "nats://c:d@i"], None),
    ],
)
def test_a_login_is_read_out_of_a_url(url: str, named: list[str], login: tuple[str, str] | None) -> None:
    """Quoted or not: a generated password has any character, and clients of other languages take both."""
    assert servers(url) == (named, login)


def test_another_scheme_is_refused() -> None:
    """Port 8222 of a server, say, where it shows its state by HTTP."""
    with pytest.raises(ConfigurationError, match="not the URL of a NATS server"):
        servers("http://h:8222")
