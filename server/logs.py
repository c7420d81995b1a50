"""Logs: one line an event, for people or as JSON. Never tokens, names or texts."""

import logging
import logging.config
from typing import Any

import structlog

_QUIET = ("aiohttp.access", "asyncio", "alembic", "engineio", "socketio", "sqlalchemy")


def configure_logs(*, form: str, level: str) -> None:
    """Send everything that is logged to standard error, in the form asked for."""
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            # Plain on purpose: the pretty one prints local variables, and those hold tokens and texts.
            colors=False,
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    shared = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([structlog.processors.format_exc_info] if form == "json" else []),
            renderer,
        ],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": "WARNING"} for name in _QUIET},
        }
    )
