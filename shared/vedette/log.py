"""Structured logs: one line per event handled, stable names, values as fields."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from vedette.text.shown import shown


def _configure() -> None:
    """Send logs to standard error: readable on a terminal, JSON elsewhere, at the level in `VEDETTE_LOG`."""
    chosen = os.environ.get("VEDETTE_LOG", "").upper()
    number = logging.getLevelNamesMapping().get(chosen, logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *(
                (_escaped, structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ))
                if sys.stderr.isatty()
                else (structlog.processors.JSONRenderer(),)  # escapes all that is not ASCII
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # The standard error at the time of the call, not at the first one: that of a test is closed at its end.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _escaped(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape invisible characters in the texts of a line for a terminal."""
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = shown(value)
    return fields


def logger(service: str) -> Any:
    """Return a logger that names *service* on every line; the first one decides how lines are written."""
    if not structlog.is_configured():
        _configure()
    return structlog.get_logger().bind(service=service)
