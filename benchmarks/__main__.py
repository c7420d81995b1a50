"""`python -m benchmarks [names…] [--quick] [--write]`: measure, and print a table."""

import os
import platform
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import http, inbox, latency, log, page, retention
from benchmarks.results import Results
from benchmarks.stands import opened_stands
from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "performance.md"


class Name(StrEnum):
    LOG = "log"
    HTTP = "http"
    LATENCY = "latency"
    INBOX = "inbox"
    RETENTION = "retention"
    PAGE = "page"
    DRAIN = "drain"


MEASURES = {
    Name.LOG: (log.measure, 1.5),
    Name.HTTP: (http.measure, 2.5),
    Name.LATENCY: (latency.measure, 3.0),
    Name.INBOX: (inbox.measure, 2.0),
    Name.RETENTION: (retention.measure, 5.0),
    Name.PAGE: (page.measure, 5.0),
    Name.DRAIN: (retention.drain, 20.0),
}
"""How to measure, and for how many seconds each value; the page, how many times."""
USUAL = tuple(name for name in Name if name is not Name.DRAIN)
"""What is measured when nothing is named. To drain a room takes many minutes, and is done once."""
ROUNDS = 3
QUICK = 0.2
"""What a quick run makes of the seconds; it has one round."""


def main(
    names: Annotated[
        list[Name] | None, typer.Argument(help="What to measure; all but the drain if left out.")
    ] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One short round: a look, no evidence.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Also write docs/performance.md.")] = False,
) -> None:
    """Measure the server on SQLite and on PostgreSQL, in turns, and print medians with their ranges."""
    chosen = names or list(USUAL)
    rounds, share = (1, QUICK) if quick else (ROUNDS, 1.0)
    if chosen == [Name.DRAIN]:
        rounds = 1
    started = time.monotonic()
    with opened_stands() as stands:
        results = Results(stand.name for stand in stands)
        for _ in range(rounds):
            for name in chosen:
                measure, seconds = MEASURES[name]
                for stand in stands:
                    results.add(stand.name, measure(stand, seconds * share))
    context = _context(rounds, time.monotonic() - started)
    _print(results, context)
    if write:
        _write(PAGE, results, context, chosen)


def _context(rounds: int, seconds: float) -> str:
    load = os.getloadavg()[1]
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} interleaved round"
        f"{'s' if rounds > 1 else ''} in {seconds:.0f} s, load average {load:.1f}"
    )


def _print(results: Results, context: str) -> None:
    table = Table(box=box.SIMPLE, caption=context, caption_justify="left")
    table.add_column("median (min–max)")
    for stand in results.stands:
        table.add_column(stand, justify="right")
    for row in results.rows():
        table.add_row(*row)
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)


def _write(path: Path, results: Results, context: str, chosen: list[Name]) -> None:
    command = " ".join(["python -m benchmarks", *(chosen if len(chosen) < len(USUAL) else ()), "--write"])
    table = [("median (min–max)", *results.stands), ("---", *("---:" for _ in results.stands))]
    lines = [f"| {' | '.join(row)} |" for row in (*table, *results.rows())]
    path.write_text(_PAGE.format(command=command, context=context, table="\n".join(lines)))


_PAGE = """# Performance

Written by `{command}`; `make bench` prints the same table.

Measured with {context}.

The load generator, the server and the database share the cores, so read the ratios first: numbers of another
machine, or of another run, do not compare. Everything is stored durably (SQLite with `synchronous=FULL`,
PostgreSQL with `fsync`).

{table}

- *log* is the port that everything is stored through, without HTTP. One by one waits for a flush each time; callers
  that are outstanding together share one. The goal is eight times as many.
- *http* is a server process under a load generator of its own. The floor is `GET /me`: an authenticated request that
  stores nothing.
- *latency* is from just before the POST until the notification is on a listener's WebSocket.
- *inbox* is the store's port: what one person has not read in a room of that many postings, half of them updates or all
  of five threads, by how they read the rest; and the whole summary of a person in five rooms. The goals are a p99 under 5 ms that
  grows less than twofold from 1,000 postings to 1,000,000, and under 20 ms.
- *retention* is the log's port again, at a steady rate into a room of 1,000,000 old postings and another one, in turns
  with and without the pruning job at work. The goal is a p99 of less than twice the normal one.
- *page* is the web client in Chromium, each number the median of five. The script of the first load is what the page
  asked for, compressed; until interactive is from the navigation, with a cold cache and a kept login, until the first
  row is painted and the page is free for input. Frames and tasks are the longest of their kind: by the clock, where
  everything else on the machine is in them, and tasks also by the processor time that they had, which is the page's
  own. Ten thousand rows are scrolled through in three seconds, a few screens in each frame. The goals are at most 250 kB and
  1.5 s, no frame over 50 ms while it scrolls, no task over 100 ms while 200 notifications arrive in a second, and one
  toast for all of them.
"""


if __name__ == "__main__":
    typer.run(main)
