"""The console's cache of values for pages: results are kept, failures are not."""

import pytest

from vedette.errors import NoAnswer
from vedette.testing import FakeClock
from vedette_console.screens.context import Fresh


@pytest.mark.parametrize("error", [NoAnswer(code="no_answer", message="away"), ConnectionError("broken")])
async def test_a_failure_is_not_kept(error: Exception) -> None:
    fresh, ends = Fresh(60.0, FakeClock()), [error]

    async def make() -> str:
        if ends:
            raise ends.pop()
        return "made"

    with pytest.raises(type(error)):
        await fresh.get("key", make)
    assert await fresh.get("key", make) == "made"
    assert await fresh.get("key", make) == "made"
