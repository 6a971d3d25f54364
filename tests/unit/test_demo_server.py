"""What the demo shows of its model server."""

import pytest

from vedette.demo.server import without_clock


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("0.00.070.893 I srv    load_model: loading model 'a.gguf'", "load_model: loading model 'a.gguf'"),
        ("0.12.003.001 W load: a control token", "load: a control token"),
        ("0.00.044.489 I cmn  common_param: verbosity = 3", "common_param: verbosity = 3"),
        ("0.00.134.461 W no usable GPU found, it is ignored", "no usable GPU found, it is ignored"),
        ("0.00.134.461 E failed to load model", "failed to load model"),
        ("0.00.134.461 E unknown model: a.gguf", "unknown model: a.gguf"),
        (
            "0.00.134.461 I print_info: model params = 134.52 M (all)",
            "print_info: model params = 134.52 M (all)",
        ),
        ("134.52 M parameters", "134.52 M parameters"),
        ("it said nothing", "it said nothing"),
        ("ImportError: no module", "ImportError: no module"),
    ],
)
def test_a_line_of_the_log_is_shown_without_its_clock(line: str, shown: str) -> None:
    assert without_clock(line) == shown
