"""`python -m benchmarks [names…] [--quick] [--write]`: measure, and print a table."""

import time
from enum import StrEnum
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import browser, fanout, http, inbox, latency, log, retention
from benchmarks.page import FANOUT, STORED, context_of, write_plots, write_section
from benchmarks.results import Results
from benchmarks.stands import opened_stands


class Name(StrEnum):
    LOG = "log"
    HTTP = "http"
    LATENCY = "latency"
    INBOX = "inbox"
    RETENTION = "retention"
    PAGE = "page"
    DRAIN = "drain"
    FANOUT = "fanout"


MEASURES = {
    Name.LOG: (log.measure, 1.5),
    Name.HTTP: (http.measure, 2.5),
    Name.LATENCY: (latency.measure, 3.0),
    Name.INBOX: (inbox.measure, 2.0),
    Name.RETENTION: (retention.measure, 5.0),
    Name.PAGE: (browser.measure, 5.0),
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
    clients: Annotated[
        list[int] | None, typer.Option("--clients", help="In the fan-out; may be given several times.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = ROUNDS,
    quick: Annotated[bool, typer.Option("--quick", help="One short round: a look, no evidence.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Also write docs/performance.md.")] = False,
) -> None:
    """Measure the server on SQLite and on PostgreSQL, in turns, and print medians with their ranges."""
    chosen = names or list(USUAL)
    rounds, share = (1, QUICK) if quick else (rounds, 1.0)
    stored = [name for name in chosen if name is not Name.FANOUT]
    if stored:
        _measure_stored(stored, 1 if stored == [Name.DRAIN] else rounds, share, write=write)
    if Name.FANOUT in chosen:
        sizes = fanout.allowed(clients or (fanout.QUICK_SIZES if quick else fanout.SIZES))
        asked = [*(f"--clients {size}" for size in clients or ()), f"--rounds {rounds}"]
        command = " ".join(["python -m benchmarks fanout", *asked, "--write"])
        _measure_fanout(sizes, rounds, command, quick=quick, write=write)


def _measure_stored(chosen: list[Name], rounds: int, share: float, *, write: bool) -> None:
    started = time.monotonic()
    with opened_stands() as stands:
        results = Results(stand.name for stand in stands)
        for _ in range(rounds):
            for name in chosen:
                measure, seconds = MEASURES[name]
                for stand in stands:
                    results.add(stand.name, measure(stand, seconds * share))
    context = context_of(rounds, time.monotonic() - started)
    _print(results, context)
    if write:
        named = chosen if len(chosen) < len(USUAL) - 1 else ()
        write_section(STORED, results, context, " ".join(["python -m benchmarks", *named, "--write"]))


def _measure_fanout(sizes: tuple[int, ...], rounds: int, command: str, *, quick: bool, write: bool) -> None:
    started = time.monotonic()
    results = Results(fanout.COLUMNS)
    for _ in range(rounds):
        fanout.measure(results, sizes, quick=quick)
    context = context_of(rounds, time.monotonic() - started)
    _print(results, context)
    if write:
        write_section(FANOUT, results, context, command)
        write_plots(results, sizes)


def _print(results: Results, context: str) -> None:
    table = Table(box=box.SIMPLE, caption=context, caption_justify="left")
    table.add_column("median (min–max)")
    for stand in results.stands:
        table.add_column(stand, justify="right")
    for row in results.rows():
        table.add_row(*row)
    console = Console()
    console.width = max(console.width, 120 if len(results.stands) < 3 else 190)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
