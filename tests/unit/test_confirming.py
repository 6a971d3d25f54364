"""Second probes of slow models are few: of a host, and in all."""

from contextlib import ExitStack

from vedette_prober.confirming import MAX_CONFIRMING, MAX_CONFIRMING_AT_HOST, Confirming


def test_few_models_of_a_host_wait_for_a_second_probe_at_once() -> None:
    waiting = Confirming()
    with ExitStack() as held:
        taken = [held.enter_context(waiting.place("box")) for _ in range(MAX_CONFIRMING_AT_HOST + 3)]
        assert taken == [True] * MAX_CONFIRMING_AT_HOST + [False] * 3
        assert held.enter_context(waiting.place("other"))
    with waiting.place("box") as may:
        assert may


def test_few_wait_in_all_where_a_whole_network_is_slow() -> None:
    waiting = Confirming()
    with ExitStack() as held:
        taken = [held.enter_context(waiting.place(f"box-{n}")) for n in range(500)]
        assert taken.count(True) == MAX_CONFIRMING
    with waiting.place("box-499") as may:
        assert may
