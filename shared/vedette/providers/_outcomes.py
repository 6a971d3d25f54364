"""Finds the outcome of a refusal by its HTTP status and its words. Pure.

The words come from public bug reports and API references. The first matching row of `_ROWS` decides, else the status.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from vedette.types import Outcome

_BY_STATUS: Final[Mapping[int, Outcome]] = {
    400: Outcome.BAD_REQUEST,
    401: Outcome.AUTH_FAILED,
    402: Outcome.NO_CREDIT,
    403: Outcome.AUTH_FAILED,
    404: Outcome.NOT_FOUND,
    405: Outcome.UNSUPPORTED,
    407: Outcome.AUTH_FAILED,
    408: Outcome.TIMEOUT,
    409: Outcome.BUSY,
    410: Outcome.NOT_FOUND,
    413: Outcome.TOO_LARGE,
    424: Outcome.SERVER_ERROR,  # Text Generation Inference: the generation failed
    425: Outcome.BUSY,
    429: Outcome.RATE_LIMITED,
    451: Outcome.FORBIDDEN,
    498: Outcome.BUSY,  # Groq: no flex capacity
    499: Outcome.TIMEOUT,  # nginx: its client closed the connection; here the client is a proxy
    501: Outcome.UNSUPPORTED,
    503: Outcome.BUSY,
    504: Outcome.TIMEOUT,
    522: Outcome.TIMEOUT,  # Cloudflare: the origin did not accept the connection in time
    524: Outcome.TIMEOUT,  # Cloudflare: the origin did not reply in time
    529: Outcome.BUSY,  # Anthropic's "overloaded"
}


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Words of a proxy that reaches no server (Traefik, Envoy, HAProxy, nginx), and of a router without a running engine
# (GPUStack, SGLang's router, Olla, NVIDIA Dynamo, Chutes).
_RUNNERS = r"(?:instance|worker|replica|endpoint|backend|node)s?\b"
NO_UPSTREAM: Final = _words(
    r"no available server|no healthy upstream|upstream connect error|no server is available|bad gateway",
    rf"\bno (?:available|running|healthy|ready|active) {_RUNNERS}|\bno {_RUNNERS} (?:are )?(?:available|found|running)",
)
_LOADING: Final = _words(r"\bloading\b|scaling from zero|not ready for inference")
# One API, Moonshot, Cerebras, Zhipu, Cloudflare, Volcengine: their status is often that of another refusal.
_OVERLOADED: Final = _words(
    r"overloaded|high (?:traffic|demand)|capacity (?:temporarily )?exceeded|queue_exceeded",
    r"\btoo busy\b|at (?:full |max(?:imum)? )?capacity|(?:system|insufficient|out of) capacity",
    r"\bNoCapacity\b|负载已饱和|访问量过大",
)
# For what a model cannot do, OpenAI and OpenRouter send 404, llama.cpp 500. Not "is not supported for
# generateContent", which Google says of a model that was removed.
_CANNOT: Final = _words(
    r"not a chat model|only supported in|no endpoints found that support",
    r"does not support (?:the )?(?:chat|completions|embeddings|rerank)",
    r"operation (?:is unsupported|does not work with)",  # Azure OpenAI
)
_CANNOT_HERE: Final = _words(
    r"(?:input|param|parameter|tools|json_schema|response_format) (?:is|are) not supported|requires --"
)
# LM Studio, llama.cpp's router, NVIDIA, deployments of Hugging Face and SAP.
_NOT_RUNNING: Final = _words(
    r"no models? (?:is )?loaded|model is (?:unloaded|not loaded)|insufficient system resources",
    r"failed to load (?!(?:the |an? )?(?:image|audio|video|media|file|url)\b)",
    r"model has crashed|degraded function|endpoint is paused|worker not ready|deployment is not running",
)
_OF_THE_DAY: Final = _words(
    r"per[ _-]?day|byday|per 86400|daily|\b[TR]PD\b|/ ?(?:day|month)\b|per month",
    r"(?:hourly|session|weekly|monthly) \w+ limit|\b\d+[ -]hours? (?:\w+ )?limit",
    r"set inference limit|当日|今日|每日|每天",
    r"limit: 0\b",  # Google: a model that is not in the free tier
)
_QUOTA_REACHED: Final = _words(
    r"out of call volume quota|quota (?:has been |is )?(?:reached|exceeded|exhausted|used up)"
)
# Google says `check your plan and billing details` for every limit, even for a limit per minute.
_OF_A_WHILE: Final = _words(r"quota exceeded for metric|(?:retry|try again) in")
_PURSE_EMPTY: Final = _words(r"(?:available|any) credits|spend(?:ing)? limit")
_NO_CREDIT: Final = _words(
    r"credit balance|insufficient[ _](?:user_)?(?:credit|balance|fund|quota)|no (?:more )?credit|out of credit",
    r"billing\b|payment required|exceeded your current quota|budget_exceeded|budget has been exceeded|over budget",
    r"good standing|free tier .{0,40}exhausted|overdue|past invoices",
    r"not[ _]enough[ _]balance|balance is (?:insufficient|not enough|too low)|额度|余额不足|欠费",
)
# Not for status 429: some rate limits recommend to add a payment method.
_NO_PAYMENT: Final = _words(r"payment[ _](?:instrument|method)")
_NO_CREDIT_LEFT: Final = _words(r"额度|余额不足|欠费|inactive subscription|usage limit reached")
# Not for status 429, where it may mean a limit per minute.
_SPENT: Final = _words(
    r"(?:reached|exceeded).{0,40}(?:key|usage|spend|credit) limits?\b",
    r"(?:key|usage|spend|credit) limits? (?:reached|exceeded)",
)
_NO_MODEL: Final = _words(
    r"model not found|no such model|invalid model name|model_not_found|not a valid model|unknown[ _]model",
    r"invalid model:|invalid_model|unavailable[ _]model|model_not_available|non-serverless|decommissioned",
    r"\bmodel (?:\S{1,200} )?(?:was )?(?:not found|(?:does )?not exist)",
    # This must not match `model not supported with response_format json_schema` or `… for your account`.
    r"(?:^|[:.;] )(?:the )?(?:requested )?model (?:\S{1,200} )?(?:is )?not supported"
    r"(?: by (?:\w+ )?provider\b| *(?:$|[\n.,;:!\"')]))|\bmodel_not_supported\b",
    r"model identifier is invalid|with on-demand throughput isn.t supported|模型不存在",  # Amazon Bedrock, z.ai
    r"\bmodel .{0,120}(?:is no longer (?:available|accessible|served)|not available any ?more)",
    r"\bmodel .{0,120}(?:has been|was) (?:retired|removed|deprecated|sunset|discontinued)",
    r"llm provider not provided",  # LiteLLM: no service has a model of this name
)
# One API sends this with status 503.
_NO_CHANNEL: Final = _words(r"no available channel|无可用渠道|model_not_found")
_OF_THE_KEY: Final = _words(
    r"(?:invalid|incorrect|missing|expired|wrong|no|bad|revoked)\W+(?:\w+\W+){0,2}?(?:key|token|credential)",
    r"authenticat",
)
_API_KEY: Final = _words(
    r"(?:invalid|incorrect|missing|wrong|no|provide an?|valid) api[ _-]?key\b",
    r"api[ _-]?key (?:not|is|was|has|expired|invalid)|credential is (?:only|not)",
)
_NO_KEYS_KEPT: Final = _words(
    r"no_db_connection|no connected db"
)  # LiteLLM without a database accepts one key only
_OF_THE_PLACE: Final = _words(
    r"\b(?:your|this|the user's) (?:country|region|location|territory)|country, region"
)
_BY_POLICY: Final = _words(
    r"country|region\b|regions\b|territor|location is not|moderation|flagged|gated|terms of|terms acceptance",
    r"must be verified|has not activated the model|data policy|content management policy|content_filter",
    r"use case details|access to this model is not|no allowed providers|providers have been ignored",
    r"content exists risk",
    r"inappropriate content|data_inspection|billed users|敏感内容",
    r"(?:organization|account) has been (?:restricted|disabled|suspended|deactivated)",
)
# With status 403 only: a 400 may say that a parameter is not permitted.
_NO_ACCESS: Final = _words(
    r"restricted|permission_blocked|model agreement|requires a (?:\w+ )?(?:subscription|plan)",
    r"not (?:allowed|authorized|permitted|available)|access to (?:the )?model|does not have access",
    r"permission to (?:query|use|access|call)|\bdisabled|无权|firewall|error code: 10\d\d",
)
_UNVERIFIED: Final = _words(r"must be verified")
# A gateway (LiteLLM, OpenRouter, new-api) reports that the service behind a model refuses the gateway's key.
_OF_THE_UPSTREAM: Final = _words(
    r"litellm\.(?:authentication|permissiondenied)error|provider returned error|\bupstream_error\b"
)
SIGN_IN: Final = _words(r"\bsignin_url\b")  # Ollama, for a model in its cloud
_NO_ACCESS_TO_MODEL: Final = _words(r"allowed to access (?:the )?model|model_access_denied")

# Words of refusals without an error status: Baidu, MiniMax, SiliconFlow, Volcengine.
_RATE_LIMIT: Final = _words(
    r"rate.?limit|too many requests|request limit reached|concurrency limit|throttl|速率限制"
)
_NO_KEY: Final = _words(r"\bunauthori[sz]ed\b|authentication (?:fail|error)|login fail")
_MODEL_LOADING: Final = _words(r"model is (?:currently |still )?loading|loading model\b")
# LM Studio and some proxies send this with status 200.
_NO_PATH: Final = _words(r"unexpected endpoint|unknown (?:url|path|endpoint|route)|no such (?:path|route)")

# Statuses, words, and their outcome. The order matters.
_ROWS: Final[tuple[tuple[Collection[int], re.Pattern[str], Outcome], ...]] = (
    ((429, 503), _LOADING, Outcome.LOADING),
    ((503,), NO_UPSTREAM, Outcome.SERVER_ERROR),
    ((503,), _NO_CHANNEL, Outcome.NOT_FOUND),
    ((402, 403, 429, 500, 503), _OVERLOADED, Outcome.BUSY),
    ((400, 404), _CANNOT, Outcome.UNSUPPORTED),
    ((500,), _CANNOT_HERE, Outcome.UNSUPPORTED),
    ((400, 404), _NOT_RUNNING, Outcome.SERVER_ERROR),
    ((403, 412, 429), _PURSE_EMPTY, Outcome.NO_CREDIT),
    ((429,), _OF_THE_DAY, Outcome.QUOTA_USED),
    ((403,), _QUOTA_REACHED, Outcome.QUOTA_USED),
    ((429,), _OF_A_WHILE, Outcome.RATE_LIMITED),
    ((400, 403, 412, 429), _NO_CREDIT, Outcome.NO_CREDIT),
    ((400, 403, 412), _NO_PAYMENT, Outcome.NO_CREDIT),
    ((401,), _NO_CREDIT_LEFT, Outcome.NO_CREDIT),
    ((400, 403), _SPENT, Outcome.NO_CREDIT),
    ((400, 404), _OF_THE_PLACE, Outcome.FORBIDDEN),
    ((400, 404), _NO_MODEL, Outcome.NOT_FOUND),
    ((401, 403), _OF_THE_UPSTREAM, Outcome.FORBIDDEN),
    ((401,), SIGN_IN, Outcome.FORBIDDEN),
    ((403,), _OF_THE_KEY, Outcome.AUTH_FAILED),
    ((400, 403, 404), _BY_POLICY, Outcome.FORBIDDEN),
    ((403,), _NO_ACCESS, Outcome.FORBIDDEN),
    # After the rows for access: OpenAI sends `model_not_found` if a project has no access.
    ((403,), _NO_MODEL, Outcome.NOT_FOUND),
    ((401,), _NO_ACCESS_TO_MODEL, Outcome.FORBIDDEN),
    ((401,), _UNVERIFIED, Outcome.FORBIDDEN),
    ((400,), _API_KEY, Outcome.AUTH_FAILED),  # Google, xAI
    ((400,), _NO_KEYS_KEPT, Outcome.AUTH_FAILED),
)


def outcome(status: int, said: str, *, by_markup: bool = False, names_wait: bool = False) -> Outcome:
    """Return the outcome of an error reply with *status*.

    *said* holds its words and marks. *by_markup*: the reply is HTML or XML. *names_wait*: it has a Retry-After header.
    """
    if status == 403 and by_markup:
        return Outcome.FORBIDDEN
    for statuses, words, found in _ROWS:
        if status in statuses and words.search(said):
            return found
    # Usually the page of an ingress without a running server. nginx's rate limit has the same words, and a Retry-After.
    if status == 503 and by_markup and not names_wait:
        return Outcome.SERVER_ERROR
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Outcome.SERVER_ERROR if status >= 500 else Outcome.BAD_REQUEST


_WITHOUT_STATUS: Final = (
    (_NO_PATH, Outcome.NOT_FOUND),
    (_OVERLOADED, Outcome.BUSY),
    (_MODEL_LOADING, Outcome.LOADING),
    (_NO_CREDIT, Outcome.NO_CREDIT),
    (_NO_PAYMENT, Outcome.NO_CREDIT),
    (_QUOTA_REACHED, Outcome.QUOTA_USED),
    (_NO_MODEL, Outcome.NOT_FOUND),
    (_API_KEY, Outcome.AUTH_FAILED),
    (_NO_KEY, Outcome.AUTH_FAILED),
)


def without_status(said: str) -> Outcome:
    """Return the outcome of an error without an error status: in a stream, or with status 200."""
    if _RATE_LIMIT.search(said):
        return outcome(429, said)
    for words, found in _WITHOUT_STATUS:
        if words.search(said):
            return found
    return Outcome.SERVER_ERROR
