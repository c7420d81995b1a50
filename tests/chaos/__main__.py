"""`python -m tests.chaos`, also as `python -m server chaos`: inject faults, and tell whether a promise was broken."""

import asyncio
import logging
import random
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from tests.chaos import mutations
from tests.chaos.faults import FAULTS
from tests.chaos.plan import SHORT, Plan
from tests.chaos.report import report
from tests.chaos.run import run


def chaos(
    *,
    seed: Annotated[
        int | None, typer.Option(help="The same seed, the same faults in the same order.")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="About a minute, as in CI.")] = False,
    seconds: Annotated[float | None, typer.Option(help="For how long faults are injected.")] = None,
    servers: Annotated[int | None, typer.Option(min=1)] = None,
    listeners: Annotated[int | None, typer.Option(min=4, help="Devices, some of them in Node.")] = None,
    rate: Annotated[float | None, typer.Option(help="Publications a second.")] = None,
    faults: Annotated[str, typer.Option(help=f"Kinds, joined by commas: {', '.join(FAULTS)}.")] = "",
    mutation: Annotated[
        str | None,
        typer.Option(
            help=f"Break a safeguard; the run must fail: {', '.join((*mutations.SERVER, *mutations.CLIENT))}."
        ),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="An empty folder, in which journals and logs stay.")
    ] = None,
) -> None:
    """Start servers, PostgreSQL and Redis on free ports of this machine, inject faults, and check every promise.

    Exit code: 0 every promise was kept, 1 one was broken, 2 wrong usage.
    """
    kinds = tuple(filter(None, faults.split(",")))
    if unknown := set(kinds) - FAULTS.keys():
        raise typer.BadParameter(f"There are no faults {', '.join(sorted(unknown))}.")
    if mutation is not None and mutation not in {**mutations.SERVER, **mutations.CLIENT}:
        raise typer.BadParameter(f"There is no mutation {mutation}.")
    given = {"seconds": seconds, "servers": servers, "listeners": listeners, "rate": rate}
    plan = Plan(
        seed=random.randrange(10**6) if seed is None else seed,
        faults=kinds,
        mutation=mutation,
        keep=keep,
        **(SHORT if short else {}) | {name: value for name, value in given.items() if value is not None},
    )
    logging.getLogger("clients.python").setLevel(
        logging.ERROR
    )  # of the crowd: that it is cut off is the point
    print(f"Seed {plan.seed}.", flush=True)
    started = time.monotonic()
    history, verdict = asyncio.run(
        run(plan, lambda line: print(f"{time.monotonic() - started:6.1f}  {line}", flush=True))
    )
    print(f"\n{report(history, verdict)}\nSeed {plan.seed}, {time.monotonic() - started:.0f} s.")
    sys.exit(1 if verdict.breaches else 0)


if __name__ == "__main__":
    typer.run(chaos)
