"""What the recommender keeps of queries that it may be asked again: replies, nothing of the size of the fleet."""

import gc
import tracemalloc
from itertools import islice

import numpy as np

from benchmarks import inprocess, questions
from vedette.testing import FakeClock

MODELS = 1_000
QUERIES = 200
MAX_BESIDE_BYTES = 4_000  # kept of a query with its reply: what the reply depends on


def test_a_kept_reply_keeps_no_mask_of_all_models() -> None:
    """One with each took 100 of 538 MB after 6,000 different queries over ten thousand models."""
    made, _ = inprocess.filled(MODELS, FakeClock())  # a new minute would make arrays that are kept once
    asked = list(islice(questions.unlike(seed=7, models=MODELS), 2 * QUERIES))
    for payload in asked[:QUERIES]:
        made.answers.answer("recommend.best", payload)
    gc.collect()
    tracemalloc.start()
    for payload in asked[QUERIES:]:
        made.answers.answer("recommend.best", payload)
    gc.collect()
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    kept = tracemalloc.take_snapshot().filter_traces((arrays,)).statistics("lineno")
    tracemalloc.stop()
    assert sum(one.size for one in kept) < QUERIES * MODELS / 4


def test_a_kept_reply_keeps_no_ranking_where_callers_are_not_spread() -> None:
    """A query kept 5.7 KB apart from its reply with its ranking, 2.3 KB without."""
    made, _ = inprocess.filled(MODELS, FakeClock())
    asked = list(islice(questions.unlike(seed=7, models=MODELS), 2 * QUERIES))
    for payload in asked[:QUERIES]:
        made.answers.answer("recommend.best", payload)
    gc.collect()
    tracemalloc.start()
    replied = sum(len(made.answers.answer("recommend.best", payload)) for payload in asked[QUERIES:])
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept - replied < QUERIES * MAX_BESIDE_BYTES, (kept - replied) / QUERIES
