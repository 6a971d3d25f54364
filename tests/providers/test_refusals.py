"""What a refusal says: its outcome, its words, the wait it asks for, and what it proves of a model."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from providers.conftest import opened
from providers.replay import Replay, reply
from vedette.errors import ProviderError
from vedette.providers import ENDPOINT_WIDE
from vedette.providers._outcomes import outcome
from vedette.providers._refusals import MAX_WAIT_S, in_stream, judged, wait_s, words
from vedette.remedies import remedy_for
from vedette.types import Capability, Outcome
from vedette_benchmarker.proof import Proof, _failed

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(seconds=40)
BEYOND_TIME = "Fri, 31 Dec 9999 23:59:59 -1200"

OUTCOMES = [
    (402, "Insufficient credits", Outcome.NO_CREDIT),
    (400, "Your credit balance is too low to access the Anthropic API.", Outcome.NO_CREDIT),
    (400, "Billing hard limit has been reached", Outcome.NO_CREDIT),
    (429, "You exceeded your current quota, please check your plan and billing details.", Outcome.NO_CREDIT),
    (429, "Rate limit reached for model `m` on tokens per day (TPD)", Outcome.QUOTA_USED),
    (429, "you have reached your weekly usage limit", Outcome.QUOTA_USED),
    (429, "you (x) have reached your session usage limit, upgrade for higher limits", Outcome.QUOTA_USED),
    (429, "you've reached your hourly usage limit, please wait or upgrade to continue", Outcome.QUOTA_USED),
    (429, "5-hour limit reached, resets at 3pm", Outcome.QUOTA_USED),
    (429, "Rate limit: 100 requests per hour", Outcome.RATE_LIMITED),
    (403, "this model requires a subscription, upgrade for access", Outcome.FORBIDDEN),
    (400, "Budget has been exceeded! Current cost: 0.0051, Max budget: 0.0001", Outcome.NO_CREDIT),
    (400, "You have reached your specified API usage limits.", Outcome.NO_CREDIT),
    (400, "Access denied, please make sure your account is in good standing.", Outcome.NO_CREDIT),
    (403, "Key limit exceeded (total limit)", Outcome.NO_CREDIT),
    (403, "用户额度不足", Outcome.NO_CREDIT),
    (429, "usage limit of a minute reached", Outcome.RATE_LIMITED),
    (400, "Incorrect API key provided: xa***AB.", Outcome.AUTH_FAILED),
    (400, "API key expired. Please renew the API key.", Outcome.AUTH_FAILED),
    (401, "key not allowed to access model. Tried to access m", Outcome.FORBIDDEN),
    (401, "you are not authorized", Outcome.AUTH_FAILED),
    (400, "triggering Azure OpenAI's content management policy", Outcome.FORBIDDEN),
    (400, "Content Exists Risk", Outcome.FORBIDDEN),
    (404, "No endpoints found matching your data policy", Outcome.FORBIDDEN),
    (404, "No endpoints found that support tool use.", Outcome.UNSUPPORTED),
    (
        404,
        "models/gemini-1.0-pro is not found for API version v1beta, or is not supported for generateContent.",
        Outcome.NOT_FOUND,
    ),
    (404, "Model gpt-9 is not supported", Outcome.NOT_FOUND),
    (404, "The model `omni-moderation-2024` does not exist", Outcome.NOT_FOUND),
    (500, "model runner has stopped; flash attention is not supported on this device", Outcome.SERVER_ERROR),
    (500, "image input is not supported - hint: you may need to provide the mmproj", Outcome.UNSUPPORTED),
    (400, "Unknown parameter: 'api_key_id'", Outcome.BAD_REQUEST),
    (400, "max_tokens is above the usage limit of 4096 output tokens", Outcome.BAD_REQUEST),
    (
        404,
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
        Outcome.UNSUPPORTED,
    ),
    (500, "tools param requires --jinja flag", Outcome.UNSUPPORTED),
    (500, "CUDA error: operation not supported", Outcome.SERVER_ERROR),
    (400, "Failed to load model m: insufficient system resources", Outcome.SERVER_ERROR),
    (400, "Failed to load image or audio file", Outcome.BAD_REQUEST),
    (429, "Too many requests while downloading", Outcome.RATE_LIMITED),
    (503, "no available server", Outcome.SERVER_ERROR),
    (503, "upstream connect error or disconnect/reset before headers", Outcome.SERVER_ERROR),
    (429, "slow down", Outcome.RATE_LIMITED),
    (
        429,
        "You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric:"
        " generate_content_free_tier_requests, limit: 15. Please retry in 36.9s.",
        Outcome.RATE_LIMITED,
    ),
    (400, "stream_options: Extra inputs are not permitted", Outcome.BAD_REQUEST),
    (400, "temperature is not allowed with this model", Outcome.BAD_REQUEST),
    (403, "Your chosen model requires moderation and your input was flagged", Outcome.FORBIDDEN),
    (403, "Country, region, or territory not supported", Outcome.FORBIDDEN),
    (403, "Access to model acme/m is restricted", Outcome.FORBIDDEN),
    (400, "User location is not supported for the API use.", Outcome.FORBIDDEN),
    (400, "Your organization must be verified to stream this model.", Outcome.FORBIDDEN),
    (403, "Invalid API key provided; access to model m denied", Outcome.AUTH_FAILED),
    (403, "", Outcome.AUTH_FAILED),
    (404, "No models loaded. Please load a model.", Outcome.SERVER_ERROR),
    (400, "Model is unloaded.", Outcome.SERVER_ERROR),
    (400, "[address=0.0.0.0:1] Model not found in the model list, uid: m", Outcome.NOT_FOUND),
    (
        400,
        "Invalid model name passed in model=m. Call `/v1/models` to view available models",
        Outcome.NOT_FOUND,
    ),
    (400, "The model `m` does not exist", Outcome.NOT_FOUND),
    (400, "model m does not support tools", Outcome.BAD_REQUEST),
    (503, "Model acme/m is currently loading", Outcome.LOADING),
    (503, "server busy, please try again", Outcome.BUSY),
    (400, "default chat template is no longer allowed", Outcome.BAD_REQUEST),
    (400, "Function id 'x': DEGRADED function cannot be invoked", Outcome.SERVER_ERROR),
    (400, "The model has crashed without additional information. (Exit code: 6)", Outcome.SERVER_ERROR),
    (400, "The endpoint is paused, ask a maintainer to restart it", Outcome.SERVER_ERROR),
    (400, "The model `llama3-70b-8192` has been decommissioned", Outcome.NOT_FOUND),
    (400, "Unable to access non-serverless model m", Outcome.NOT_FOUND),
    (400, "acme/m is not a valid model ID", Outcome.NOT_FOUND),
    (400, "The requested model 'm' is not supported by any provider", Outcome.NOT_FOUND),
    (400, "The requested model 'm' is not a chat model", Outcome.UNSUPPORTED),
    (404, "The model does not support Chat Completions API", Outcome.UNSUPPORTED),
    (503, "分组 default 下模型 m 无可用渠道", Outcome.NOT_FOUND),
    (400, "The model `m` requires terms acceptance", Outcome.FORBIDDEN),
    (400, "Organization has been restricted.", Outcome.FORBIDDEN),
    (403, "Model disabled.", Outcome.FORBIDDEN),
    (403, "该令牌无权访问模型 m", Outcome.FORBIDDEN),
    (403, "ollama cloud is disabled: remote inference is unavailable", Outcome.FORBIDDEN),
    (403, "The security token included in the request is expired", Outcome.AUTH_FAILED),
    (401, "该令牌额度已用尽", Outcome.NO_CREDIT),
    (403, "Sorry, your account balance is insufficient", Outcome.NO_CREDIT),
    (403, "your account has an overdue balance", Outcome.NO_CREDIT),
    (412, "Account is suspended, possibly due to reaching the monthly spending limit", Outcome.NO_CREDIT),
    (429, "Your team has used all available credits or its monthly spending limit", Outcome.NO_CREDIT),
    (429, "Rate limit of 50 per 86400s exceeded for UserByModelByDay.", Outcome.QUOTA_USED),
    (429, "limited to 1000 API calls / month", Outcome.QUOTA_USED),
    (403, "This token quota has been reached for the month", Outcome.QUOTA_USED),
    (429, "当前分组上游负载已饱和 insufficient_quota", Outcome.BUSY),
    (429, "The engine is currently overloaded, please try again later", Outcome.BUSY),
    (503, "The endpoint is scaling from zero. Please retry.", Outcome.LOADING),
    (429, "You've hit your monthly spend limit", Outcome.NO_CREDIT),
    (401, "Inactive subscription or usage limit reached", Outcome.NO_CREDIT),
    (403, "The model `m` does not exist or you do not have access to it.", Outcome.NOT_FOUND),
    (401, "Your organization must be verified to use the model `m`.", Outcome.FORBIDDEN),
    (400, "The chatCompletion operation does not work with the specified model, m.", Outcome.UNSUPPORTED),
    (429, "The system is currently experiencing high demand", Outcome.BUSY),
    (400, "The provided model identifier is invalid.", Outcome.NOT_FOUND),
    (400, "Invocation of model ID m with on-demand throughput isn't supported.", Outcome.NOT_FOUND),
    (403, "The model `m` is blocked model_permission_blocked_project", Outcome.FORBIDDEN),
    (400, "Model acme/m is not supported by any provider you have enabled.", Outcome.NOT_FOUND),
    (400, "'max_tokens' is not supported with this model.", Outcome.BAD_REQUEST),
    (400, "模型不存在", Outcome.NOT_FOUND),
    (400, "Error: model not supported with response_format json_schema", Outcome.BAD_REQUEST),
    (400, "The model m is not supported when tools are given", Outcome.BAD_REQUEST),
    (400, "Model m is not supported for your account", Outcome.BAD_REQUEST),
    (400, "Model m is not supported by provider acme.", Outcome.NOT_FOUND),
    (400, "Model m is not supported in your country, region or territory", Outcome.FORBIDDEN),
    (404, "model_not_supported: the model does not exist in your region", Outcome.FORBIDDEN),
    (403, "Project `p` does not have access to model `m`\nmodel_not_found", Outcome.FORBIDDEN),
    (403, "Model m is not available in your region: model not found", Outcome.FORBIDDEN),
    (403, "The model `m` does not exist", Outcome.NOT_FOUND),
    (404, "Your account 1 has not activated the model m.", Outcome.FORBIDDEN),
    (500, "response_format is not supported", Outcome.UNSUPPORTED),
    (400, "Model Not Exist", Outcome.NOT_FOUND),
    (
        400,
        "The model m was deprecated on 2025-09-15 and is no longer accessible via the API.",
        Outcome.NOT_FOUND,
    ),
    (400, "Model acme/m is not available anymore: it was sunset on 2026-06-01", Outcome.NOT_FOUND),
    (400, "`temperature` is deprecated for this model.", Outcome.BAD_REQUEST),
    (400, "litellm.BadRequestError: LLM Provider NOT provided. You passed model=m", Outcome.NOT_FOUND),
    (429, "该 API 当日调用次数已达限额", Outcome.QUOTA_USED),
    (403, "INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must be provided.", Outcome.NO_CREDIT),
    (429, "You have exceeded the rate limit. Add a payment method to your account.", Outcome.RATE_LIMITED),
    (429, "Insufficient credit. Add a payment method to your account.", Outcome.NO_CREDIT),
    (404, "Model use case details have not been submitted for this account.", Outcome.FORBIDDEN),
    (400, "Access to this model is not available for channel program accounts.", Outcome.FORBIDDEN),
    (404, "No allowed providers are available for the selected model.", Outcome.FORBIDDEN),
    (404, "All providers have been ignored.", Outcome.FORBIDDEN),
    (401, "litellm.AuthenticationError: OpenAIException - Incorrect API key provided", Outcome.FORBIDDEN),
    (401, "Authentication Error, Invalid proxy server token passed.", Outcome.AUTH_FAILED),
    (401, "Provider returned error; Incorrect API key provided", Outcome.FORBIDDEN),
    (429, "Infrastructure is at maximum capacity, try again later", Outcome.BUSY),
    (503, "No running instances available", Outcome.SERVER_ERROR),
    (503, "No instances available (yet) for chute_id='x'", Outcome.SERVER_ERROR),
    (503, "No available workers (all circuits open or unhealthy)", Outcome.SERVER_ERROR),
    (503, "no healthy endpoints available for model m", Outcome.SERVER_ERROR),
    (503, 'no instances found for endpoint "dyn://ns.backend.generate"', Outcome.SERVER_ERROR),
    (503, "no slot available", Outcome.BUSY),
    *[(status, "x", Outcome.BUSY) for status in (409, 425, 498, 529)],
    *[(status, "x", Outcome.TIMEOUT) for status in (408, 499, 504, 522, 524)],
    *[(status, "x", Outcome.SERVER_ERROR) for status in (424, 500, 502, 520, 521, 599)],
]


@pytest.mark.parametrize(("status", "said", "expected"), OUTCOMES)
@pytest.mark.fault("a service refuses for money, place or policy", "I10")
def test_the_outcome_is_that_of_the_words(status: int, said: str, expected: Outcome) -> None:
    """A 400 for an empty purse is no verdict on the model, nor is a 403 for one model one on the key."""
    assert outcome(status, said) is expected


def test_the_marks_of_an_error_count_and_a_page_is_no_refused_key() -> None:
    """A code says what words leave out; with a page a proxy or a firewall replies, not the API."""
    filtered = {"error": {"message": "Please modify your prompt.", "code": "content_filter"}}
    assert judged(400, {}, json.dumps(filtered).encode())[:2] == (
        Outcome.FORBIDDEN,
        "Please modify your prompt.",
    )
    violations = [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]
    spent = [{"error": {"message": "Please retry in 12h3m.", "details": [{"violations": violations}]}}]
    assert judged(429, {}, json.dumps(spent).encode())[:2] == (Outcome.QUOTA_USED, "Please retry in 12h3m.")
    listed = {"error": {"message": "The requested model is not supported", "code": "invalid_value"}}
    assert judged(400, {}, json.dumps(listed).encode())[0] is Outcome.NOT_FOUND
    page = b"<html><title>Just a moment...</title></html>"
    assert judged(403, {}, page)[:2] == (Outcome.FORBIDDEN, "Just a moment...")
    page = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
    assert judged(503, {}, page)[0] is Outcome.SERVER_ERROR
    # nginx's limit_req has the same page; only a wait shows that the server runs.
    assert judged(503, {"retry-after": "2"}, page)[0] is Outcome.BUSY
    for title, expected in (("Loading model", Outcome.LOADING), ("The server is too busy", Outcome.BUSY)):
        assert judged(503, {}, f"<html><title>{title}</title></html>".encode())[0] is expected
    signed_out = {"error": "unauthorized", "signin_url": "https://ollama.com/connect"}
    assert judged(401, {}, json.dumps(signed_out).encode())[0] is Outcome.FORBIDDEN


def test_a_path_that_a_server_does_not_know_is_told_with_any_status() -> None:
    """LM Studio says it with 200."""
    assert in_stream({"error": "The engine is currently overloaded"}).outcome is Outcome.BUSY
    assert in_stream({"error": "Unexpected endpoint or method. (GET /models)"}).outcome is Outcome.NOT_FOUND


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Concurrency limit exceeded for account, please retry later", Outcome.RATE_LIMITED),
        ("您的账户已达到速率限制", Outcome.RATE_LIMITED),
        ("Open api daily request limit reached", Outcome.QUOTA_USED),
        ("quota exceeded", Outcome.QUOTA_USED),
        ("Model does not exist. Please check it carefully.", Outcome.NOT_FOUND),
        ("login fail: Please carry the API secret key", Outcome.AUTH_FAILED),
        ("invalid api key", Outcome.AUTH_FAILED),
        ("model is loading", Outcome.LOADING),
        ("the model produced an invalid token", Outcome.SERVER_ERROR),
    ],
)
def test_words_show_what_a_refusal_without_a_status_is(said: str, expected: Outcome) -> None:
    """In a stream, and with status 200."""
    assert in_stream({"message": said, "code": 20012}).outcome is expected


def test_only_what_is_the_accounts_pauses_the_endpoint() -> None:
    """One model's quota, or a model that this account may not use, leaves the others."""
    assert {Outcome.NO_CREDIT, Outcome.AUTH_FAILED, Outcome.RATE_LIMITED} < ENDPOINT_WIDE
    assert not {Outcome.QUOTA_USED, Outcome.FORBIDDEN} & ENDPOINT_WIDE


BODIES: list[Any] = [
    {"error": "quite wrong"},
    {"error": {"message": "quite wrong"}},
    {"error": {"error": {"message": "quite wrong"}}},
    {"Message": "quite wrong"},
    {"message": "quite wrong", "Message": None},
    {"Message": True, "message": "quite wrong"},
    {"ErrorCode": "CLIENT_ERROR", "OriginalMessage": "quite wrong"},
    {"error": {"type": "backend_error", "details": {"response": {"error": {"message": "quite wrong"}}}}},
    {"object": "error", "message": "quite wrong"},
    {"code": 400, "msg": "quite wrong"},
    {"errors": [{"message": "quite wrong"}], "success": False},
    [{"error": {"code": 400, "message": "quite wrong"}}],
    {"detail": "quite wrong"},
    "quite wrong",
]


@pytest.mark.parametrize("body", BODIES)
def test_the_words_are_found_in_any_shape(body: Any) -> None:
    """Servers agree on none."""
    assert words(json.dumps(body).encode()) == "quite wrong"


def test_words_name_the_field_the_upstream_and_the_page() -> None:
    """FastAPI's list of details, what OpenRouter's upstream said, an HTML page's title, plain text."""
    detail = {"detail": [{"loc": ["body", "temperature"], "msg": "extra inputs are not permitted"}]}
    assert words(json.dumps(detail).encode()) == "temperature: extra inputs are not permitted"
    upstream = {"error": {"message": "Provider returned error", "metadata": {"raw": "limited upstream"}}}
    assert words(json.dumps(upstream).encode()) == "Provider returned error; limited upstream"
    assert words(b'{"status": 429, "title": "Too Many Requests"}') == "Too Many Requests"
    assert words(b'{"title": "Gone", "detail": "m has ended"}') == "m has ended"
    assert words(b"<html><title>Sign in</title></html>") == "Sign in"
    assert words(b"oops") == "oops"


WAITS: list[tuple[dict[str, str], Any, float | None]] = [
    ({"retry-after": "40"}, {}, 40),
    ({"retry-after": format_datetime(SOON, usegmt=True)}, {}, 40),
    ({"retry-after-ms": "40000", "retry-after": "41"}, {}, 40),
    ({"x-ratelimit-reset-requests": "40s"}, {}, 40),
    ({"x-ratelimit-reset-requests": "1m0.5s"}, {}, 60.5),
    ({"x-ratelimit-reset": str(int(SOON.timestamp() * 1000))}, {}, 40),
    ({"x-ratelimit-reset": str(int(SOON.timestamp()))}, {}, 40),
    ({"anthropic-ratelimit-tokens-reset": SOON.isoformat()}, {}, 40),
    (
        {
            "x-ratelimit-reset-requests": "40s",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-tokens": "6m0s",
            "x-ratelimit-remaining-tokens": "900",
        },
        {},
        40,
    ),
    ({}, {"error": {"details": [{"@type": "google.rpc.RetryInfo", "retryDelay": "40s"}]}}, 40),
    ({}, {"error": {"message": "Rate limit reached. Please try again in 7m12s."}}, 432),
    ({}, {"error": {"message": "Quota exceeded. Please retry in 36.9s."}}, 36.9),
    ({"retry-after": str(int(SOON.timestamp()))}, {}, 40),
    ({"retry-after": "40s"}, {}, 40),
    ({"retry-after": SOON.isoformat()}, {}, 40),
    ({"retry-after": "-1"}, {}, 0),
    ({"x-ratelimit-timeremaining": "40"}, {}, 40),
    ({"x-ratelimit-reset": "0d0h40s"}, {}, 40),
    ({"ratelimit": "limit=100, remaining=0, reset=40"}, {}, 40),
    ({"ratelimit": '"default";r=0;t=40'}, {}, 40),
    ({}, {"error": "Too many requests", "retry_after": 40}, 40),
    ({}, {"error": {"message": "Too many requests", "retryAfter": 40}}, 40),
    ({}, {"error": "Model m is currently loading", "estimated_time": 40.0}, 40),
    ({}, {"error": {"metadata": {"headers": {"X-RateLimit-Reset": str(int(SOON.timestamp() * 1000))}}}}, 40),
    (
        {},
        {
            "error": {
                "message": "No deployments available for selected model, Try again in 60 seconds. Passed"
            }
        },
        60,
    ),
    ({}, {"error": {"message": "Please retry after 26 seconds. Please go here"}}, 26),
    ({}, {"error": {"message": "Please try again in 1 hour 5 minutes."}}, 3900),
    ({}, {"error": {"message": "limit of 5 requests per 60 seconds reached"}}, None),
    ({"retry-after": SOON.replace(tzinfo=None).isoformat()}, {}, 40),
    ({"retry-after": "40, 40"}, {}, 40),
    ({"x-ratelimit-reset": str(int(SOON.timestamp() * 1e9))}, {}, 40),
    ({"x-ratelimit-reset": format_datetime(SOON, usegmt=True)}, {}, 40),
    ({"x-ratelimit-reset": f"{SOON:%Y-%m-%d %H:%M:%S} UTC"}, {}, 40),
    ({"retry-after": "40", "date": BEYOND_TIME}, {}, 40),
    ({"retry-after": BEYOND_TIME}, {}, None),
    ({}, {"error": {"type": "usage_limit_reached", "resets_in_seconds": 40}}, 40),
    ({}, {"error": {"type": "usage_limit_reached", "resets_at": int(SOON.timestamp())}}, 40),
    ({}, {"error": {"retry_after": "40"}}, 40),
    ({}, {"error": {"retry_after_ms": 40_000}}, 40),
    ({}, {"error": {"message": f"Limit reached. Try again at {SOON.isoformat()}"}}, 40),
    ({}, {"error": {"message": "You will regain access on 2026-11-29 at 12:05 UTC."}}, 300),
    ({}, {"error": {"message": "the data of 2026-11-29 12:05 were refused"}}, None),
    ({"retry-after": "40;comment"}, {}, 40),
    ({"x-ratelimit-retry-after": "40"}, {}, 40),
    ({"x-ms-retry-after-ms": "40000"}, {}, 40),
    ({"x-rate-limit-reset": str(int(SOON.timestamp()))}, {}, 40),
    ({"ratelimit": '"burst";r=5;t=3, "day";r=0;t=40'}, {}, 40),
    ({}, {"error": {"details": [{"retryDelay": {"seconds": 40, "nanos": 0}}]}}, 40),
    ({}, {"error": {"details": [{"metadata": {"quotaResetDelay": "40s"}}]}}, 40),
    ({}, {"detail": {"message": "slow down", "retry_after": 40}}, 40),
    ({}, {"errors": [{"message": "slow down", "retry_in": "40s"}]}, 40),
    ({}, {"error": {"resetAt": SOON.isoformat()}}, 40),
    ({}, {"error": {"retry_after": True}}, None),
    ({}, {"error": {"message": "Retry after: 40"}}, 40),
    ({}, {"error": {"message": "Retry after 3 attempts"}}, None),
    ({}, {"error": {"message": "Wait 40s and retry"}}, 40),
    ({}, {"error": {"message": "the queue wait 40s was exceeded"}}, None),
    ({}, {"error": {"message": "Your quota will reset after 1h0m40s."}}, 3640),
    ({}, {"error": {"message": "请 40 秒后重试"}}, 40),
    ({}, {"error": {"message": "Try again on 2026-11-30."}}, 43_200),
    ({}, {"error": {"metadata": {"retry_after_seconds": 40}}}, 40),
    ({}, {"message": "Out of call volume quota. Quota will be replenished in 00:43:12."}, 2592),
    ({}, {"message": "Quota will be replenished in 1.00:00:40."}, 86_400),
    ({"retry-after": "1e999"}, {}, None),
    ({"retry-after": "99999999"}, {}, MAX_WAIT_S),
    ({}, {}, None),
]


@pytest.mark.parametrize(("headers", "body", "expected"), WAITS)
def test_the_wait_is_found_wherever_it_stands(
    headers: dict[str, str], body: Any, expected: float | None
) -> None:
    """Seconds, milliseconds, dates, durations, epochs, Google's details, or in words."""
    assert wait_s(headers, json.dumps(body).encode(), NOW) == pytest.approx(expected)


@pytest.mark.fault("a server's clock is an hour ahead", "I10")
def test_a_date_is_read_by_the_servers_own_clock() -> None:
    """Its `Date` says what time it takes it to be."""
    ahead = timedelta(hours=1)
    headers = {
        "date": format_datetime(NOW + ahead, usegmt=True),
        "retry-after": format_datetime(SOON + ahead, usegmt=True),
    }
    assert wait_s(headers, b"{}", NOW) == pytest.approx(40)


PROOFS = [
    (Capability.TOOLS, '"auto" tool choice requires --enable-auto-tool-choice', False),
    (Capability.TOOLS, "Unknown argument: foo", None),
    (Capability.JSON_SCHEMA, "response_format is not supported", False),
    (Capability.JSON_SCHEMA, "prompt is too long", None),
    (Capability.CHAT, '"m" does not support chat', False),
    (Capability.CHAT, "default chat template is no longer allowed", False),
    (Capability.CHAT, "max_tokens must be at most 16", None),
    (Capability.VISION, "this model does not take images", False),
    (Capability.CHAT, "chat_template_kwargs is not supported", None),
    (Capability.CHAT, "POST /v1/chat/completions: max_tokens must be at least 16", None),
    (Capability.CHAT, "Unknown argument. See https://example.com/docs/not-supported/chat", None),
    (Capability.CHAT, "m is an embedding model and cannot be used for chat", False),
    (Capability.CHAT, "m is only supported in v1/responses and not in v1/chat/completions", False),
    (Capability.CHAT, 'model "m" is not accessible via the /chat/completions endpoint', False),
    (Capability.CHAT, "Multi Agent requests are not allowed on chat completions", False),
    (Capability.CHAT, "logit_bias is not allowed on chat completions", None),
    (Capability.CHAT, 'model "m" is not accessible via this key. See /chat/completions', None),
    (Capability.CHAT, 'model "m" is not accessible via your plan for chat completions', None),
    (
        Capability.CHAT,
        "Requests are not allowed on the free tier: chat completions need a subscription",
        None,
    ),
    (Capability.VISION, "Image inputs are not available in your current region", None),
    (Capability.COMPLETION, "max_completion_tokens is not supported", None),
    (Capability.TOOLS, "Failed to call a function. Please adjust your prompt.", None),
    (Capability.TOOLS, "Invalid schema for function 'get_weather': type is not supported", None),
    (Capability.TOOLS, "tools.0.function.strict: extra inputs are not permitted", None),
    (Capability.TOOLS, "tools: extra inputs are not permitted", False),
    (Capability.TOOLS, "This model doesn't support tool use in streaming mode.", None),
    (Capability.TOOLS, "Function calling is not enabled for this model", False),
    (Capability.JSON_SCHEMA, "We could not parse the JSON body of your request.", None),
    (Capability.JSON_SCHEMA, "Failed to generate JSON. Please adjust your prompt.", None),
    (Capability.JSON_SCHEMA, "'response_format.type' must be 'json_object' or 'text'", False),
    (Capability.JSON_SCHEMA, "This response_format type is unavailable now", False),
    (Capability.VISION, "Image too small: minimum 128x128", None),
    (Capability.VISION, "Could not process image", None),
    (Capability.VISION, "image format is not supported", None),
    (Capability.VISION, "messages.0.content: Input should be a valid string", False),
    (Capability.VISION, "Invalid content type. image_url is only supported by certain models.", False),
    (Capability.JSON_SCHEMA, "response_format.type: Input should be 'text' or 'json_object'", False),
    (Capability.JSON_SCHEMA, "response_format.type: Input should be 'text' or 'json_schema'", None),
    (Capability.JSON_SCHEMA, "Unsupported response_format type: json_schema", False),
    (
        Capability.JSON_SCHEMA,
        "Invalid value: 'json_schema'. Supported values are: 'text' and 'json_object'",
        False,
    ),
    (Capability.JSON_SCHEMA, "Unsupported content type: application/json", None),
    (Capability.JSON_SCHEMA, "Extra inputs are not permitted: response_format", False),
    (Capability.VISION, "Unknown part type: image_url", False),
    (Capability.VISION, "Unsupported content type: image_url", False),
    (Capability.VISION, "Invalid value: 'image_url'. Supported values are: 'text'", False),
    (
        Capability.VISION,
        "Invalid value: 'image_url'. Supported values are: 'input_text' and 'input_image'.",
        None,
    ),
    (Capability.VISION, "messages.0.content.1.type: Input should be 'text'", False),
    (Capability.VISION, "messages.0.content.1.type: Input should be 'text' or 'image'", None),
    (Capability.VISION, "Unsupported media type: image/png", None),
    (Capability.VISION, "This image type is not supported", None),
    (Capability.TOOLS, "This model doesn\u2019t support tool use", False),
    (Capability.TOOLS, "Extra inputs are not permitted: tools", False),
    (Capability.TOOLS, "Extra fields not permitted: tools.0.function.strict", None),
    (Capability.TOOLS, "Unknown tool type: function", False),
    (Capability.TOOLS, "tool_choice is not supported by this model; use auto", None),
    (Capability.TOOLS, "Tool choice 'required' is not supported by this model", None),
    (Capability.TOOLS, "parallel_tool_calls is not supported", None),
    (Capability.TOOLS, "Parallel tool calls are not supported", None),
    (Capability.TOOLS, "tools[0].function.strict is not supported", None),
    (Capability.TOOLS, "The content of a message of a tool must be text", None),
    (Capability.TOOLS, "tool_calls are not supported by this model", False),
    (Capability.TOOLS, "tools is not supported", False),
    (Capability.TOOLS, "tool support is not available", False),
    (Capability.EMBEDDING, "dimensions is not supported for embeddings", None),
    (Capability.EMBEDDING, "this model does not support embeddings", False),
    (Capability.RERANK, "top_n must be less than documents for rerank", None),
]


@pytest.mark.parametrize(("capability", "said", "proved"), PROOFS)
@pytest.mark.fault("a refusal that says nothing of the capability", "I10")
def test_only_words_about_the_capability_disprove_it(
    capability: Capability, said: str, proved: bool | None
) -> None:
    """Any other 400 says that we asked wrongly."""
    proof = _failed(Proof(), capability, "x", ProviderError(Outcome.BAD_REQUEST, f"HTTP 400: {said}"))
    assert proof.attempts[0].proved is proved
    assert proof.failure is None


async def test_a_redirect_says_where_it_leads(replay: Replay) -> None:
    """Without its query, in which a key may stand."""
    replay.otherwise = reply(301, Location="https://llm.example.com/v1/models?key=x")
    async with opened("openai-compatible", replay.url) as endpoint:
        with pytest.raises(
            ProviderError, match=r"redirects to https://llm\.example\.com/v1/models, "
        ) as caught:
            await endpoint.list_models()
    assert "key=x" not in caught.value.detail


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the reply is empty"),
        (b"<html><title>Sign in</title></html>", "HTML page titled 'Sign in'"),
        (b'{"error": {"message": "invalid token"}}', "invalid token"),
        (b'{"success": false, "message": "token expired"}', "token expired"),
        (b'{"detail": "Not authenticated"}', "did not list models: Not authenticated"),
        (b'{"status": "error", "message": "no such user"}', "no such user"),
        (b'{"errcode": 50001, "errmsg": "internal"}', "did not list models: internal"),
        (b'{"message": "Forbidden"}', "did not list models: Forbidden"),
        (b'"Unauthorized"', "did not list models: Unauthorized"),
        (b'{"version": "1.0"}', "did not list models$"),
        (b"Ollama is running", "not JSON.*; it says: Ollama is running$"),
        (b"\x00\x01binary", r"not JSON \(.*\)$"),
    ],
)
async def test_a_listing_that_is_none_says_why(body: bytes, said: str, replay: Replay) -> None:
    """With status 200, by what it says."""
    replay.otherwise = reply(200, body)
    async with opened("openai-compatible", replay.url) as endpoint:
        with pytest.raises(ProviderError, match=said):
            await endpoint.list_models()


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Your organization must be verified to use the model `m`.", "verify it there"),
        ("User location is not supported for the API use.", "another region"),
        ("Access denied due to Virtual Network/Firewall rules.", "allow its address there"),
        ("Just a moment...", "allow its address there"),
        ("Your account 1 has not activated the model m.", "enable the model"),
        ("You don't have access to the model with the specified model ID.", "enable the model"),
        ("this model requires a subscription, upgrade for access", "enable the model"),
        ("Model use case details have not been submitted for this account.", "enable the model"),
        ("litellm.AuthenticationError: Incorrect API key provided", "at the gateway"),
        ("litellm.PermissionDeniedError: OpenAIException - refused", "at the gateway"),
        ("litellm.PermissionDeniedError: Country, region, or territory not supported", "another region"),
        ("litellm.BadRequestError: Country, region, or territory not supported", "another region"),
        ("litellm.NotFoundError: your organization must be verified to use the model", "verify it there"),
        ("litellm.ContentPolicyViolationError: flagged by moderation", "the service's policy refuses this"),
        ("content management policy", "the service's policy refuses this"),
    ],
)
def test_what_to_do_about_a_refusal_by_policy_depends_on_its_words(said: str, remedy: str) -> None:
    assert remedy in remedy_for(Outcome.FORBIDDEN, said)
