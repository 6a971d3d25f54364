"""Which endpoints are in force: the file's, those that appeared, and what operators changed, by the stated order."""

import tomllib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.client import definitions as change
from vedette.client.definitions import Author
from vedette.endpoints.merging import MAX_APPEARED, OF_SOURCES, Definitions, merged, written
from vedette.errors import ConfigurationError, RequestError
from vedette.messages.events import EndpointAppeared, EndpointDefined
from vedette.providers.addresses import leads_elsewhere
from vedette.runtime.reloading import changes
from vedette.settings import EndpointSettings, Secret, Settings, endpoint_of, parse
from vedette.types import Pause

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
ANNA = Author(by="anna", via="command line", reason="maintenance")
FILE = """
[endpoints.gpu]
provider = "openai-compatible"
url = "http://gpu:8000"
api_key = { env = "GPU_KEY" }
timeout_s = 20

[discovery.keys]
vllm = { env = "VLLM_KEY" }
"""


def file(text: str = FILE) -> Settings:
    """Return the settings that *text* gives."""
    return parse(tomllib.loads(text), where="test", environ={})


def defined(name: str, how: change.Change, held: EndpointDefined | None = None) -> EndpointDefined:
    """Return the definition that the change *how* makes of *held*."""
    fields = how(held)
    return EndpointDefined(id=f"{name}-{fields['action']}", at=NOW, endpoint=name, by="anna", **fields)


def came(name: str, url: str, *, source: str = "kubernetes", **fields: Any) -> EndpointAppeared:
    """Return that *name* appeared at *url*."""
    settings = {"provider": "openai-compatible", "url": url} | fields.pop("settings", {})
    return EndpointAppeared(
        id=f"{source}-{name}", at=NOW, source=source, endpoint=name, settings=settings, **fields
    )


def merge(*events: EndpointDefined | EndpointAppeared, over: str = FILE, now: datetime = NOW) -> Settings:
    """Return *over* with the definitions in *events* laid over it."""
    definitions = Definitions()
    for sequence, event in enumerate(events, 1):
        definitions.apply(event, sequence)
    return merged(file(over), definitions, now)


def left_out(settings: Settings) -> dict[tuple[str, str], str]:
    """Return why definitions are not in force, by name and source."""
    return {(one.endpoint, one.source): one.why for one in settings.defined.left_out}


def test_without_definitions_the_file_is_in_force() -> None:
    assert merge().endpoints == file().endpoints
    assert merge().defined.origins == {}


def test_what_an_operator_adds_is_in_force_and_says_who() -> None:
    settings = merge(defined("box", change.add({"url": "http://box:11434"})))
    assert settings.endpoints["box"] == EndpointSettings(url="http://box:11434")
    assert settings.defined.origins["box"].source == "operator"
    assert settings.defined.origins["box"].by == "anna"


def test_an_edit_changes_its_keys_and_keeps_those_of_the_file() -> None:
    settings = merge(defined("gpu", change.edit({"timeout_s": 60})))
    assert settings.endpoints["gpu"].timeout_s == 60
    assert settings.endpoints["gpu"].api_key == Secret(env="GPU_KEY")
    assert settings.defined.origins["gpu"].changed == ("timeout_s",)


def test_what_is_added_under_a_name_of_the_file_gets_nothing_of_the_file() -> None:
    """A key must not go to the URL that somebody adds."""
    settings = merge(defined("gpu", change.add({"url": "http://elsewhere:11434"})))
    assert settings.endpoints["gpu"].api_key is None
    assert left_out(settings) == {("gpu", "file"): "the name is taken, by an operator"}


def test_a_removal_hides_the_name_wherever_it_is_from() -> None:
    settings = merge(came("gpu", "http://other:1"), defined("gpu", change.remove))
    assert "gpu" not in settings.endpoints
    assert set(left_out(settings)) == {("gpu", "file"), ("gpu", "kubernetes")}


def test_what_is_restored_is_as_if_nothing_had_been_defined() -> None:
    removed = defined("gpu", change.remove)
    settings = merge(removed, defined("gpu", change.restore, removed))
    assert settings.endpoints == file().endpoints
    assert settings.defined.origins == {}


def test_a_pause_keeps_the_endpoint_and_ends_at_its_time() -> None:
    until = NOW + timedelta(hours=2)
    paused = defined("gpu", change.pause(author=ANNA, now=NOW, until=until))
    settings = merge(paused)
    assert settings.endpoints == file().endpoints
    assert settings.defined.origins["gpu"].closed == "paused by anna until 2026-11-30 05:00Z: maintenance"
    assert settings.defined.until(NOW) == until
    assert merge(paused, now=until).defined.origins == {}
    assert changes(settings, merge(paused, now=until)) == ["endpoint gpu resumed"]


def test_the_file_goes_before_what_appears_and_sources_count_by_name() -> None:
    settings = merge(
        came("gpu", "http://stranger:1"),
        came("box", "http://b:1", source="kubernetes"),
        came("box", "http://a:1", source="dns"),
    )
    assert settings.endpoints["gpu"].url == "http://gpu:8000"
    assert settings.endpoints["box"].url == "http://a:1"
    assert left_out(settings) == {
        ("gpu", "kubernetes"): "the name is taken, by the configuration file",
        ("box", "kubernetes"): "the name is taken, by dns",
    }


@pytest.mark.parametrize("url", ["http://gpu:8000", "http://GPU:8000/v1/"])
def test_what_appears_at_the_url_of_another_endpoint_is_left_out(url: str) -> None:
    settings = merge(came("ml-vllm", url))
    assert set(settings.endpoints) == {"gpu"}
    assert left_out(settings) == {("ml-vllm", "kubernetes"): "is gpu, by its URL"}


def test_one_that_is_asleep_gives_way_to_another_name_of_its_server_unless_it_is_paused() -> None:
    """As after a rename in its source: the former name is not found, and not gone yet."""
    before = came("a", "http://box:1", state="asleep", reason="not found; gone after 60 s")
    after = came("b", "http://box:1")
    settings = merge(before, after)
    assert (settings.endpoints.keys() - {"gpu"}, settings.defined.closed) == ({"b"}, {})
    assert left_out(settings) == {("a", "kubernetes"): "is b, by its URL"}
    paused = merge(before, after, defined("a", change.pause(author=ANNA, now=NOW, until=None)))
    assert paused.endpoints.keys() - {"gpu"} == {"a"}


def test_what_is_asleep_is_known_and_closed() -> None:
    settings = merge(came("box", "http://box:1", state="asleep", reason="scaled to zero"))
    assert "box" in settings.endpoints
    assert settings.defined.origins["box"].closed == "asleep: scaled to zero"
    awake = merge(came("box", "http://box:1"))
    assert changes(settings, awake) == ["endpoint box awake"]


def test_what_is_gone_is_gone() -> None:
    assert set(merge(came("box", "http://box:1"), came("box", "http://box:1", state="gone")).endpoints) == {
        "gpu"
    }


def test_a_source_may_name_a_key_of_the_configuration_and_no_other() -> None:
    settings = merge(came("a", "http://a:1", key="vllm"), came("b", "http://b:1", key="AWS_SECRET"))
    assert settings.endpoints["a"].api_key == Secret(env="VLLM_KEY")
    assert left_out(settings) == {("b", "kubernetes"): "the key 'AWS_SECRET' is not in [discovery.keys]"}


@pytest.mark.parametrize(
    "key",
    sorted(set(EndpointSettings.__struct_fields__) - OF_SOURCES - {"measure"}),
)
def test_a_source_sets_no_secret_and_nothing_that_costs(key: str) -> None:
    settings = merge(came("box", "http://box:1", settings={key: {"env": "HOME"}}))
    assert left_out(settings) == {("box", "kubernetes"): f"{key} may not be set by kubernetes"}


def test_a_source_may_forbid_measuring_and_not_allow_it() -> None:
    settings = merge(
        came("a", "http://a:1", settings={"measure": False}),
        came("b", "http://b:1", settings={"measure": True}),
    )
    assert settings.endpoints["a"].measure is False
    assert "b" not in settings.endpoints


def test_a_source_leads_to_no_unix_socket() -> None:
    settings = merge(came("box", "http+unix:///var/run/docker.sock"))
    assert left_out(settings) == {("box", "kubernetes"): "an endpoint that appears may not use a unix socket"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tiemout_s": 5}, 'did you mean "timeout_s"?'),
        ({"timeout_s": -1}, "Expected `float` > 0"),
        ({"api_key": "sk-123456"}, "secrets are not written here"),
        ({"headers": {"X-Api-Key": "sk-123456"}}, "holds a secret as it is"),
        ({"url": "ftp://gpu"}, "is not an http or https URL"),
    ],
)
def test_an_edit_that_cannot_be_used_leaves_what_is_beneath(settings: dict[str, Any], reason: str) -> None:
    """It is that endpoint's trouble alone, and is said."""
    merged_ = merge(
        defined("gpu", change.edit(settings)), defined("box", change.add({"url": "http://box:1"}))
    )
    assert merged_.endpoints["gpu"] == file().endpoints["gpu"]
    assert "box" in merged_.endpoints
    assert reason in left_out(merged_)[("gpu", "operator")]
    assert reason in merged_.defined.origins["gpu"].trouble


def test_an_edit_of_what_is_not_there_waits_for_it() -> None:
    edited = defined("box", change.edit({"timeout_s": 60}))
    assert left_out(merge(edited)) == {("box", "operator"): "changes an endpoint that is not there"}
    assert merge(edited, came("box", "http://box:1")).endpoints["box"].timeout_s == 60


def test_how_many_appear_is_bounded() -> None:
    events = [came(f"n{place:05}", f"http://n{place}:1") for place in range(MAX_APPEARED + 3)]
    settings = merge(*events)
    assert len(settings.endpoints) == MAX_APPEARED + 1
    assert len(settings.defined.left_out) == 3


def test_an_unset_key_is_the_file_s_again_and_one_never_set_is_refused() -> None:
    edited = defined("gpu", change.edit({"timeout_s": 60, "evaluate": False}))
    settings = merge(edited, defined("gpu", change.edit({}, ["timeout_s"]), edited))
    assert settings.endpoints["gpu"].timeout_s == 20
    assert settings.endpoints["gpu"].evaluate is False
    with pytest.raises(RequestError, match="url is not set at run time"):
        change.edit({}, ["url"])(edited)


def test_what_was_removed_is_restored_or_added_before_anything_else() -> None:
    removed = defined("gpu", change.remove)
    for how in (change.edit({"timeout_s": 1}), change.pause(author=ANNA, now=NOW, until=None)):
        with pytest.raises(RequestError, match="endpoint gpu was removed by anna; restore or add it first"):
            how(removed)
    with pytest.raises(RequestError, match="the endpoint is not paused"):
        change.resume(None)


NAMES = st.sampled_from(["gpu", "box", "ml"])
URLS = st.sampled_from(["http://gpu:8000", "http://box:1", "http://ml:1/v1"])
CHANGES = st.one_of(
    URLS.map(lambda url: change.add({"url": url})),
    st.sampled_from([{"timeout_s": 60}, {"url": "http://moved:1"}, {"wrong": 1}, {}]).map(change.edit),
    st.sampled_from([change.remove, change.restore, change.resume]),
    st.just(change.pause(author=ANNA, now=NOW, until=None)),
)
DEFINED = st.tuples(NAMES, CHANGES)
CAME = st.builds(
    came,
    NAMES,
    URLS,
    source=st.sampled_from(["dns", "kubernetes"]),
    state=st.sampled_from(["there", "asleep", "gone"]),
    key=st.sampled_from([None, "vllm", "other"]),
)
STEPS = st.lists(st.one_of(DEFINED, CAME), max_size=12)


def events(steps: list[Any]) -> list[EndpointDefined | EndpointAppeared]:
    """Return the messages of *steps*, each change made of the definition before it."""
    held: dict[str, EndpointDefined] = {}
    made: list[EndpointDefined | EndpointAppeared] = []
    for step in steps:
        if isinstance(step, EndpointAppeared):
            made.append(step)
            continue
        name, how = step
        with suppress(RequestError):  # of a removed endpoint, or one that is not paused
            held[name] = defined(name, how, held.get(name))
            made.append(held[name])
    return made


@given(STEPS)
def test_a_process_that_starts_late_has_the_same_endpoints(steps: list[Any]) -> None:
    """The last message of each subject is enough, and repeated or older ones change nothing."""
    made = events(steps)
    whole, late = Definitions(), Definitions()
    last = {event.subject: (sequence, event) for sequence, event in enumerate(made, 1)}
    for sequence, event in enumerate(made, 1):
        whole.apply(event, sequence)
    for sequence, event in sorted(last.values(), key=lambda one: one[0]):
        late.apply(event, sequence)
    for sequence, event in enumerate(made, 1):
        late.apply(event, sequence)
    ours, theirs = merged(file(), whole, NOW), merged(file(), late, NOW)
    assert ours == theirs
    assert list(ours.endpoints) == list(theirs.endpoints)


@given(STEPS)
def test_every_definition_is_in_force_or_left_out_with_a_reason(steps: list[Any]) -> None:
    definitions = Definitions()
    for sequence, event in enumerate(events(steps), 1):
        definitions.apply(event, sequence)
    settings = merged(file(), definitions, NOW)
    said = left_out(settings)
    assert all(said.values())
    for source, name in definitions.appeared:
        origin = settings.defined.origins.get(name)
        assert (origin is not None and origin.source == source) or (name, source) in said
    origin = settings.defined.origins.get("gpu")
    assert ("gpu", "file") in said or (origin.source if origin else "file") == "file"
    # No secret of the file goes to a URL that a source named.
    for name, endpoint in settings.endpoints.items():
        source = settings.defined.origins[name].source if name in settings.defined.origins else "file"
        if source in ("dns", "kubernetes"):
            assert endpoint.api_key in (None, Secret(env="VLLM_KEY"))


@given(STEPS)
def test_what_is_in_force_is_written_as_a_file_that_gives_the_same(steps: list[Any]) -> None:
    settings = merge(*events(steps))
    for endpoint in settings.endpoints.values():
        assert endpoint_of(written(endpoint), where="") == endpoint


def test_an_endpoint_with_everything_is_written_whole() -> None:
    whole = """
    [endpoints.all]
    provider = "openai-compatible"
    url = "http://all:1"
    basic = { user = "me", password = { file = "/run/secrets/all" } }
    headers = { "X-Team" = "agents", "X-Token" = { env = "TOKEN" } }
    models = ["a", "b"]
    timeout_s = 30
    measure = true
    budget = { requests_per_day = 10 }
    price = { input_usd_per_mtok = 0.2, output_usd_per_mtok = 0.6 }
    load = { prometheus = "http://prom:9090", queries = { running = "sum(x)" } }
    """
    endpoint = file(whole).endpoints["all"]
    assert endpoint_of(written(endpoint), where="") == endpoint


def test_settings_travel_to_a_service_in_a_process_of_its_own() -> None:
    settings = merge(
        defined("gpu", change.pause(author=ANNA, now=NOW, until=None)), defined("box", change.remove)
    )
    again = msgspec.json.decode(msgspec.json.encode(settings), type=Settings)
    assert again == settings
    assert again.defined.origins["gpu"].paused == Pause(since=NOW, by="anna", reason="maintenance")


def test_no_file_says_what_was_defined() -> None:
    with pytest.raises(ConfigurationError, match="defined: unknown key"):
        file("[defined]\norigins = {}")


def test_a_url_that_leads_elsewhere_leaves_the_credentials_behind() -> None:
    """A key goes to the host for which it was given; the same host by another path keeps it."""
    moved = merge(defined("gpu", change.edit({"url": "http://other:8000"}))).endpoints["gpu"]
    assert moved.api_key is None
    assert moved.timeout_s == 20
    beside = merge(defined("gpu", change.edit({"url": "http://gpu:9000"}))).endpoints["gpu"]
    assert beside.api_key is None
    kept = merge(defined("gpu", change.edit({"url": "http://GPU:8000/v1"}))).endpoints["gpu"]
    assert kept.api_key == Secret(env="GPU_KEY")
    assert leads_elsewhere("http://gpu", "https://gpu")
    assert not leads_elsewhere("https://gpu", "http://gpu")
    again = defined("gpu", change.edit({"url": "http://other:8000", "api_key": {"env": "OTHER"}}))
    assert merge(again).endpoints["gpu"].api_key == Secret(env="OTHER")


@pytest.mark.parametrize(
    ("edits", "left"),
    [
        ([{"url": "http://other:8000"}], ("api_key",)),
        ([{"url": "http://other:8000"}, {"timeout_s": 5}], ("api_key",)),
        ([{"url": "http://other:8000", "api_key": {"env": "OTHER"}}], ()),
        (
            [{"url": "http://other:8000", "api_key": {"env": "OTHER"}}, {"url": "http://third:1"}],
            ("api_key",),
        ),
        ([{"url": "http://other:8000", "api_key": {"env": "OTHER"}}, {"url": "http://other:8000/v1"}], ()),
        ([{"api_key": {"env": "OTHER"}}, {"url": "http://third:1"}], ("api_key",)),
        ([{"url": "http://other:8000"}, {"api_key": {"env": "OTHER"}}], ()),
        ([{"url": "http://other:8000"}, {"url": "http://gpu:8000"}], ()),
        ([{"api_key": {"env": "OTHER"}}, {"url": "http://third:1"}, {"url": "http://gpu:8000/v1"}], ()),
        ([{"url": "http://[other"}], None),
    ],
)
def test_what_a_url_leaves_behind_is_said(edits: list[dict[str, Any]], left: tuple[str, ...] | None) -> None:
    """Of the file and of earlier changes alike; until it is given again."""
    held: EndpointDefined | None = None
    for one in edits:
        held = defined("gpu", change.edit(one), held)
    assert held is not None
    settings = merge(held)
    if left is None:
        assert settings.defined.origins["gpu"].trouble
        return
    assert settings.defined.origins["gpu"].left_behind == left
    assert (settings.endpoints["gpu"].api_key is None) is bool(left)


def test_a_key_of_an_endpoint_that_was_added_does_not_follow_its_url() -> None:
    """There is nothing beneath it: the key was set at run time."""
    added = defined("new", change.add({"url": "http://new:1", "api_key": {"env": "NEW"}}))
    moved = merge(defined("new", change.edit({"url": "http://elsewhere:1"}), added))
    assert moved.endpoints["new"].api_key is None
    assert moved.defined.origins["new"].left_behind == ("api_key",)


def test_refused_objects_take_no_place_of_endpoints() -> None:
    """However many of them a tenant makes, and however early their names sort."""
    refused = (
        came(f"a-{n}", f"http://a-{n}", state="refused", reason="no port") for n in range(MAX_APPEARED)
    )
    assert "z" in merge(*refused, came("z", "http://z:8000")).endpoints


def test_a_directory_is_no_configuration_file() -> None:
    """What a file there names is a stranger's: a mistake in it is the trouble of that endpoint alone."""
    settings = merge(came("box", "http://box:8000", source="directory", origin="box.toml box"))
    assert settings.defined.origins["box"].source == "directory"
    wrong = merge(came("box", "http://user:hunter2@box:8000", source="directory"))
    (one,) = wrong.defined.left_out
    assert one.wrong
    assert "hunter2" not in str(one)
