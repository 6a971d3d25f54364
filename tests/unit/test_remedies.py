"""What to do about a reply that shows more than its outcome, by the pages and headers of public reports."""

import pytest

from vedette.providers._refusals import judged
from vedette.providers._remedies import of_page, of_redirect, of_refusal
from vedette.types import Outcome

TUNNEL = "the tunnel in front of the server has no connection to it; check that both run"
BEHIND = "a proxy answers in place of the server; check that the server behind it runs"
WEB_PROXY = "a web proxy of the network answers, not the server; let this machine reach the server without it"


def page(title: str, body: str = "") -> str:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>"


HAPROXY = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>"
TINYPROXY = (
    '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN"><html><head>'
    "<title>500 Unable to connect</title></head></html>"
)
ACCESS_DENIED = (
    "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)
CLOUDFLARE = (
    '{"title": "Error 1033: Cloudflare Tunnel error", "status": 530, "detail": "The host is configured as a '
    'Cloudflare Tunnel, but Cloudflare is currently unable to reach it.", "error_code": 1033}'
)


@pytest.mark.parametrize(
    ("status", "headers", "body", "remedy"),
    [
        (530, {}, CLOUDFLARE, TUNNEL),  # ungate#28
        (530, {}, page("Argo Tunnel error | x.trycloudflare.com | Cloudflare"), TUNNEL),  # curxy#18
        (530, {}, "error code: 1033", TUNNEL),  # no-as-a-service#83
        (404, {"ngrok-error-code": "ERR_NGROK_3200"}, page("ngrok - endpoint offline"), TUNNEL),
        (502, {}, page("example.com | 502: Bad gateway"), BEHIND),
        (521, {}, page("example.com | 521: Web server is down"), BEHIND),
        (522, {}, page("example.com | 522: Connection timed out"), BEHIND),
        (523, {}, "error code: 523", BEHIND),
        (503, {}, HAPROXY, BEHIND),
        (503, {}, page("503 Service Temporarily Unavailable"), BEHIND),
        (503, {"retry-after": "5"}, page("503 Service Temporarily Unavailable"), None),
        (503, {}, page("Loading model"), None),
        (503, {}, "no healthy upstream", BEHIND),
        (502, {}, "Bad Gateway", BEHIND),  # Traefik
        (525, {}, page("SSL handshake failed"), "cannot agree on TLS"),
        (526, {}, page("Invalid SSL certificate"), "does not trust its certificate"),
        (504, {}, page("504 Gateway Time-out"), "gave up waiting"),
        (524, {}, page("A timeout occurred"), "gave up waiting"),
        (504, {}, '{"error": "upstream timeout of the model"}', None),
        (503, {"x-squid-error": "ERR_CONNECT_FAIL 111"}, page("ERROR"), WEB_PROXY),  # opencode#531
        (503, {}, page("ERROR: The requested URL could not be retrieved"), WEB_PROXY),
        (500, {}, TINYPROXY, WEB_PROXY),  # ollama#7772
        (500, {}, page("500 Internal Privoxy Error"), WEB_PROXY),  # llama_index#14880
        (407, {}, page("407 Proxy Authentication Required"), "wants a login; let this machine reach"),
        (511, {}, page("Login required"), "open any page in a browser"),
        (401, {"www-authenticate": 'Basic realm="Restricted"'}, page("401"), "name and a password"),
        (400, {}, "Client sent an HTTP request to an HTTPS server.", "write https:// in its url"),
        (403, {}, page("Sign In"), "an HTML page replies, not an API"),
        (404, {}, page("Not Found"), "an HTML page replies, not an API"),
        (403, {}, ACCESS_DENIED, "XML replies, not an API"),
        (404, {}, ACCESS_DENIED, "XML replies, not an API"),
        (404, {}, "404 page not found", None),
        # A server's own errors, with words of those pages.
        (500, {}, '{"error": "prompt has 1033 tokens, more than 1024"}', None),
        (500, {}, '{"error": {"message": "the tunnel model failed"}}', None),
        (500, {}, "prompt has 1033 tokens, more than 1024", None),
        (503, {}, '{"error": "unable to connect to backend ollama"}', None),
        (
            500,
            {},
            '{"error": {"message": "Unable to connect to server http://ollama:11434"}}',
            None,
        ),  # LiteLLM
        (
            500,
            {},
            "<?xml version='1.0'?><Error><Message>Unable to connect to node 1033</Message></Error>",
            None,
        ),
        (429, {"ngrok-error-code": "ERR_NGROK_734"}, page("ngrok - too many requests"), None),
        (401, {"ngrok-error-code": "ERR_NGROK_3208"}, '{"error": "Unauthorized"}', None),
        (500, {}, '{"error": "model runner has unexpectedly stopped"}', None),
        (401, {}, '{"error": "Unauthorized"}', None),
        (401, {}, '{"error": "Unauthorized", "signin_url": "https://ollama.com/connect"}', "ollama signin"),
        # Only where it is the refusal's own: here a model was asked for one.
        (401, {}, '{"error": "Unauthorized", "request": {"signin_url": "x"}}', None),
        (401, {}, '{"error": "litellm.AuthenticationError: Missing Authorization header"}', None),
    ],
)
def test_who_answers_in_place_of_a_server_is_named(
    status: int, headers: dict[str, str], body: str, remedy: str | None
) -> None:
    """A remedy of the outcome alone ("see the log of the server") would lead to the wrong machine."""
    raw = body.encode()
    found = of_refusal(status, headers, judged(status, headers, raw), logged_in=False)
    assert found is None if remedy is None else found and remedy in found


KEY = "set a valid key"


@pytest.mark.parametrize(
    ("status", "said", "remedy"),
    [
        (401, "No Authorization header found", KEY),
        (401, "No Authorization header provided", KEY),
        (401, "Missing or invalid Authorization header. Expected Bearer", KEY),
        (401, "Missing Authorization header; invalid_request_error", KEY),
        (401, "Missing Authorization header. You must provide an API key", KEY),
        (401, "Missing Authorization header: bearer-token expected", KEY),
        (401, 'Missing "Authorization" header', KEY),
        (401, "Missing bearer token in header (Authorization: Bearer xxx)", KEY),
        (403, "authentication requires an authorization header with a bearer token", KEY),
        # What is written for any other 400 is "check provider".
        (400, "Missing required header: Authorization", KEY),
        (400, "Missing required header: anthropic-version", "headers = { anthropic-version = "),
        (400, "Missing header 'x-portkey-provider'", "headers = { x-portkey-provider = "),
        (401, "Authentication failed: x-api-key header is required", "headers = { x-api-key = "),
        (401, "No header given", None),
        (
            404,
            "models/gemini-9 is not found for API version v1beta, or is not supported for generateContent. "
            "Call ListModels to see the list of available models",
            None,
        ),
        (400, "Missing required query parameter: api-version", "?api-version="),
        (404, "API version not supported", "?api-version="),
        (400, "The requested API version 2020-01-01 is not supported", "?api-version="),
        (400, "This endpoint does not support this api version", "?api-version="),
    ],
)
def test_what_a_request_lacks_is_named(status: int, said: str, remedy: str | None) -> None:
    """A word of the sentence that only stands after "header" is no header."""
    found = of_refusal(status, {}, judged(status, {}, said.encode()), logged_in=False)
    assert found is None if remedy is None else found and remedy in found


def test_a_login_that_was_sent_is_not_asked_for_again() -> None:
    """The name or the password is wrong: the outcome says so."""
    asks = {"www-authenticate": 'Basic realm="Restricted"'}
    assert of_refusal(401, asks, judged(401, asks, b""), logged_in=True) is None


@pytest.mark.parametrize(
    ("status", "body", "expected", "said"),
    [
        # HAProxy's page has no title, and does not mean that the server has too many requests.
        (503, HAPROXY, Outcome.SERVER_ERROR, "503 Service Unavailable; No server is available"),
        (403, ACCESS_DENIED, Outcome.FORBIDDEN, "Access Denied"),
        # LiteLLM without a database, for any key but its master key (litellm#12273, #4880).
        (
            400,
            '{"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}}',
            Outcome.AUTH_FAILED,
            "No connected db.",
        ),
        (
            401,
            '{"error": {"message": "Authentication Error, LiteLLM Virtual Key expected. Received=not-needed"}}',
            Outcome.AUTH_FAILED,
            "Authentication Error, LiteLLM Virtual Key expected. Received=not-needed",
        ),
        (
            404,
            '{"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}',
            Outcome.NOT_FOUND,
            "The API deployment does not exist.",
        ),
    ],
)
def test_refusals_of_public_reports_mean_what_they_say(
    status: int, body: str, expected: Outcome, said: str
) -> None:
    assert judged(status, {}, body.encode())[:2] == (expected, said)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("the reply is an HTML page titled 'Open WebUI'", "add /api to its url"),
        ("the reply is an HTML page titled 'ngrok'", "ngrok-skip-browser-warning"),
        ("the reply is an HTML page titled 'Guest Wi-Fi'", None),
    ],
)
def test_a_page_in_place_of_an_api_says_where_the_api_is(said: str, remedy: str | None) -> None:
    found = of_page(said)
    assert found is None if remedy is None else found and remedy in found


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("http://box:8000/llm/v1/models", 'set url = "http://box:8000/llm"'),
        ("https://box/v1/models", 'set url = "https://box"'),
        ("http://box:8000/login", "set url to where it leads; if that is a login page"),
        ("http://box:8000/v1/models", "it redirects to itself: write https://"),
        ("", "set url to where it leads"),
    ],
)
def test_a_redirect_leads_to_a_url_that_can_be_written(place: str, remedy: str) -> None:
    assert remedy in of_redirect("http://box:8000/v1/models", place, "/v1/models")


def test_a_redirect_to_itself_by_tls_is_not_to_be_asked_by_tls() -> None:
    url = "https://box/v1/models"
    assert of_redirect(url, url, "/v1/models") == "it redirects to itself: correct the proxy in front of it"
