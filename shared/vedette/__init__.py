"""Vedette finds the language models you can call, measures them, and says which one to use now."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vedette.client import Client

__all__ = ["Client", "__version__"]
__version__ = version("vedette")


def __getattr__(name: str) -> Any:
    # The client brings NATS with it; pure modules that import `vedette.types` must not pay for that.
    if name == "Client":
        from vedette.client import Client

        return Client
    raise AttributeError(f"module 'vedette' has no attribute {name!r}")
