"""What a request must pass before any page or query."""

from collections.abc import AsyncIterator

import httpx
import pytest

from consoles import OPERATOR, TOKEN, Rig, fleet, form_token
from vedette.settings import Console
from vedette_console.access import Keys


@pytest.fixture
def rig() -> Rig:
    return Rig(fleet(6))


@pytest.fixture
def closed() -> Rig:
    """Return a console that needs a token, behind a proxy that may name users as well."""
    settings = Console(host="0.0.0.0", trusted_header="x-user", trusted_proxies=("127.0.0.1",))
    return Rig(fleet(6), console=settings, keys=Keys(TOKEN, OPERATOR, open=False))


async def test_every_response_keeps_other_sites_out(rig: Rig) -> None:
    async with rig.client() as browser:
        for path in ("/", "/static/console.css", "/api/v1/models", "/nothing", "/why/nothing"):
            headers = (await browser.get(path)).headers
            assert "script-src 'self';" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"


async def test_another_hosts_name_is_refused(rig: Rig) -> None:
    """A site whose name is pointed at this machine reads nothing."""
    async with rig.client(host="evil.example") as browser:
        reply = await browser.get("/api/v1/models")
    assert (reply.status_code, reply.json()["code"]) == (421, "wrong_host")


async def test_nothing_is_shown_without_a_token(closed: Rig) -> None:
    async with closed.client() as stranger:
        assert (await stranger.get("/models")).headers["location"] == "/login?to=/models"
        refused = await stranger.get("/api/v1/models")
        assert (refused.status_code, refused.json()["code"]) == (401, "no_token")
        assert (await stranger.get("/live")).status_code == 303
        assert (await stranger.get("/login")).status_code == 200
    async with closed.client(authorization=f"Bearer {TOKEN}") as viewer:
        assert (await viewer.get("/api/v1/models")).status_code == 200
    async with closed.client(authorization="Bearer wrong") as stranger:
        assert (await stranger.get("/api/v1/models")).status_code == 401
    async with closed.client(**{"x-user": "ada"}) as named:
        assert (await named.get("/models")).status_code == 200


async def test_a_token_logs_in_and_out(closed: Rig) -> None:
    async with closed.client() as browser:
        wrong = await browser.post("/login?to=/models", data={"token": "wrong"})
        assert (wrong.status_code, "not right" in wrong.text) == (403, True)
        right = await browser.post("/login?to=/models", data={"token": TOKEN})
        assert (right.status_code, right.headers["location"]) == (303, "/models")
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert "Log out" in (await browser.get("/models")).text
        await browser.post("/logout")
        assert (await browser.get("/models")).status_code == 303


async def test_replicas_share_logins() -> None:
    """Logged in at one, an operator acts at another, and at both after they were started again."""
    replicas = [Rig(fleet(3), keys=Keys(TOKEN, OPERATOR, open=False)) for _ in range(2)]
    async with replicas[0].client() as browser:
        await browser.post("/login", data={"token": OPERATOR})
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        page = (await browser.get("/endpoints")).text
    async with replicas[1].client(cookie=cookie) as browser:
        assert "Log out (operator)" in (await browser.get("/")).text
        form = {"kind": "probe", "target": "gpu", "form_token": form_token(page)}
        assert (await browser.post("/work", data=form)).status_code == 303
    assert [job.kind for job in replicas[1].jobs] == ["probe"]
    async with Rig(fleet(3), keys=Keys(TOKEN, "another", open=False)).client(cookie=cookie) as browser:
        assert (await browser.get("/")).status_code == 303


@pytest.mark.parametrize("to", ["//evil.example/x", "https://evil.example", "javascript:alert(1)"])
async def test_a_login_leads_to_no_other_site(closed: Rig, to: str) -> None:
    async with closed.client() as browser:
        reply = await browser.post("/login", params={"to": to}, data={"token": TOKEN})
        assert reply.headers["location"] == "/"


async def test_tokens_cannot_be_guessed_fast(closed: Rig) -> None:
    async with closed.client() as browser:
        codes = [(await browser.post("/login", data={"token": str(n)})).status_code for n in range(7)]
        assert codes == [403] * 5 + [429] * 2
    async with closed.client(authorization="Bearer wrong") as caller:
        assert (await caller.get("/api/v1/models")).status_code == 429


async def test_a_forwarded_address_is_not_believed(closed: Rig) -> None:
    """Neither as that of a trusted proxy nor to get around a limit: served as the product serves it."""
    async with closed.served() as url, httpx.AsyncClient(base_url=url, timeout=60) as stranger:
        codes = []
        for number in range(7):
            headers = {"x-forwarded-for": f"10.0.0.{number}"}
            codes.append((await stranger.post("/login", data={"token": "x"}, headers=headers)).status_code)
        assert codes == [403] * 5 + [429] * 2


async def test_another_site_locks_no_user_out(closed: Rig) -> None:
    async with closed.client() as browser:
        for _ in range(20):
            sent = await browser.post("/login", data={"token": "x"}, headers={"sec-fetch-site": "cross-site"})
            assert sent.status_code == 403
        link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        assert (await browser.get("/login", headers=link)).status_code == 200
        assert (await browser.post("/login", data={"token": TOKEN})).status_code == 303


@pytest.mark.parametrize("keys", [Keys(None, None, open=True), Keys(TOKEN, None, open=False)])
async def test_nobody_is_an_operator_without_an_operators_token(keys: Keys) -> None:
    """Whatever a viewer knows, other keys sign nothing that these take."""
    rig = Rig(fleet(3), keys=keys)
    forged = Keys(TOKEN, None, open=False).session("operator", 0.0, "n")
    own = keys.session("operator", rig.clock.now().timestamp(), "n")
    for session in (forged, own):
        async with rig.client(cookie=f"vedette_session_0={session}") as browser:
            form = {"kind": "probe", "target": "gpu", "form_token": keys.form_token(session)}
            assert (await browser.post("/work", data=form)).status_code in (303, 403)
    assert rig.jobs == []


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded"]
)
async def test_a_long_form_is_not_read(closed: Rig, kind: str) -> None:
    """An endless body costs neither memory nor disk."""
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b"x" * 1024

    async with closed.client(**{"content-type": kind}) as stranger:
        assert (await stranger.post("/login", content=body())).status_code in (403, 413)
    assert sent < 100


async def test_only_an_operator_starts_jobs(rig: Rig) -> None:
    """And only from a form of the console itself."""
    asked = {"kind": "probe", "target": "gpu"}
    async with rig.client() as browser:
        assert (await browser.post("/work", data=asked)).status_code == 403
        await browser.post("/login", data={"token": OPERATOR})
        assert (await browser.post("/work", data=asked)).status_code == 403
        page = (await browser.get("/endpoints")).text
        form = {**asked, "form_token": form_token(page)}
        assert (
            await browser.post("/work", data=form, headers={"origin": "http://evil.example"})
        ).status_code == 403
        assert (
            await browser.post("/work", data=form, headers={"sec-fetch-site": "cross-site"})
        ).status_code == 403
        assert rig.jobs == []
        assert (await browser.post("/work", data=form)).headers["location"] == "/endpoints"
    (job,) = rig.jobs
    assert (job.kind, job.endpoint, job.group, job.model, job.cause) == (
        "probe",
        "gpu",
        "gpu-box",
        None,
        "manual",
    )


async def test_a_job_of_an_endpoints_models_is_one_for_each(rig: Rig) -> None:
    async with rig.client(authorization=f"Bearer {OPERATOR}") as operator:
        assert (await operator.post("/work", data={"kind": "benchmark", "target": "gpu"})).status_code == 303
        assert (
            await operator.post("/work", data={"kind": "probe", "target": "gpu/nothing"})
        ).status_code == 404
        assert (await operator.post("/work", data={"kind": "destroy", "target": "gpu"})).status_code == 400
    assert len(rig.jobs) == 2
    assert {job.model.endpoint for job in rig.jobs if job.model} == {"gpu"}


async def test_too_many_requests_are_told_when_to_come_back(rig: Rig) -> None:
    async with rig.client() as browser:
        codes = [(await browser.get("/nothing")).status_code for _ in range(402)]
        assert codes[-1] == 429
        assert int((await browser.get("/nothing")).headers["retry-after"]) >= 1


async def test_a_form_of_many_fields_is_refused() -> None:
    async with Rig(fleet(3)).client() as stranger:
        reply = await stranger.post("/login", data={f"f{number}": "1" for number in range(40)})
    assert (reply.status_code, "at most 16 fields" in reply.text) == (413, True)
