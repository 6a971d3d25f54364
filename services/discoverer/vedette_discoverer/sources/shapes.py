"""Values of JSON that others wrote, which may have any shape. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any


def at(value: Any, *path: str) -> Any:
    """Return what is at *path* in nested mappings, or None."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """Return *value* if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """Return *value* if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def words(value: Any) -> dict[str, str]:
    """Return the texts of a mapping, such as labels."""
    return {key: text for key, text in mapping(value).items() if isinstance(text, str)}
