"""A real llama.cpp server with a real small model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from require import missing
from vedette.demo.server import serving, weights
from vedette.errors import ConfigurationError
from vedette.settings import EndpointSettings


@pytest.fixture
async def model_server(tmp_path: Path) -> AsyncIterator[EndpointSettings]:
    """Serve SmolLM2-135M-Instruct on a free port."""
    try:
        weights()
    except ConfigurationError as error:
        missing("model-server", str(error))
    async with serving(tmp_path) as endpoint:
        yield endpoint
