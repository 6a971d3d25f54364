"""A wrong configuration is refused with the file, the key, the reason and the remedy."""

from pathlib import Path
from typing import Any

import pytest

from vedette import providers
from vedette.bus.connection import servers, without_secrets
from vedette.errors import ConfigurationError, NotRunning
from vedette.local.instance import find, state_directory
from vedette.providers.access import access
from vedette.settings import EndpointSettings, Secret, load, ollama_url, parse, seconds


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (
            {"endpoints": {"local": {"ulr": "http://h"}}},
            'endpoints.local.ulr: unknown key; did you mean "url"?',
        ),
        ({"endpoint": {}}, 'endpoint: unknown key; did you mean "endpoints"?'),
        ({"endpoints": {"a": {}}}, "endpoints.a: Object missing required field `url`"),
        ({"endpoints": {"a": {"url": "ftp://h"}}}, "endpoints.a.url: 'ftp://h' is not an http or https URL"),
        ({"endpoints": {"A b": {"url": "http://h"}}}, "an endpoint's name is lower-case letters"),
        ({"endpoints": {"a": {"url": "http://u:p@h"}}}, "endpoints.a.url: holds a secret"),
        ({"endpoints": {"a": {"url": "http://h/v1?key=s3cr3t"}}}, "endpoints.a.url: has a query"),
        ({"endpoints": {"a": {"url": "http://h/#s3cr3t"}}}, "endpoints.a.url: has a part after #"),
        ({"endpoints": {"a": {"url": "http://h", "api_key": "sk-1"}}}, "secrets are not written here"),
        (
            {"endpoints": {"a": {"url": "http://h", "api_key": {}}}},
            "endpoints.a.api_key: a secret has either",
        ),
        (
            {"endpoints": {"a": {"url": "http://h", "headers": {"X-Team": {}}}}},
            "endpoints.a.headers.X-Team: a secret has either",
        ),
        (
            {"recommend": {"use_cases": {"mine": {"weights": {"quality": 0}}}}},
            "recommend.use_cases.mine.weights: at least one must be positive",
        ),
        ({"schedule": {"availability": "5x"}}, "schedule.availability: '5x' is not a duration"),
        ({"schedule": {"discovery": "99 4 * * *"}}, "schedule.discovery"),
        ({"schedule": {"discovery": "0 99 4 * * *"}}, "five fields of cron"),
        ({"schedule": {"discovery": "CRON_TZ=Asia/Tokyo 0 4 * * *"}}, "no time zone but UTC"),
        ({"schedule": {"availability": float("inf")}}, "schedule.availability: inf is not a duration"),
        ({"nats": {"port": 70000}}, "nats.port"),
        ({"nats": {"user": {}}}, 'nats.user: a secret has either "env" or "file"'),
        (
            {"database": {"url": {"env": "A", "file": "b"}}},
            'database.url: a secret has either "env" or "file"',
        ),
        ({"database": {"retention_days": 0}}, "database.retention_days"),
        ({"probing": {"confirm": 2, "window": 4}}, "probing.confirm"),
    ],
)
def test_a_mistake_is_named(document: dict[str, Any], says: str) -> None:
    """The message holds the file and what to look at."""
    with pytest.raises(ConfigurationError) as caught:
        parse(document, where="vedette.toml", environ={})
    assert str(caught.value).startswith("vedette.toml: ")
    assert says in str(caught.value)


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    """The message about a key written into the file does not print it."""
    with pytest.raises(ConfigurationError) as caught:
        parse({"endpoints": {"a": {"url": "http://h", "api_key": "sk-canary"}}}, where="f", environ={})
    assert "canary" not in str(caught.value)


def test_where_endpoints_appear_there_is_none_by_default() -> None:
    """A pod of a cluster has no Ollama of its own."""
    on = ({"kubernetes": {"enabled": True}}, {"docker": {"enabled": True}}, {"file": {"path": "/x"}})
    for source in (*on, {"dns": {"a": {"name": "_a._tcp.b"}}}):
        assert parse({"discovery": source}, where="f", environ={}).endpoints == {}
    assert list(parse({"discovery": {"grace_s": 5}}, where="f", environ={}).endpoints) == ["ollama"]


def test_no_file_means_ollama_where_its_own_client_would_look() -> None:
    """The default endpoint follows OLLAMA_HOST."""
    assert parse({}, where="f", environ={}).endpoints["ollama"].url == "http://127.0.0.1:11434"
    moved = parse({}, where="f", environ={"OLLAMA_HOST": "0.0.0.0:9999"})
    assert moved.endpoints["ollama"].url == "http://127.0.0.1:9999"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("box", "http://box:11434"),
        ("box:1", "http://box:1"),
        ("https://box", "https://box:443"),
        ("http://box/base/", "http://box:80/base"),
        ("[::]:7", "http://[::1]:7"),
    ],
)
def test_ollama_host_is_read_as_its_own_client_reads_it(host: str, url: str) -> None:
    """Scheme, port and path are optional; a wildcard address means this machine."""
    assert ollama_url(host) == url


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """A named file that is missing or broken is an error with its name."""
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read"):
        load(str(tmp_path / "none.toml"), environ={})
    (tmp_path / "bad.toml").write_text("a = [")
    with pytest.raises(ConfigurationError, match=r"bad\.toml: is not valid TOML"):
        load(str(tmp_path / "bad.toml"), environ={})


@pytest.mark.fault("a file of the operator's comes from Windows", "I5")
def test_files_from_windows_are_read(tmp_path: Path) -> None:
    """With a byte-order mark; UTF-16, which PowerShell writes, is refused in words."""
    file = tmp_path / "v.toml"
    file.write_text('[endpoints.gpu]\nurl = "http://gpu:8000"\n', "utf-8-sig")
    assert load(str(file), environ={}).endpoints["gpu"].group == "gpu"
    file.write_text("[endpoints]\n", "utf-16")
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        load(str(file), environ={})
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        Secret(file=str(file)).read("endpoints.gpu.api_key")
    file.write_text("k1\n", "utf-8-sig")
    assert Secret(file=str(file)).read("x") == "k1"


def test_the_state_directory_is_the_same_from_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative XDG_DATA_HOME counts for nothing."""
    monkeypatch.setenv("HOME", "/home/ann")
    usual = Path("/home/ann/.local/share/vedette")
    assert (
        state_directory(None, environ={"XDG_DATA_HOME": "data"}) == usual == state_directory(None, environ={})
    )
    assert state_directory(None, environ={"XDG_DATA_HOME": "/data"}) == Path("/data/vedette")


def test_a_connection_that_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    """Without a number of the system's."""
    (tmp_path / "connection.json").mkdir()
    with pytest.raises(NotRunning, match=r"connection\.json cannot be read: Is a directory"):
        find(tmp_path)


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    """VEDETTE_CONFIG is used when no file is named."""
    (tmp_path / "v.toml").write_text(
        '[endpoints.gpu]\nprovider = "openai-compatible"\nurl = "http://gpu:8000"\n'
    )
    settings = load(environ={"VEDETTE_CONFIG": str(tmp_path / "v.toml")})
    assert settings.endpoints["gpu"].group == "gpu"


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("sk-abc", "Bearer sk-abc"),
        ("Bearer sk-abc", "Bearer sk-abc"),  # pasted with the header
        ("bearer  sk-abc", "Bearer sk-abc"),
        ("bearer", "Bearer bearer"),
    ],
)
def test_a_key_is_sent_as_it_is_meant(key: str, sent: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(key)
    assert access("a", EndpointSettings(url="http://h", api_key=Secret(file=str(file)))).headers == {
        "Authorization": sent
    }


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("sk-canary…", "place 10 of 10 is not ASCII"),  # copied from a page that shortens it
        ("“sk-canary”", "place 1 of 11 is not ASCII"),  # pasted into a word processor
        ("sk-canary\u200b", "place 10 of 10 is not ASCII"),
        ("sk-can\nary", "place 7 of 10 is a control character"),
        ("sk-can\0ary", "place 7 of 10 is a control character"),
    ],
)
@pytest.mark.fault("a key or a header holds what no header can carry")
def test_what_no_header_can_carry_is_refused_without_being_shown(
    value: str, place: str, tmp_path: Path
) -> None:
    """Not by a traceback, nor by a server's refusal of what is not the key."""
    file = tmp_path / "key"
    file.write_text(value)
    for endpoint in (
        EndpointSettings(url="http://h", api_key=Secret(file=str(file))),
        EndpointSettings(url="http://h", headers={"X-Key": value}),
    ):
        with pytest.raises(ConfigurationError, match=place) as caught:
            access("a", endpoint)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "value", "problem"),
    [
        ("X T", "a", "place 2 of 3 is a space, which no name of an HTTP header can have; write letters"),
        ("X-Té", "a", "place 4 of 4 is not ASCII"),
        ("X-T:", "a", "place 4 of 4 is a :"),
        ("X-T\n", "a", "place 4 of 4 is a control character"),
        ("", "a", "a header has no name; write one"),
        ("Content-Length", "3", "Vedette sets this header itself"),
        ("transfer-encoding", "chunked", "Vedette sets this header itself"),
        ("X-Team", " canary", "begins or ends with a space, which no HTTP header can carry; remove it"),
        ("X-Team", "canary\t", "begins or ends with a space"),
    ],
)
@pytest.mark.fault("a key or a header holds what no header can carry")
def test_a_header_that_no_request_can_carry_is_refused_with_a_remedy(
    header: str, value: str, problem: str
) -> None:
    """Not at each contact, as a server that cannot be reached."""
    with pytest.raises(ConfigurationError, match=problem) as caught:
        access("a", EndpointSettings(url="http://h", headers={header: value}))
    assert str(caught.value.where) == f"endpoints.a.headers.{header}"
    assert "canary" not in str(caught.value)


def test_what_ends_a_line_is_no_part_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is read from a file or from the environment."""
    monkeypatch.setenv("A_KEY", " sk-abc \n")
    key = Secret(env="A_KEY")
    endpoint = EndpointSettings(url="http://h", api_key=key, headers={"X-Key": key})
    assert access("a", endpoint).headers == {"Authorization": "Bearer sk-abc", "X-Key": "sk-abc"}
    monkeypatch.setenv("A_KEY", " ")
    with pytest.raises(ConfigurationError, match="the environment variable A_KEY is not set"):
        key.read("x")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("olama", '"ollama"'),
        ("OpenAI", '"openai"'),
        ("vllm", '"openai-compatible"'),
        ("LM Studio", '"openai-compatible"'),
        ("llama.cpp", '"openai-compatible"'),
        ("openai_compatible", '"openai-compatible"'),
        ("azure-openai", '"openai-compatible"'),
    ],
)
def test_a_provider_that_is_none_gets_the_one_that_is_meant(name: str, hint: str) -> None:
    """Engines with OpenAI's protocol are no providers of their own."""
    with pytest.raises(ConfigurationError, match=f"; (?:did you mean )?{hint}"):
        providers.load(name)


def test_a_file_that_is_nested_too_deeply_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text("a = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        load(str(file))


def test_secrets_are_read_from_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a variable or a file; a missing one is named, with where it was asked for."""
    monkeypatch.setenv("A_KEY", "k1")
    (tmp_path / "key").write_text("k2\n")
    assert Secret(env="A_KEY").read("x") == "k1"
    assert Secret(file=str(tmp_path / "key")).read("x") == "k2"
    with pytest.raises(
        ConfigurationError, match=r"endpoints\.a\.api_key: the environment variable NO_KEY is not set"
    ):
        Secret(env="NO_KEY").read("endpoints.a.api_key")


def test_who_connects_and_to_which_database_may_be_secrets(tmp_path: Path) -> None:
    """A mounted secret holds user, password and URL; the configuration holds where they are."""
    for name in ("user", "password", "url"):
        (tmp_path / name).write_text(f"the-{name}\n")
    held = {name: {"file": str(tmp_path / name)} for name in ("user", "password", "url")}
    settings = parse(
        {
            "nats": {"user": held["user"], "password": held["password"]},
            "database": {"url": held["url"]},
        },
        where="f",
        environ={},
    )
    assert settings.nats.login == ("the-user", "the-password")
    assert settings.database.address == "the-url"
    assert parse({}, where="f", environ={}).nats.login is None


def test_a_fingerprint_follows_the_configuration_and_holds_no_secret() -> None:
    """The same configuration gives the same one, another key reference another."""
    one = parse({"endpoints": {"a": {"url": "http://h", "api_key": {"env": "A"}}}}, where="f", environ={})
    two = parse({"endpoints": {"a": {"url": "http://h", "api_key": {"env": "B"}}}}, where="f", environ={})
    assert one.endpoints["a"].fingerprint == one.endpoints["a"].fingerprint != two.endpoints["a"].fingerprint


@pytest.mark.parametrize("text", ["", "h", "-1s", "0s", "1y", "1 2", "0.0001ms", "99999999d", float("nan")])
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    """Durations have an amount, a unit, are positive, and no longer than dates reach."""
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


def test_nats_servers_of_a_cluster_are_a_list() -> None:
    """In the file a list, in the settings one text; passwords are shown of none of them."""
    chosen = parse({"nats": {"url": ["nats://a:secret@one:4222", "nats://b:hidden@two:4222"]}}, where="x")
    named, _ = servers(chosen.nats.url or "")
    assert named == ["nats://a:secret@one:4222", "nats://b:hidden@two:4222"]
    assert without_secrets(chosen.nats.url or "") == "nats://one:4222,nats://two:4222"
    assert without_secrets("postgresql://u:p,w@db/x") == "postgresql://db/x"
