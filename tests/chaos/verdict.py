"""What a run is found to be: a row for each kind of fault, and the promises that were broken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TOTAL, RECOVERING, CALM = "in all", "recovering", "no fault"


@dataclass(slots=True)
class Row:
    """What came of the publications that were accepted in the time of one kind of fault."""

    fault: str
    times: int = 0
    accepted: int = 0
    due: int = 0
    shown: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    leaked: int = 0
    lags_s: list[float] = field(default_factory=list)

    def lag_s(self, share: float) -> float:
        """The lag that this share of the deliveries did not exceed."""
        return sorted(self.lags_s)[round(share * (len(self.lags_s) - 1))] if self.lags_s else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rows` begin with the whole run. `breaches` names each promise that was broken: none, and the run has passed.

    `told` counts deliveries of which a device was told, as it must be, that they would not come.
    """

    rows: Sequence[Row]
    breaches: Mapping[str, Sequence[str]]
    told: int = 0

    @property
    def total(self) -> Row:
        return self.rows[0]
