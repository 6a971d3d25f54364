"""A server becomes ten times slower, and nothing but Vedette's own probes shows it."""

from benchmarks.regret.hours import BEGINS, PROBE_S, STEP_S, slow


def test_the_answer_leaves_a_slow_server_seconds_after_the_next_probe() -> None:
    """A second probe confirms the first; no benchmark must find a quiet moment."""
    found = slow("neither", 0, hours=0.6, lasts_s=3600.0)
    assert found["left_s"] <= PROBE_S - BEGINS + 2 * STEP_S
