"""The audit trail as it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what to whom, and when. `actor_id` is None for an operator at the command line."""

    id: int
    at: datetime
    actor_id: str | None
    sender: str
    action: str
    target: str
    details: Mapping[str, Any]
