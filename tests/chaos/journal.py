"""Journals: what each program of a run saw, one JSON object a line, written the moment it was seen.

`at` is CLOCK_MONOTONIC in seconds, which all processes of one machine share and no fault of ours moves.
A line is one `write`: a program that is killed leaves whole lines.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Appends to a file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, **entry: Any) -> None:
        line = json.dumps({"at": time.monotonic(), **entry}, separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The entries so far; nothing if there is no such file yet."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)
