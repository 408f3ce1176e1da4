"""Loggers: key-value pairs over the standard library's ``logging``, which the application configures.

As a library Perdure prints nothing of its own; ``perdure serve`` sets up lines for people or JSON.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logger(name: str) -> BoundLogger:
    """Give the logger of a module: ``logger("perdure.react").warning("reactor waits", cause=...)``."""
    wrapped: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=False,
    )
    return wrapped


def configure(form: Literal["auto", "json", "text"] = "auto", level: str = "info") -> None:
    """Send all logs to standard error: JSON lines, or lines for people on a terminal."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger("perdure")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
