"""Administration: changes by an admin or an operator, each with its line in the audit trail, felt at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.domain import clock
from core.domain.identity import Audit
from core.domain.principals import Principal
from core.ports.log import Change, Log, Unit

Tell = Callable[[Iterable[str]], None]
"""To be called with the ids of people after their memberships, roles or credentials changed."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change, and how the audit trail tells it; None changes nothing in the database, and is told all the same.

    A target that ends in a colon is of the id that the change makes. `details` hold no secrets.
    """

    change: Change | None
    action: str
    target: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Administration:
    """Carries out what the services of people, projects, keys and sessions have found allowed."""

    def __init__(self, log: Log, tell: Tell) -> None:
        self._log = log
        self._tell = tell

    async def carry_out(
        self, principal: Principal, *steps: Step, concerns: Iterable[str] = ()
    ) -> tuple[object, ...]:
        """Commit the steps, all of them or none, then have the live sessions of the people concerned looked at.

        The results of the changes, in their order. Raises what refuses a change, and `Unavailable`.
        """
        unit = Unit(
            principal.sender,
            changes=tuple(change for step in steps for change in _told(principal, step)),
        )
        try:
            committed = await self._log.commit(unit)
        finally:
            # Also when nobody knows whether it was stored.
            self._tell(tuple(concerns))
        pairs = zip(unit.changes, committed.results, strict=True)
        return tuple(result for change, result in pairs if not isinstance(change, Audit))


def audit_line(
    principal: Principal, action: str, target: str, details: Mapping[str, Any] | None = None
) -> Audit:
    """The line of the audit trail for what the principal does now."""
    return Audit(
        at=clock.now(),
        actor_id=principal.user.id if principal.user else None,
        sender=principal.sender,
        action=action,
        target=target,
        details=details or {},
    )


def _told(principal: Principal, step: Step) -> tuple[Change, ...]:
    line = audit_line(principal, step.action, step.target, step.details)
    return (line,) if step.change is None else (step.change, line)
