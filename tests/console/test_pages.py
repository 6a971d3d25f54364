"""The pages show what the queries reply, whatever servers call their models."""

import html
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import httpx
import msgspec
import pytest

from consoles import ENDPOINTS, OPERATOR, Rig, fleet
from samples import lifecycle_event, model_info
from vedette.messages.events import ModelReported
from vedette.messages.queries import ExplainReply, ModelsReply
from vedette.testing import EPOCH
from vedette.types import Capability, Claim, Evidence, ModelRef, Reported
from vedette.usecases import MEANS, known
from vedette_console.scored import score_interval
from vedette_console.screens.context import View

SCREENS = (
    "/",
    "/why/chat",
    "/models",
    "/models?bars=1",
    "/models/gpu/qwen3:8b",
    "/compare",
    "/endpoints",
    "/define?endpoint=gpu",
    "/judge/chat",
    "/changes",
)


@pytest.fixture(scope="module")
def rig() -> Rig:
    """Return a console on a fleet of sixty models, whose winners were announced."""
    made = Rig(fleet(60))
    for use_case in known({}):
        made.announce(use_case)
    return made


async def page(rig: Rig, path: str, **headers: str) -> str:
    """Return the page at *path*."""
    async with rig.client(**headers) as browser:
        reply = await browser.get(path)
    assert reply.status_code == 200, reply.text
    return reply.text


def explained(rig: Rig, use_case: str, **asked: Any) -> ExplainReply:
    return msgspec.json.decode(
        rig.recommender.ask("recommend.explain", {"use_case": use_case, **asked}), type=ExplainReply
    )


@pytest.mark.parametrize("path", SCREENS)
async def test_a_page_is_whole_and_its_part_is_part_of_it(rig: Rig, path: str) -> None:
    """What htmx asks for again is what the page had: nothing jumps."""
    whole = await page(rig, path)
    part = await page(rig, path, **{"hx-request": "true"})
    assert whole.startswith("<!doctype html>")
    assert part.strip() in whole
    assert "<html" not in part
    # What the policy would stop.
    assert not re.search(r"\son\w+=|\sstyle=|<script(?![^>]* src=)|javascript:", whole)


async def test_now_shows_the_winner_of_each_use_case(rig: Rig) -> None:
    text = await page(rig, "/")
    for use_case in known({}):
        reply = explained(rig, use_case, limit=3)
        why = reply.summary[0].partition(" of 100: ")[2] or reply.summary[0]
        assert html.escape(why[1:], quote=True) in text
        if reply.recommendations:
            assert f">{reply.recommendations[0].model}</a>" in text
            assert MEANS[use_case] in text
            if interval := score_interval(reply.recommendations[0]):
                assert interval[0] < reply.recommendations[0].score < interval[1]
                assert "likely {:.0f} to {:.0f}".format(*interval) in text
    assert "likely" in text


async def test_now_is_of_the_last_event() -> None:
    """What twenty open pages share was never worked out before it."""
    rig = Rig(fleet(6))
    before = explained(rig, "chat").recommendations[0].model
    shown = f'aria-label="Why {before} for chat"'
    assert shown in await page(rig, "/")
    rig.hear(lifecycle_event("lost", before, at=EPOCH, revision=2))
    assert shown not in await page(rig, "/")


async def test_now_says_what_needs_attention(rig: Rig) -> None:
    """A dead endpoint with the remedy, models without leave, models never evaluated."""
    text = await page(rig, "/")
    assert "connection refused" in text
    assert "start the server" in text
    assert ">3 models behind openai are not measured<" in text
    assert "set measure = true or a budget" in text
    assert "unreachable: laptop/" not in text  # said of their endpoint already
    assert "were never evaluated" in text


async def test_why_shows_every_point(rig: Rig) -> None:
    text = await page(rig, "/why/reasoning")
    for one in explained(rig, "reasoning", limit=10).recommendations:
        assert f">{one.model}</a>" in text
        assert f"<b>{one.score:.1f}</b>" in text
        for part in one.contributions:
            assert f"<title>{part.signal}: {part.points:.1f} points</title>" in text
    assert "Points are utility" in text
    assert "call it at <code>http://gpu-box:8000/v1</code> as <code>" in text
    assert re.search(r"measured [\d,]+ times, last \d+ (min|h|d) ago", text)


async def test_why_ranks_by_what_the_address_says(rig: Rig) -> None:
    """Weights, constraints and bounds are parameters; the page keeps those that its form does not have."""
    asked = "weights.speed=100&weights.quality=0&locality=local&max_ttft_ms=500"
    asked += "&providers=openai-compatible&bounds.answer_s=9"
    text = await page(rig, f"/why/chat?{asked}")
    reply = explained(
        rig,
        "chat",
        weights={"speed": 100, "quality": 0},
        bounds={"answer_s": 9},
        constraints={"locality": "local", "max_ttft_ms": 500, "providers": ["openai-compatible"]},
    )
    assert html.escape(reply.summary[0]) in text
    assert '<input type="hidden" name="providers" value="openai-compatible">' in html.unescape(text)
    assert (
        "vedette recommend chat --max-ttft-ms 500 --locality local --provider openai-compatible"
        " --weight speed=100 --weight quality=0 --bound answer_s=9" in text
    )
    assert "max_ttft_ms=500.0" in text
    assert "/api/v1/explain/chat?" in text


async def test_the_command_and_the_call_that_why_shows_ask_the_same(rig: Rig) -> None:
    text = html.unescape(await page(rig, "/why/chat?capabilities=tools,reasoning&risk=conservative"))
    assert "vedette recommend chat --capability tools --capability reasoning --risk conservative" in text
    assert "vedette.best('chat', capabilities=['tools', 'reasoning'], risk='conservative')" in text


@pytest.mark.parametrize("at", ["2026-11-30 10:00", "2026-11-30T12:00 02:00", "2026-11-30T10:00Z"])
def test_a_time_in_an_address_is_read_with_a_blank(at: str) -> None:
    """Before the hour, or where a + was."""
    assert View(pairs=(("at", at),)).at == datetime(2026, 11, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/why/caht", 404, "did you mean &#34;chat&#34;?"),
        ("/why/chat?locality=moon", 400, "constraints.locality"),
        ("/why/chat?weights.quality=0&weights.speed=0", 400, "at least one must be positive"),
        ("/why/chat?at=yesterday", 400, "is no time"),
        ("/models/gpu/qwen3:9b", 404, "did you mean"),
        ("/models?sort=beauty", 400, "sort"),
        ("/compare?nothing=1", 400, "nothing"),
        ("/why/chat?at=0001-01-01T00:00", 400, "not in the history"),
        ("/why/chat?weights=1&weights.quality=1", 400, "weights is not a parameter"),
        ("/nothing", 404, "no page at /nothing"),
    ],
)
async def test_what_is_wrong_is_said_on_the_page(rig: Rig, path: str, status: int, said: str) -> None:
    async with rig.client() as browser:
        reply = await browser.get(path)
    assert reply.status_code == status
    assert 'role="alert"' in reply.text
    assert said in reply.text


async def test_models_are_paged_by_the_query(rig: Rig) -> None:
    """Fifty a page, in the order that was asked for; the next page goes on with the same filter."""
    asked = {"sort": "output_tps", "descending": True, "limit": 50}
    reply = msgspec.json.decode(rig.recommender.ask("models.list", asked), type=ModelsReply)
    text = await page(rig, "/models?sort=output_tps&descending=true")
    assert re.findall(r'<th scope="row"><a class="model" href="[^"]*">([^<]*)</a>', text) == [
        str(view.model) for view in reply.models
    ]
    assert f"50 of {reply.total}" in text
    assert 'href="/models?sort=output_tps&amp;descending=true&amp;page=2"' in text
    second = await page(rig, "/models?sort=output_tps&descending=true&page=2")
    assert len(re.findall('<th scope="row">', second)) == reply.total - 50


async def test_models_are_filtered_by_the_constraints_of_a_recommendation(rig: Rig) -> None:
    """Each in its field of the form; a heading sorts by its column, and keeps them."""
    need = {"min_output_tps": 20, "locality": "local", "providers": ["ollama"]}
    reply = msgspec.json.decode(rig.recommender.ask("models.list", {"constraints": need}), type=ModelsReply)
    text = html.unescape(await page(rig, "/models?min_output_tps=20&locality=local&providers=ollama"))
    assert 0 < reply.total < reply.considered
    assert f"of {reply.total} ({reply.considered} in all)" in text
    assert 'name="min_output_tps" value="20"' in text
    assert '<input type="hidden" name="providers" value="ollama">' in text
    kept = "providers=ollama&locality=local&min_output_tps=20"
    (sorts,) = re.findall('<a href="([^"]*)">tokens/s</a>', text)
    assert sorted(sorts.partition("?")[2].split("&")) == sorted(
        [*kept.split("&"), "sort=output_tps", "descending=true"]
    )


async def test_models_with_the_same_weights_are_one_row() -> None:
    """On whichever page the others would be."""
    rig = Rig(fleet(3))
    one, other = ModelRef("gpu", "qwen3:8b"), ModelRef("gpu", "a copy")
    for ref in (one, other):
        info = model_info(ref, provider="openai-compatible", url="http://gpu-box:8000", digest="d")
        rig.hear(lifecycle_event("found", ref, at=EPOCH, revision=2, info=info))
    assert "of 4" in await page(rig, "/models")
    text = await page(rig, "/models?group=1")
    assert "of 3 (4 in all)" in text
    assert (">gpu/a copy</a>" in text, ">gpu/qwen3:8b</a>" in text) == (True, False)
    assert "2 places" in text


@pytest.mark.parametrize("number", ["\u00b2", "9" * 5000, "-1", "0", "x"])
async def test_a_page_that_there_is_not_is_the_first(rig: Rig, number: str) -> None:
    assert "50 of" in await page(rig, f"/models?page={quote(number)}")


async def test_what_is_asked_elsewhere_is_of_the_same_time(rig: Rig) -> None:
    """The address, the command and the part that is asked for again keep what was chosen."""
    text = await page(rig, "/why/chat?weights.speed=90&weights.quality=10")
    assert 'hx-get="/why/chat?weights.speed=90&amp;weights.quality=10"' in text


async def test_bars_are_read_once_a_minute(rig: Rig) -> None:
    """Twenty people who look at the same page cost the recorder what one does."""
    await page(rig, "/models?bars=1")
    before = rig.asking.asked.count("history.availability")
    await page(rig, "/models?bars=1")
    assert rig.asking.asked.count("history.availability") == before
    rig.clock.advance(61)
    await page(rig, "/models?bars=1")
    assert rig.asking.asked.count("history.availability") == before + 50


async def test_a_model_is_shown_with_its_evidence(rig: Rig) -> None:
    text = await page(rig, "/models/gpu/qwen3:8b")
    for words in ("of 12", "What is 17 times 23?", "391 is right", "a call", "apache-2.0", "Best now for"):
        assert words.replace("of 12", '<td class="n">12</td>') in text
    assert "Log in" in text
    assert "<button name=" not in text
    assert "120 benchmarks in 30 days" in text  # the chart as a table
    assert "No caller reported a call yet." in text
    assert "cost nothing per token" in text
    hosted = await page(rig, "/models/openai/gpt-5")
    assert re.search(r"A call of 1,000 tokens in and 500 out costs 0\.\d+ USD", hosted)


async def test_a_model_shows_what_callers_report() -> None:
    """In figures: how many calls count, how many succeeded, how fast they were."""
    rig = Rig(fleet(3))
    ref = ModelRef("gpu", "qwen3:8b")
    state = rig.recommender.catalogue.get(ref)
    told = Reported(
        as_of=EPOCH,
        digest=state.info.digest if state and state.info else None,
        calls=8.0,
        succeeded=6.0,
        failures={"timeout": 2.0},
        ttft_n=2.0,
        ttft_log_sum=2 * math.log(250.0),
    )
    rig.recommender.hear(
        (99, ModelReported(id="r", at=EPOCH, since=EPOCH, model=ref, calls=8, reported=told))
    )
    text = await page(rig, "/models/gpu/qwen3:8b")
    assert "8.0 calls of callers count" in text
    assert "75 % succeeded. TTFT 250 ms." in text
    assert "Failures: timeout 2.0." in text


async def test_an_operator_has_buttons(rig: Rig) -> None:
    text = await page(rig, "/endpoints", authorization=f"Bearer {OPERATOR}")
    assert len(re.findall('<button name="kind"', text)) == 4 * len(ENDPOINTS)


async def test_compare_draws_each_candidate_once(rig: Rig) -> None:
    text = await page(rig, "/compare?use_case=chat&model=gpu/qwen3:8b&model=attic/gemma3:27b-v4")
    reply = explained(rig, "chat", limit=100)
    drawn = [
        one for one in reply.recommendations if any(p.signal == "speed" and p.raw for p in one.contributions)
    ]
    assert len(re.findall("<circle", text)) == len(drawn)
    assert f"{len(reply.recommendations) - len(drawn)} models have no known speed" in text
    assert len(re.findall('class="best"', text)) == 1
    assert '<th scope="col"><a class="model" href="/models/attic/gemma3:27b-v4">' in text


async def test_without_a_recommender_the_page_says_so() -> None:
    rig = Rig(fleet(3))
    rig.asking.away = True
    async with rig.client() as browser:
        reply = await browser.get("/")
    assert reply.status_code == 503
    assert "is a recommender running?" in reply.text
    assert "vedette doctor" in reply.text


async def test_a_bug_is_a_page_for_people_and_a_problem_for_programs() -> None:
    rig = Rig(fleet(3))
    rig.asking.recommender = None  # type: ignore[assignment]
    async with rig.served() as url, httpx.AsyncClient(base_url=url, timeout=60) as browser:
        shown = await browser.get("/models")
        problem = await browser.get("/api/v1/models")
    assert (shown.status_code, problem.status_code) == (500, 500)
    assert ('<a href="/endpoints">' in shown.text, "its log says why" in shown.text) == (True, True)
    assert problem.json()["code"] == "internal"


async def test_a_bug_in_all_pages_is_a_problem_for_people_too() -> None:
    """The page that would say so has it, too."""

    def fail() -> tuple[str, ...]:
        raise TypeError("unsupported operand")

    rig = Rig(fleet(3), use_cases=fail)
    async with rig.served() as url, httpx.AsyncClient(base_url=url, timeout=60) as browser:
        shown = await browser.get("/models")
    assert (shown.status_code, shown.json()["code"]) == (500, "internal")
    assert "its log says why" in shown.json()["detail"]


async def test_an_empty_fleet_says_what_to_do() -> None:
    text = await page(Rig([]), "/")
    assert "No models are known yet" in text


async def test_what_is_only_expected_looks_so() -> None:
    """In the first minutes a winner is one by published facts alone; the page says so until something is measured."""
    ref, rig = ModelRef("gpu", "qwen3:8b"), Rig([])
    chats = {Capability.CHAT: Claim(value=True, evidence=Evidence.DECLARED, source="/props")}
    info = model_info(ref, provider="openai-compatible", url="http://gpu-box:8000", capabilities=chats)
    rig.hear(lifecycle_event("found", ref, at=EPOCH, info=info))
    text = await page(rig, "/")
    assert "No model is measured yet." in text
    assert text.count("expected, not measured</span>") == text.count('class="winner"') > 0
    measured = await page(Rig(fleet(6)), "/")
    assert "No model is measured yet." not in measured
    assert measured.count("expected, not measured</span>") < measured.count('class="winner"')
    assert "confidence" in measured


# What test_hostile.py cannot put into one text: these do harm only as a whole one.
HOSTILE = ('"><img src=x onerror=alert(1)>', "javascript:alert(1)", "../../etc/passwd", "a?b#c%2e")


@pytest.mark.fault("names and answers that are markup", "I13")
@pytest.mark.parametrize("text", HOSTILE)
async def test_text_of_strangers_stays_text(text: str) -> None:
    """A name, a licence, a family, a source, a note: on every screen, escaped, and what is invisible is shown."""
    rig = Rig([])
    ref = ModelRef("gpu", text)
    info = model_info(
        ref,
        url=f"http://gpu-box:8000/{text}",
        provider="openai-compatible",
        kind="chat",
        license=text,
        family=text,
        quantization=text,
        parameters=10**9,
        capabilities={Capability.CHAT: Claim(value=True, evidence=Evidence.DECLARED, source=text)},
        sources={"license": text},
    )
    rig.hear(lifecycle_event("found", ref, at=EPOCH - timedelta(minutes=1), info=info))
    rig.announce("chat", text)
    name = f"gpu/{quote(text, safe='')}"
    for path in (
        "/",
        "/why/chat",
        "/models",
        f"/models/{name}",
        "/compare",
        "/changes",
        f"/compare?model={name}",
        f"/models?at={quote(EPOCH.isoformat())}",
        f"/models/{name}?at={quote(EPOCH.isoformat())}",
    ):
        shown = await page(rig, path)
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert "onmouseover='alert" not in shown
        assert not re.search(r'href="javascript:', shown)
        assert "7*7" in shown or "7*7" not in text
        assert not {"\u202e", "\u200b", "\x07"} & set(shown), path


DAY_BEFORE = (EPOCH - timedelta(days=1)).isoformat().replace("+00:00", "Z")
TIMED = (
    "/",
    "/why/chat",
    "/models",
    "/models?bars=1",
    "/models/gpu/qwen3:8b",
    "/compare?model=gpu/qwen3:8b",
    "/endpoints",
    "/changes",
)


@pytest.mark.parametrize("path", TIMED)
async def test_a_page_shows_the_past(rig: Rig, path: str) -> None:
    """It says of when it is, does not move, and leads to pages of the same time, and back."""
    at = f"at={quote(DAY_BEFORE)}"
    past = html.unescape(await page(rig, f"{path}{'&' if '?' in path else '?'}{at}"))
    assert f"As of {DAY_BEFORE[:10]} {DAY_BEFORE[11:19]} UTC" in past
    (back,) = re.findall('href="([^"]*)">Back to now', past)
    assert unquote(back) == path
    assert "data-live" not in past
    assert "data-past" in past
    links = set(re.findall(r'href="(/(?:why/|models|compare|changes)[^"]*)"', past)) - {back}
    assert [link for link in links if at not in link] == []
    if not path.startswith("/models?"):  # its bars are asked for by an address of their own
        assert past.count(at) > 3


async def test_the_past_is_what_was_known_then() -> None:
    """A model that came since is not in it, and a model that went is."""
    rig = Rig(fleet(12))
    gone, came = ModelRef("gpu", "qwen3:8b"), ModelRef("gpu", "new:1b")
    info = model_info(came, provider="openai-compatible", url="http://gpu-box:8000", kind="chat")
    rig.clock.advance(3600)
    rig.hear(
        lifecycle_event("lost", gone, at=EPOCH + timedelta(minutes=10), revision=2),
        lifecycle_event("found", came, at=EPOCH + timedelta(minutes=20), info=info),
    )
    then, since = (quote((EPOCH + timedelta(minutes=n)).isoformat()) for n in (5, 25))
    now = await page(rig, "/models")
    past = await page(rig, f"/models?at={then}")
    assert (str(gone) in now, str(came) in now) == (False, True)
    assert (str(gone) in past, str(came) in past) == (True, False)
    async with rig.client() as browser:
        assert (await browser.get(f"/models/{gone}")).status_code == 404
        assert (await browser.get(f"/models/{gone}?at={then}")).status_code == 200
        assert (await browser.get(f"/models/{came}?at={then}")).status_code == 404
        assert (await browser.get("/?at=2999-01-01T00:00Z")).status_code == 400
    changes = html.unescape(await page(rig, f"/changes?at={since}"))
    assert re.search(rf'k-found">found</span><span><a[^>]*>{came}</a>', changes)


NAMES = (
    ".",
    "..",
    "...",
    "a,b",
    "a/../b",
    "/a//",
    "50%",
    "%2e%2e",
    "a?b=c&d",
    "#x",
    "modèle-模型",
    "a b+c",
    "a\\b,c",
)


@pytest.mark.parametrize("name", NAMES)
async def test_every_name_has_a_page(name: str) -> None:
    """Links lead a browser to the model, whatever its name; so do the addresses of Compare and of the HTTP API."""
    rig = Rig([])
    ref = ModelRef("gpu", name)
    for one in (ref, ModelRef("gpu", "other")):
        info = model_info(
            one,
            url="http://gpu-box:8000",
            provider="openai-compatible",
            kind="chat",
            capabilities={
                Capability.CHAT: Claim(value=True, evidence=Evidence.DECLARED, source="/v1/models")
            },
        )
        rig.hear(lifecycle_event("found", one, at=EPOCH - timedelta(minutes=1), info=info))
    async with rig.client() as browser:
        listed = await browser.get("/models")
        (link,) = [
            html.unescape(href)
            for href, text in re.findall(r'<a class="model" href="([^"]*)">([^<]*)</a>', listed.text)
            if html.unescape(text) == str(ref)
        ]
        at = browser.base_url.join(link)  # as a browser: steps of a path are followed
        shown = await browser.get(at)
        assert f'<h1 class="model">{ref}</h1>' in html.unescape(shown.text)
        series = re.findall(r'data-chart="([^"]*)"', shown.text)
        assert (await browser.get(browser.base_url.join(html.unescape(series[0])))).status_code == 200
        api = await browser.get(browser.base_url.join(f"/api/v1{link}"))
        assert api.json()["models"][0]["model"] == {"endpoint": "gpu", "name": name}
        both = await browser.get("/compare", params={"model": [str(ref), "gpu/other"]})
        header = re.findall(r'<th scope="col"><a class="model" href="[^"]*">([^<]*)</a>', both.text)
        assert [html.unescape(one) for one in header] == [str(ref), "gpu/other"]
        removed = re.findall(r'<a href="([^"]*)" aria-label="Remove', both.text)
        left = await browser.get(html.unescape(removed[0]))
        assert set(re.findall(r'aria-label="Remove ([^"]*)"', left.text)) == {"gpu/other"}
        kept = re.findall(
            r'<input type="hidden" name="model" value="([^"]*)">', both.text.partition("<main")[2]
        )
        assert [html.unescape(one) for one in kept] == [str(ref), "gpu/other"]
        excluded = re.sub(r"([\\,])", r"\\\1", str(ref))  # a comma separates, unless it is escaped
        without = await browser.get("/api/v1/explain/chat", params={"exclude": excluded})
        assert [one["code"] for one in without.json()["rejections"]] == ["excluded"]
