"""Vedette finds the language models you can call, measures them, and says which one to use now."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vedette.client import Client, SyncClient
    from vedette.client.fallback import calls
    from vedette.types import ModelRef, Outcome

__all__ = ["Client", "ModelRef", "Outcome", "SyncClient", "__version__", "calls"]
_PLACES = {
    "Client": "client",
    "ModelRef": "types",
    "Outcome": "types",
    "SyncClient": "client",
    "calls": "client.fallback",
}
__version__ = version("vedette")


def __getattr__(name: str) -> Any:
    # The client brings NATS with it; pure modules that import `vedette.types` must not pay for that.
    if name in _PLACES:
        return getattr(import_module(f"vedette.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'vedette' has no attribute {name!r}")
