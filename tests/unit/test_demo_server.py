"""What the demo shows of its model server."""

import pytest

from vedette.demo.server import without_clock


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("0.00.070.893 I srv    load_model: loading model 'a.gguf'", "load_model: loading model 'a.gguf'"),
        ("0.12.003.001 W load: a control token", "load: a control token"),
        ("it said nothing", "it said nothing"),
        ("ImportError: no module", "ImportError: no module"),
    ],
)
def test_a_line_of_the_log_is_shown_without_its_clock(line: str, shown: str) -> None:
    assert without_clock(line) == shown
