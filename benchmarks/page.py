"""The page `docs/performance.md`: a section for each kind of run, written anew by it, and the others left as they are."""

import os
import platform

from benchmarks import fanout
from benchmarks.plot import bars
from benchmarks.results import Results
from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "performance.md"
STORED, FANOUT, GOALS = "## Stored and told", "## Fan-out", "## Against the goals"
"""The last is written by hand, about a run that it names."""
_TITLE = "# Performance"

_PLOTS = {
    "fanout-cpu": (fanout.CPU, "Server CPU, µs a delivery, by number of clients in one room"),
    "fanout-burst": (fanout.BURST_CPU, "The same with 4 publications outstanding"),
    "fanout-memory": (fanout.MEMORY, "Memory, KB a connection, by number of connections"),
    "fanout-p99": (fanout.P99, "From publish to socket, p99 ms at half of the saturation rate"),
}


def context_of(rounds: int, seconds: float) -> str:
    """What the numbers depend on."""
    load = os.getloadavg()[1]
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} interleaved round"
        f"{'s' if rounds > 1 else ''} in {seconds:.0f} s, load average {load:.1f}"
    )


def write_section(heading: str, results: Results, context: str, command: str) -> None:
    sections = _sections()
    table = [("median (min–max)", *results.stands), ("---", *("---:" for _ in results.stands))]
    lines = [f"| {' | '.join(row)} |" for row in (*table, *results.rows())]
    text = {STORED: _STORED, FANOUT: _FANOUT}[heading]
    sections[heading] = text.format(command=command, context=context, table="\n".join(lines))
    PAGE.write_text(
        f"{_TITLE}\n\n{_INTRODUCTION}\n"
        + "\n".join(sections[name] for name in (STORED, FANOUT, GOALS) if name in sections)
    )


def write_plots(results: Results, sizes: tuple[int, ...]) -> None:
    for name, (what, title) in _PLOTS.items():
        groups = {
            f"{size:,}": {
                server: found
                for server in fanout.OPENERS
                if (found := results.range(f"{size:,} clients: {what}", server)) is not None
            }
            for size in sizes
        }
        (PAGE.parent / "plots").mkdir(exist_ok=True)
        (PAGE.parent / "plots" / f"{name}.svg").write_text(bars(title, groups))


def _sections() -> dict[str, str]:
    """What the page says now, by heading."""
    text = PAGE.read_text() if PAGE.exists() else ""
    starts = sorted(start for heading in (STORED, FANOUT, GOALS) if (start := text.find(f"{heading}\n")) >= 0)
    found = (text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True))
    return {part.partition("\n")[0]: part.rstrip("\n") + "\n" for part in found}


_INTRODUCTION = """`make bench` measures all of this, and prints the tables.

The load generator, the server and the database share the cores, so read the ratios first: numbers of another
machine, or of another run, do not compare.
"""

_STORED = """## Stored and told

Written by `{command}`.

Measured with {context}.

Everything is stored durably (SQLite with `synchronous=FULL`, PostgreSQL with `fsync`).

{table}

- *log* is the port that everything is stored through, without HTTP. One by one waits for a flush each time; callers
  that are outstanding together share one. The goal is eight times as many.
- *http* is a server process under a load generator of its own. The floor is `GET /me`: an authenticated request that
  stores nothing.
- *latency* is from just before the POST until the notification is on a listener's WebSocket.
- *inbox* is the store's port: what one person has not read in a room of that many postings, half of them updates or all
  of five threads, by how they read the rest; what somebody missed who knows none of five threads; the newest thirty rows
  and the numbers on the tabs, of a room in which each fiftieth thread is open; and the whole summary of a person in five
  rooms. The goals are a p99 under 5 ms that grows less than twofold from 1,000 postings to
  1,000,000, and under 20 ms.
- *retention* is the log's port again, at a steady rate into a room of 1,000,000 old postings and another one, in turns
  with and without the pruning job at work. The goal is a p99 of less than twice the normal one.
- *page* is the web client in Chromium, each number the median of five; it is the same over either database, and measured
  over one. The script of the first load is what the page asked for, compressed; until interactive is from the navigation,
  with a cold cache and a kept login, until the first row is painted and the page is free for input. Frames and tasks are
  the longest of their kind: by the clock, where everything else on the machine is in them, and tasks also by the processor
  time that they had, which is the page's own. Ten thousand rows are scrolled through in three seconds, several screens in
  each frame. The goals are at most 250 kB and 1.5 s, no frame over 50 ms while it scrolls, no task over 100 ms while 200
  notifications arrive in a second, and one toast for all of them.
"""

_FANOUT = """## Fan-out

Written by `{command}`.

Measured with {context}.

One publication to many WebSocket clients, by each server in turn, within one run. The clients are a program in C that costs
less than the Socket.IO servers, and about as much as the bare `send()`, whose rates it limits; its own cost stands in the
table. All servers send frames of the same size, 408 bytes. What the numbers hold is not the same: this server authenticates each publisher, checks each request, writes each publication to disk
(SQLite, in the process that is measured) and logs it; the others only send.

![Server CPU for each delivery](plots/fanout-cpu.svg)

![Server CPU for each delivery, in bursts](plots/fanout-burst.svg)

![Memory for each connection](plots/fanout-memory.svg)

![Latency](plots/fanout-p99.svg)

{table}

- *send() in C* writes a frame that is made once to one socket after the other, and does nothing else: the kernel's limit.
- *4 publications outstanding*: the next is published as soon as all clients have the fourth last.
- *at half of saturation*: at half the rate that the server itself reached with 4 outstanding, so the faster server is given
  more to do; the heartbeats are of clients that send one every 30 s.
- *connect*, *disconnect*, *come back*: until the server is idle again. This server checks a token, reads the person, their
  rooms and their summary from the database for each that comes; the others let in whoever knocks. Who comes back has
  missed nothing.
- *in 50 rooms* a publication has 20 receivers: to store it costs this server more than to send it.
"""
