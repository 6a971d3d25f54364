"""Every constant of the scoring, with its unit, its meaning and where it comes from.

All are proposals of `docs/adr/0004-scoring-constants.md` unless another source is named. Halves are the values
that earn a utility of one half; confidence is `n / (n + k) · 2^(-age / half-life)`.
"""

from typing import Final

from vedette.messages.queries import Risk, Signal
from vedette.types import Status

# Utility -------------------------------------------------------------------------------------------------------

HALF_OUTPUT_TPS: Final = 20.0  # tokens/s: about three times as fast as people read aloud
HALF_TEXTS_PER_S: Final = 200.0  # texts/s, embedding models
HALF_TTFT_MS: Final = 1000.0  # ms: the limit of an unbroken train of thought (Nielsen 1993)
HALF_PRICE_USD_PER_MTOK: Final = 2.0  # US dollars per million tokens
WANTED_CONTEXT_TOKENS: Final = 32_768  # tokens, unless the request asks for others
LEAST_CONTEXT_TOKENS: Final = 1024  # tokens: a context that is worth nothing
RELIABILITY_PRIOR: Final = (1.9, 0.1)  # Beta(successes, failures) before any probe: 95 %
RELIABILITY_NINES: Final = 3.0  # 99.9 % is a utility of one
PRICE_BLEND: Final = (3.0, 1.0)  # input to output tokens: the blend in which providers are usually compared

# Confidence ----------------------------------------------------------------------------------------------------

SAMPLES_K: Final[dict[Signal, float]] = {
    "quality": 10.0,
    "speed": 3.0,
    "ttft": 3.0,
    "reliability": 20.0,
    "context": 0.0,  # declared facts do not become surer by repetition
    "price": 0.0,
}
HALF_LIFE_S: Final[dict[Signal, float]] = {
    "quality": 90 * 86_400.0,
    "speed": 7 * 86_400.0,
    "ttft": 7 * 86_400.0,
    "reliability": 86_400.0,
}
RELIABILITY_WINDOW_H: Final = 7 * 24  # hours of probes behind the reliability

# Shrinking -----------------------------------------------------------------------------------------------------

PEER_CONFIDENCE: Final = 0.3  # a peer counts when it is surer than this
PEERS_NEEDED: Final = 3
PEERS_STEPS: Final = 1000  # the median is told to a thousandth, so that it can be kept current by counting
PEERS_CAP: Final = 0.5  # what is unknown is never assumed to be better than this
FLOORS: Final[dict[Signal, float]] = {
    "quality": 0.35,
    "speed": 0.35,
    "ttft": 0.35,
    "reliability": 0.5,
    "context": 0.3,
    "price": 0.5,
}
QUALITY_PRIOR_BASE: Final = 0.20
QUALITY_PRIOR_PER_DOUBLING: Final = 0.10  # per doubling of 1 + billions of parameters
QUALITY_PRIOR_CAP: Final = 0.85
QUANTIZATION_LOSS: Final[dict[int, float]] = {2: 0.12, 3: 0.06, 4: 0.02, 5: 0.02}  # by bits; 6 and more: 0

# Ranking -------------------------------------------------------------------------------------------------------

RISK_LAMBDA: Final[dict[Risk, float]] = {"conservative": 0.25, "neutral": 0.0, "explore": -0.10}
# Which models may be recommended unless the request names statuses, and what their status takes off the score.
# `unknown` is there so that a stopped prober does not stop every agent (ADR 0003).
STATUS_MULTIPLIERS: Final[dict[Status, float]] = {
    Status.AVAILABLE: 1.0,
    Status.BUSY: 0.9,
    Status.DEGRADED: 0.85,
    Status.UNKNOWN: 0.7,
}
ERROR_BAND_POINTS: Final = 1.0  # models closer than this to the best are its equals
SWITCH_MARGIN_POINTS: Final = 2.0  # by so much another must be better before it is announced as the best
STALE_INTERVALS: Final = 3  # health older than so many availability intervals is unknown

# Callers' reports ----------------------------------------------------------------------------------------------
#
# A report is the word of whoever may report. Reports move the utilities of speed, TTFT and reliability, never the
# confidence, what peers let expect, or who is a candidate. `scoring.allowed` holds all of it within the last constant.

REPORT_WEIGHT: Final = 0.25  # of one of our own measurements: callers' clocks and prompts are not ours
REPORTS_BESIDE: Final = 0.5  # all reports count for at most this times our own measurements of the same thing
REPORTS_ALONE: Final[dict[Signal, float]] = {
    "reliability": 10.0,
    "speed": 1.5,
    "ttft": 1.5,
}  # where there are none
# Of 100, what all reports together move a score at most, whatever the weights and the risk. Half the switch margin, so
# that reports against one model and for another change the difference of the two by no more than the margin.
MAX_REPORTED_POINTS: Final = SWITCH_MARGIN_POINTS / 2 / (1.0 - min(RISK_LAMBDA.values()))
