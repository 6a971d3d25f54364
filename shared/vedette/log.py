"""Structured logs: one line per event handled, stable names, values as fields."""

import logging
import os
import sys
from typing import Any

import structlog


def configure(level: str | None = None, *, json: bool | None = None) -> None:
    """Send logs to standard error: readable on a terminal, JSON elsewhere, at `VEDETTE_LOG` or *level*."""
    chosen = (level or os.environ.get("VEDETTE_LOG") or "warning").upper()
    number = logging.getLevelNamesMapping().get(chosen, logging.WARNING)
    as_json = not sys.stderr.isatty() if json is None else json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer()
            if as_json
            else structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def logger(service: str) -> Any:
    """Return a logger that names *service* on every line; the first one decides how lines are written."""
    if not structlog.is_configured():
        configure()
    return structlog.get_logger().bind(service=service)
