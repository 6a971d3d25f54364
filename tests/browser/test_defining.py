"""Endpoints are changed by the forms of the console in a real browser: seen by others at once, and by no stranger."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from browser.test_console import expected, live, opened
from commands import up
from consoles import OPERATOR, Rig, fleet
from providers.fake_ollama import fake_ollama

HOSTILE = "\"><img src=x onerror=\"document.title='x'\"><script>document.title='x'</script>\u202e"


@asynccontextmanager
async def operating(url: str) -> AsyncIterator[tuple[Any, list[str]]]:
    """Open a page of an operator at *url*."""
    async with opened(url) as (page, complaints):
        await page.goto(f"/login#{OPERATOR}")
        await page.wait_for_url(f"{url}/")
        yield page, complaints


async def test_an_endpoint_is_added_edited_paused_and_removed_while_another_looks() -> None:
    """By what an operator sees and presses; the page of a viewer shows each change without a reload."""
    rig = Rig(fleet(6))
    async with (
        rig.served() as url,
        operating(url) as (page, complaints),
        opened(url) as (other, complaints_of_other),
    ):
        await other.goto("/endpoints")
        await live(other)
        card = other.locator("#new")

        await page.goto("/endpoints")
        await page.click("text=Add an endpoint")
        await page.fill("input[name=endpoint]", "new")
        await page.fill("input[name=url]", "http://new-box:8000")
        await page.select_option("select[name=key]", "vllm")
        await page.fill("textarea[name=settings]", "timeout_s = 20")
        await page.fill("input[name=by]", "anna")
        await page.fill("input[name=reason]", "a new box")
        await page.click("button[value=add]")
        await page.wait_for_url("**/endpoints")
        await expected(card).to_contain_text("http://new-box:8000")
        await expected(card).to_contain_text("an operator by anna")

        await page.locator("#new").get_by_text("Change", exact=True).click()
        form = page.locator("form", has=page.locator("button[value=pause]"))
        await form.locator("select[name=for]").select_option("2h")
        await form.locator("input[name=reason]").fill("new driver")
        await form.locator("button[value=pause]").click()
        await page.wait_for_url("**/endpoints")
        await expected(card).to_contain_text("paused")
        await expected(card).to_contain_text("new driver")

        await page.locator("#new").get_by_text("Change", exact=True).click()
        await page.click("button[value=resume]")
        await page.wait_for_url("**/endpoints")
        await expected(card).not_to_contain_text("paused")

        await page.locator("#new").get_by_text("Change", exact=True).click()
        await expected(page.locator("tbody tr")).to_have_count(3)
        await page.fill("input[name=url]", "http://other-box:8000")
        await page.click("button[value=edit]")
        await page.wait_for_url("**/endpoints")
        await expected(card).to_contain_text("http://other-box:8000")

        await page.locator("#new").get_by_text("Change", exact=True).click()
        await page.click("button[value=remove]")
        await page.wait_for_url("**/endpoints")
        await expected(card).to_have_count(0)
        assert [one.action for one in rig.definitions.events] == ["add", "pause", "resume", "edit", "remove"]
        assert complaints == complaints_of_other == []


async def test_a_key_that_a_changed_url_left_behind_is_said() -> None:
    """Before and after: on the form, on the page of the endpoint, and on *Endpoints*; until it is chosen again."""
    rig = Rig(fleet(6))
    async with rig.served() as url, operating(url) as (page, complaints):
        await page.goto("/define?endpoint=gpu")
        await expected(page.locator("main")).to_contain_text("leaves the key behind")
        await page.fill("input[name=url]", "http://other-box:8000")
        await page.click("button[value=edit]")
        await page.wait_for_url("**/endpoints")
        said = "Left behind, because the URL leads to another server: api_key."
        await expected(page.locator("#gpu")).to_contain_text(said)
        await page.goto("/define?endpoint=gpu")
        await expected(page.locator(".note.warn")).to_contain_text(said)
        await page.select_option("select[name=key]", "vllm")
        await page.click("button[value=edit]")
        await page.wait_for_url("**/endpoints")
        await expected(page.locator("#gpu")).to_contain_text("changed: api_key, url")
        await expected(page.locator("#gpu")).not_to_contain_text("Left behind")
        assert complaints == []


async def test_what_is_wrong_is_said_and_the_second_of_two_operators_changes_nothing() -> None:
    """The browser refuses a name that is none; the console refuses a setting, and what another changed meanwhile."""
    rig = Rig(fleet(6))
    async with rig.served() as url, operating(url) as (page, _):
        await page.goto("/define")
        await page.fill("input[name=endpoint]", "No Name")
        await page.fill("input[name=url]", "http://x:1")
        await page.click("button[value=add]")
        assert await page.locator("input[name=endpoint]:invalid").count() == 1
        await page.fill("input[name=endpoint]", "box")
        await page.fill("textarea[name=settings]", "tiemout_s = 1")
        await page.click("button[value=add]")
        await expected(page.locator("[role=alert]")).to_contain_text("did you mean")

        await page.goto("/define?endpoint=gpu")
        async with operating(url) as (faster, _):
            await faster.goto("/define?endpoint=gpu")
            await faster.click("button[value=remove]")
            await faster.wait_for_url("**/endpoints")
        await page.click("button[value=pause]")
        await expected(page.locator("[role=alert]")).to_contain_text("was changed meanwhile")
    assert [one.action for one in rig.definitions.events] == ["remove"]


async def test_no_viewer_and_no_other_site_changes_endpoints() -> None:
    """A viewer has no form; a form of another site is refused in the browser of an operator."""
    rig = Rig(fleet(6))
    async with rig.served() as url:
        async with opened(url) as (viewer, _):
            await viewer.goto("/define?endpoint=gpu")
            assert await viewer.locator("main form").count() == 0
            await expected(viewer.locator("main")).to_contain_text("log in")
        for site in ("http://evil.example", "http://127.0.0.1:1"):  # cookies know no ports
            async with operating(url) as (page, _):
                await page.route(
                    f"{site}/**", lambda route: route.fulfill(body=_form(url), content_type="text/html")
                )
                await page.goto(f"{site}/")
                async with page.expect_navigation() as moved:
                    await page.click("button")
                assert (await moved.value).status == 403, site
    assert rig.definitions.events == []


def _form(url: str) -> str:
    fields = "".join(
        f'<input name="{name}" value="{value}">'
        for name, value in (("endpoint", "gpu"), ("action", "remove"), ("sequence", "0"))
    )
    return f'<form method="post" action="{url}/define">{fields}<button>win</button></form>'


async def test_hostile_texts_are_texts() -> None:
    """In a reason, a name and an address: shown as they are, with what is invisible in them, and never run."""
    rig = Rig(fleet(6))
    async with rig.served() as url, operating(url) as (page, complaints):
        await page.goto("/define?endpoint=gpu")
        form = page.locator("form", has=page.locator("button[value=pause]"))
        await form.locator("input[name=by]").fill(HOSTILE)
        await form.locator("input[name=reason]").fill(HOSTILE)
        await form.locator("button[value=pause]").click()
        await page.wait_for_url("**/endpoints")
        await expected(page.locator("#gpu")).to_contain_text("onerror=")
        await page.goto("/define?endpoint=gpu")
        await live(page)
        await expected(page.locator("tbody tr")).to_contain_text("\\u202e")
        assert await page.locator("main img, main script").count() == 0
        assert await page.title() != "x"
        assert complaints == []
        await page.goto(f"/define?endpoint={quote(HOSTILE)}")
        await expected(page.locator("main")).to_contain_text("onerror=")
        assert await page.locator("main img, main script").count() == 0
        assert await page.title() != "x"


async def test_a_page_of_another_console_changes_with_a_running_vedette(tmp_path: Path) -> None:
    """With a NATS server, recommender and model server: changes by the form and by commands are shown alike."""
    async with AsyncExitStack() as stack:
        ollama = await stack.enter_async_context(fake_ollama(a="1"))
        config = "[console]\nenabled = true\n[endpoints.other]\nurl = 'http://127.0.0.1:9'\n"
        running = await stack.enter_async_context(up(tmp_path / "s", config))
        url = (await running.line("console")).split()[1]
        await running.line("ready")
        login = (await running.ask("console", "--json")).json()["login_url"]
        viewer, complaints = await stack.enter_async_context(opened(url))
        await viewer.goto("/endpoints")
        await live(viewer)
        page, _ = await stack.enter_async_context(opened(url))
        await page.goto(login)
        await page.wait_for_url(f"{url}/")
        await page.goto("/define")
        await page.fill("input[name=endpoint]", "box")
        await page.fill("input[name=url]", ollama.url)
        await page.select_option("select[name=provider]", "ollama")
        await page.fill(
            "textarea[name=settings]", "benchmark = false\nevaluate = false\nverify_capabilities = false"
        )
        await page.click("button[value=add]")
        await page.wait_for_url("**/endpoints")
        await expected(viewer.locator("#box .status")).to_have_text("reachable")
        assert (await running.ask("endpoints", "pause", "box", "--reason", "new driver")).code == 0
        await expected(viewer.locator("#box")).to_contain_text("new driver")
        assert (await running.ask("endpoints", "remove", "box")).code == 0
        await expected(viewer.locator("#box")).to_have_count(0)
        assert complaints == []
