"""What a run is to be."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`rate` is in publications a second, `seconds` the time in which faults are injected; `faults` names the kinds,
    all that this machine allows when it is empty; `keep` is the folder in which the journals and logs are left.
    """

    seed: int
    seconds: float = 360
    servers: int = 3
    listeners: int = 50
    rate: float = 30
    faults: tuple[str, ...] = ()
    mutation: str | None = None
    keep: Path | None = None
    retries: tuple[int, int] = (200, 1_000)
    """The first and the longest wait of a client, in milliseconds."""


SHORT = {"seconds": 25, "servers": 2, "listeners": 20, "rate": 25}
"""Of the form that runs in CI."""
