"""Every constant of the scoring, with its unit, its meaning and its source.

`docs/adr/0004-scoring-constants.md` gives the reasons. `python -m benchmarks regret` shows their effect. A half is the
value that earns a utility of one half. Constants that differ by use case, or that other services use too, are in
`vedette.usecases`.
"""

from typing import Final

from vedette.messages.queries import Risk
from vedette.types import Signal, Status

# Utility -------------------------------------------------------------------------------------------------------

HALF_TEXTS_PER_S: Final = 200.0  # texts/s, embedding models
HALF_FAILURES: Final = 0.1  # of all calls: with one failure in ten, reliability earns one half
MIN_CONTEXT_TOKENS: Final = 1024  # tokens: a context that is worth nothing
RELIABILITY_PRIOR: Final = (1.9, 0.1)  # Beta(successes, failures) before any probe: 95 %

# Confidence ----------------------------------------------------------------------------------------------------
#
# Of speed and TTFT: the variance of the expected utility, over it and the variance of the measurement.

EXPECTED_SPREAD: Final = 0.2  # standard deviation of the utility to expect of a speed before it is measured
STEEPEST: Final = 0.25  # change of the utility by relative change of the value, at most: x / (x + half)
MIN_RUN_SPREAD: Final = 0.2  # relative; of a single run, of which no spread can be seen
REPORTED_SPREAD: Final = 0.5  # relative; of what callers report
DRIFT_PER_WEEK: Final = 0.3  # relative standard deviation by which a server's speed moves in a week
RELIABILITY_K: Final = 20.0  # probes that are worth as much as the prior
RELIABILITY_HALF_LIFE_S: Final = 86_400.0
RELIABILITY_WINDOW_H: Final = 7 * 24  # hours of probes behind the reliability

# What to expect of what was not measured -------------------------------------------------------------------------

LOCAL_BYTES_PER_S: Final = 60e9  # of weights read for tokens, where no model of the endpoint was measured
LOCAL_TTFT_MS: Final = 300.0  # and by 1 + billions of parameters, over 1 + 7
LOAD_BYTES_PER_S: Final = 1e9  # of weights read into memory, where no model of the endpoint was seen to load
HOSTED_OUTPUT_TPS: Final = 60.0  # tokens/s: the middle of what hosted services publish
HOSTED_TTFT_MS: Final = 900.0  # ms
USUAL_OUTPUT_TPS: Final = 20.0  # tokens/s, where neither the place nor the size is known
USUAL_TTFT_MS: Final = 1500.0
USUAL_BITS: Final = 5.0  # of a weight whose quantisation is not known, as local models are usually served
EXPECTED_UTILITY: Final[dict[Signal, float]] = {"price": 0.5, "context": 0.3}
EMBEDDING_UTILITY: Final = 0.4  # of speed and TTFT of a model that embeds

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
STALE_INTERVALS: Final = 3  # health older than this number of availability intervals is unknown

# Callers' reports ----------------------------------------------------------------------------------------------
#
# No report can be verified. Reports move the utilities of speed, TTFT and reliability, never the
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
