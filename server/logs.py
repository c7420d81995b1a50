"""Logs: one line an event, for people or as JSON. Never tokens, names or texts."""

import asyncio
import json
import logging
import logging.config
import re
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import orjson
import structlog

_QUIET = ("aiohttp.access", "asyncio", "alembic", "engineio", "socketio", "sqlalchemy")

Render = Callable[[dict[str, Any]], str]


def configure_logs(*, form: str, level: str) -> None:
    """Send everything that is logged to standard error, in the form asked for."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": _Line, "render": _as_json if form == "json" else _for_people}},
            "handlers": {"stderr": {"()": _TurnByTurn, "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": "WARNING"} for name in _QUIET},
        }
    )
    _find_out_less()


def _find_out_less() -> None:
    """Nothing of this is in a line, and it would be found out for each (`Optimization` in logging's documentation)."""
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]  # of Python 3.12


class _TurnByTurn(logging.StreamHandler[TextIO]):
    """Writes the lines of one turn of the loop together: a session that comes has half a dozen, and they come by hundreds.

    Warnings, what is logged off the loop, and many lines are written at once, with what waits before them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.append(self.format(record))
            if record.levelno >= logging.WARNING or len(self._waiting) >= _MAX_WAITING:
                self.flush()
            else:
                self._flush_soon()
        except Exception:  # noqa: BLE001 - as every handler: what cannot be logged stops nobody
            self.handleError(record)

    def _flush_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if len(self._waiting) == 1 or loop is not self._loop:
            self._loop = loop
            loop.call_soon(self.flush)

    def flush(self) -> None:
        with self.lock or nullcontext():
            lines, self._waiting = self._waiting, []
            if lines:
                self.stream.write("".join(f"{line}{self.terminator}" for line in lines))
            super().flush()


_MAX_WAITING = 100


class _Line(logging.Formatter):
    """An event as structlog has it, made of a record in one step: its own formatter takes five times as long."""

    def __init__(self, render: Render) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {"event": record.getMessage()}
        if record.stack_info:
            event["stack_info"] = record.stack_info
        event["level"] = record.levelname.lower()
        if not record.__dict__.keys() <= _NOT_EXTRA:
            event |= {name: value for name, value in record.__dict__.items() if name not in _NOT_EXTRA}
        second, part = divmod(record.created, 1)
        event["timestamp"] = f"{_second(second)}.{int(part * 1_000_000):06}Z"
        if record.exc_info:
            event["exc_info"] = record.exc_info
        return self._render(event)


@lru_cache(maxsize=2)
def _second(seconds: float) -> str:
    """A whole second since the Unix epoch; most lines are of the same as the one before."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


_NOT_EXTRA = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _write_traceback(out: TextIO, exc_info: Any) -> None:
    out.write(f"\n{_traceback(exc_info)}")


def _traceback(exc_info: Any) -> str:
    """As Python writes it, less what PostgreSQL says of the row at fault: names and texts stand in it."""
    return _DETAIL.sub("DETAIL:  …", "".join(traceback.format_exception(*exc_info)).rstrip("\n"))


_DETAIL = re.compile(
    r"^DETAIL:  .*?(?=\n(?:HINT:  |\[SQL: |\(Background on )|\n\n(?:The above|During handling)|\Z)",
    re.DOTALL | re.MULTILINE,
)


def _as_json(event: dict[str, Any]) -> str:
    if "exc_info" in event:
        event["exception"] = _traceback(event.pop("exc_info"))
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # what UTF-8 has no form for, or a number of more than 64 bits
        return json.dumps(event, default=repr)


_CONSOLE = structlog.dev.ConsoleRenderer(
    colors=False,
    pad_event_to=0,
    # Plain on purpose: the pretty one prints local variables, and those hold tokens and texts.
    exception_formatter=_write_traceback,
)


def _for_people(event: dict[str, Any]) -> str:
    return str(_CONSOLE(None, "", event))
