"""The console in a real browser: what is shown is what the queries reply, it moves by itself, and all can use it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from console.test_hostile import PAGES, strange
from consoles import OPERATOR, Rig, fleet
from eventually import eventually
from require import missing
from samples import lifecycle_event, probe_event
from vedette.messages.events import Progress
from vedette.messages.queries import BestReply, EndpointsReply, ModelsReply, TopReply
from vedette.testing import EPOCH
from vedette.types import ModelRef
from vedette.usecases import known

T = TypeVar("T")
BROWSER = shutil.which("chromium")
SCREENS = {
    "now": "/",
    "why": "/why/chat",
    "models": "/models",
    "model": "/models/gpu/qwen3:8b",
    "compare": "/compare?model=gpu/qwen3:8b&model=attic/phi4:14b-v4",
    "endpoints": "/endpoints",
    "changes": "/changes",
    "login": "/login",
}
# For an operator alone.
FORMS = {"change": "/define?endpoint=gpu", "add": "/define", "judge": "/judge/chat"}
# What is said instead of a screen, and its status.
ERRORS = {
    "no page": ("/nothing", 404),
    "no use case": ("/why/nothing", 404),
    "no model": ("/models/gpu/none", 404),
}
# How the screens of a fleet are looked at: together, each width in both themes but for the middle ones.
LOOKS = {
    3: (("light", 768), ("dark", 360), ("light", 3840)),
    300: (("dark", 1366), ("light", 360), ("dark", 1920)),
    10_000: (("light", 1920), ("dark", 360), ("dark", 3840)),
}


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[tuple[Any, list[str]]]:
    """Open a page of a browser at *url*; give it, and what its console complains of."""
    if BROWSER is None or find_spec("playwright") is None:
        missing("browser", "Debian's package chromium and the group browser have what is needed")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = await (await browser.new_context(base_url=url, **options)).new_page()
        page.set_default_timeout(120_000)  # of a machine that is busy with other tests
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page, complaints
        await browser.close()


def expected(locator: Any) -> Any:
    """Return what waits until *locator* is as it should be."""
    from playwright.async_api import expect

    expect.set_options(timeout=60_000)
    return expect(locator)


async def live(page: Any) -> None:
    """Wait until *page* hears of changes."""
    await expected(page.locator("#live")).to_have_text("live")


async def barriers(page: Any) -> list[tuple[str, str]]:
    """Return what keeps people from using *page*, by axe: the impact and the rule."""
    import axe_playwright_python

    source = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
    session = await page.context.new_cdp_session(page)
    await session.send("Runtime.evaluate", {"expression": source})  # the page's policy lets no script in
    found = await page.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id]))")
    return [(impact, rule) for impact, rule in found if impact in ("serious", "critical")]


def measuring(model: ModelRef) -> Progress:
    """Return how far a benchmark of *model* is that began a minute ago."""
    return Progress(
        job_id="b",
        at=EPOCH,
        state="step",
        step=3,
        steps=6,
        message=f"{model}: warm run",
        model=model,
        kind="benchmark",
        endpoint=model.endpoint,
        started_at=EPOCH - timedelta(minutes=1),
    )


@pytest.mark.parametrize("models", LOOKS)
async def test_every_screen_is_whole(models: int) -> None:
    """On fleets of all sizes: what the queries reply, no complaint, nothing wider than the screen, no barrier."""
    rig = Rig(fleet(models))
    for use_case in known({}):
        rig.announce(use_case)
    yesterday = f"{EPOCH - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    past = {"past": f"/?at={yesterday}"} if models < 10_000 else {}  # this recorder has all of it in memory
    async with rig.served() as url:
        for scheme, width in LOOKS[models]:
            size = {"width": width, "height": 800}
            async with opened(url, color_scheme=scheme, viewport=size) as (page, complaints):
                for name, (path, status) in ERRORS.items() if models == min(LOOKS) else ():
                    await page.goto(path)
                    assert [str(status) in one for one in complaints] == [True], name  # of the page itself
                    complaints.clear()
                    await whole(page, width, name)
                for name, path in (
                    SCREENS | past | {"left": "/", "operator": f"/login#{OPERATOR}"} | FORMS
                ).items():
                    await page.goto(path)
                    if name == "operator":
                        await page.wait_for_url(f"{url}/")
                    if name != "past":
                        await live(page)
                    await whole(page, width, name)
                    assert complaints == [], name
                if (scheme, width) == LOOKS[models][0]:
                    await shows_what_is_asked(rig, page)


async def whole(page: Any, width: int, name: str) -> None:
    """Check that nothing of *page* is wider than the screen, and that nothing keeps people out, with all opened."""
    await page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert await barriers(page) == [], (name, width)


async def shows_what_is_asked(rig: Rig, page: Any) -> None:
    """Check winners, a ranking, models and endpoints against the queries, also after a reload."""

    def asked(subject: str, kind: type[T], **request: Any) -> T:
        return msgspec.json.decode(rig.recommender.ask(subject, request), type=kind)

    winners = [asked("recommend.best", BestReply, use_case=name).recommendation for name in known({})]
    ranked = asked("recommend.top", TopReply, use_case="chat", limit=10).recommendations
    listed = asked("models.list", ModelsReply, limit=50)
    endpoints = asked("endpoints.list", EndpointsReply).endpoints
    shown = {
        "/": (".card .winner", [str(one.model) for one in winners if one]),
        "/why/chat": (".ranking tbody th a.model", [str(one.model) for one in ranked]),
        "/models": (".models tbody a.model", [str(one.model) for one in listed.models]),
        "/endpoints": (".card h2", [one.endpoint for one in endpoints]),
    }
    for path, (where, texts) in shown.items():
        await page.goto(path)
        assert await page.locator(where).all_inner_texts() == texts, path
        await page.reload()
        assert await page.locator(where).all_inner_texts() == texts, path


async def test_text_of_strangers_breaks_no_screen() -> None:
    """Markup runs nowhere, and words of 2 kB, the most that messages take, make nothing wider than a small screen."""
    size, dialogs = {"width": 360, "height": 800}, list[str]()
    rig = strange()
    async with rig.served() as url, opened(url, viewport=size) as (page, complaints):
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        await page.goto(f"/login#{OPERATOR}")
        await page.wait_for_url(f"{url}/")
        for path in PAGES:
            await page.goto(path)
            await live(page)
            await whole(page, 360, path)
        assert (complaints, dialogs) == ([], [])


async def test_now_moves_without_a_reload() -> None:
    """Another winner is shown, as the query replies."""
    rig = Rig(fleet(300))
    async with rig.served() as url, opened(url) as (page, complaints):
        await page.goto("/")
        await live(page)
        before = await page.locator(".card .winner").first.inner_text()
        rig.hear(lifecycle_event("lost", ModelRef.parse(before), at=EPOCH, revision=2))
        rig.announce("chat")
        reply = msgspec.json.decode(
            rig.recommender.ask("recommend.best", {"use_case": "chat"}), type=BestReply
        )
        assert reply.recommendation
        now = str(reply.recommendation.model)
        assert now != before
        await expected(page.locator(".card .winner").first).to_have_text(now)
        await expected(page.locator(".working")).to_contain_text("Nothing is being measured")
        rig.changes.progress(measuring(reply.recommendation.model), rig.clock.now())
        await expected(page.locator(".working")).to_contain_text(f"benchmark {now}")
        assert complaints == []


async def test_a_page_keeps_what_a_reader_did() -> None:
    """While it changes by itself: what is open, what has the focus, how far it is scrolled; and what it showed last."""
    rig = Rig(fleet(30))
    size = {"width": 390, "height": 800}
    async with rig.served() as url, opened(url, viewport=size) as (page, _):
        await page.goto("/models?bars=1")
        await live(page)
        link = page.locator("tbody a.model").nth(3)
        name = await link.inner_text()
        await link.focus()
        table = page.locator(".scroll[aria-label=Models]")
        await table.evaluate("one => one.scrollLeft = 150")
        rig.asking.away = True
        rig.hear(probe_event(ModelRef("gpu", "qwen3:8b"), at=EPOCH, job_id="1"))
        await expected(page.locator("#live")).to_have_text("no reply")
        await expected(link).to_have_text(name)
        await table.evaluate("one => one.dataset.old = ''")
        rig.asking.away = False
        await expected(page.locator("[data-old]")).to_have_count(0)
        await expected(page.locator("#live")).to_have_text("live")
        assert await table.evaluate("one => one.scrollLeft") == 150
        assert await page.evaluate("document.activeElement.textContent") == name


async def test_the_address_keeps_what_was_chosen() -> None:
    """Filters and sliders are in the address: back, forward and reload show the same again."""
    rig = Rig(fleet(300))
    async with rig.served() as url, opened(url) as (page, _):
        await page.goto("/models")
        await page.select_option("select[name=sort]", "output_tps")
        await page.wait_for_url("**sort=output_tps**")
        asked = {"sort": "output_tps", "limit": 1}
        first = (
            msgspec.json.decode(rig.recommender.ask("models.list", asked), type=ModelsReply).models[0].model
        )
        await expected(page.locator("tbody .model").first).to_have_text(str(first))
        await page.reload()
        assert await page.locator("tbody .model").first.inner_text() == str(first)
        assert await page.input_value("select[name=sort]") == "output_tps"
        await page.locator("tbody .model").first.click()
        await page.wait_for_url(f"**/models/{first.endpoint}/**")
        await page.go_back()
        await page.wait_for_url("**sort=output_tps**")
        assert await page.locator("tbody .model").first.inner_text() == str(first)


async def test_weights_rank_again_at_once() -> None:
    """A slider that is moved asks the same query with other weights, and a constraint leaves them as they are."""
    rig = Rig(fleet(300))
    async with rig.served() as url, opened(url) as (page, complaints):
        await page.goto("/why/chat")
        await page.fill("input[name=min_context_tokens]", "1024")
        await page.press("input[name=min_context_tokens]", "Enter")
        await page.wait_for_url("**/why/chat?**min_context_tokens=1024**")
        assert "weights" not in page.url  # those that were not moved stay those of the use case
        slider = page.locator("input[name='weights.speed']")
        await slider.focus()
        await slider.press("End")
        await page.wait_for_url("**weights.speed=100**")
        reply = await page.evaluate("fetch('/api/v1/explain/chat' + location.search).then(r => r.json())")
        best = "{endpoint}/{name}".format(**reply["recommendations"][0]["model"])
        await expected(page.locator(".ranking .model").first).to_have_text(best)
        assert complaints == []


async def test_a_keyboard_is_enough() -> None:
    """From the winner to its reasons, and to another ranking."""
    rig = Rig(fleet(30))
    async with rig.served() as url, opened(url) as (page, complaints):
        await page.goto("/")
        await live(page)
        await tab_to(page, "a[aria-label^='Why ']")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/why/**")
        await tab_to(page, "input[name='weights.speed']")
        await page.keyboard.press("End")
        await page.wait_for_url("**weights.speed=100**")
        await tab_to(page, ".ranking a.model")
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/models/**")
        assert complaints == []


async def tab_to(page: Any, wanted: str) -> None:
    """Press the tabulator until an element that matches *wanted* has the focus."""
    for _ in range(200):
        await page.keyboard.press("Tab")
        if await page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            return
    raise AssertionError(f"no tabulator leads to {wanted}")


async def test_models_are_put_side_by_side() -> None:
    """Typed or from the table, taken out again, and kept in the address when something else is chosen."""
    rig = Rig(fleet(30))
    async with rig.served() as url, opened(url) as (page, complaints):
        await page.goto("/compare")
        await page.fill("#add", "gpu/qwen3:8b")
        await page.press("#add", "Enter")
        chosen = page.locator(".chosen li")
        await expected(chosen).to_have_count(1)
        await page.locator("tbody a", has_text="Add").first.click()
        await expected(chosen).to_have_count(2)
        await page.select_option("#axis", "price")
        await page.wait_for_url("**axis=price**")
        await expected(chosen).to_have_count(2)
        await chosen.locator("a").first.click()
        await expected(chosen).to_have_count(1)
        await page.go_back()
        await expected(chosen).to_have_count(2)
        assert complaints == []


async def test_the_past_is_chosen_and_left() -> None:
    """From any page, to the same page of that time; it stands still, and leads back."""
    rig = Rig(fleet(30))
    async with rig.served() as url, opened(url) as (page, complaints):
        await page.goto("/models?sort=output_tps")
        await page.click(".when summary")
        await page.fill(".when input[name=at]", "2025-12-31T12:00")
        await page.click(".when button")
        await expected(page.locator(".past")).to_contain_text("As of 2025-12-31 12:00:00 UTC")
        assert await page.input_value("select[name=sort]") == "output_tps"
        await page.click("nav a:has-text('Changes')")
        await expected(page.locator(".past")).to_be_visible()
        await expected(page.locator("#live")).to_have_text("past")
        await page.click("text=Back to now")
        await live(page)
        assert await page.locator(".past").count() == 0
        assert complaints == []


async def test_an_operator_starts_a_job_and_sees_it_go_on() -> None:
    rig = Rig(fleet(6))
    async with rig.served() as url, opened(url) as (page, complaints):
        await page.goto(f"/login#{OPERATOR}")
        await page.wait_for_url(f"{url}/")
        await page.goto("/endpoints")
        await live(page)
        await page.locator("#gpu button[value=probe]").click()
        (job,) = await eventually(lambda: _jobs(rig), what="the job is queued")
        rig.changes.progress(
            Progress(
                job_id=job.id,
                at=EPOCH,
                state="step",
                step=3,
                steps=7,
                message="gpu: gpu/qwen3:8b",
                kind="probe",
                endpoint="gpu",
            ),
            EPOCH,
        )
        await expected(page.locator("#jobs")).to_contain_text("3 of 7")
        assert complaints == []


async def _jobs(rig: Rig) -> list[Any]:
    return rig.jobs


async def test_an_open_page_comes_back_with_the_console() -> None:
    """After a restart it goes on by itself, and shows what changed meanwhile."""
    rig = Rig(fleet(30))
    async with AsyncExitStack() as browser:
        async with rig.served() as url:
            page, _ = await browser.enter_async_context(opened(url))
            await page.goto("/changes")
            await live(page)
        await expected(page.locator("#live")).to_have_text("offline")
        rig.announce("vision", "while the page was away")
        async with rig.served(int(url.rpartition(":")[2])):
            await expected(page.locator("#changed")).to_contain_text("while the page was away")
            await live(page)
