"""The audit trail: who did what to whom, for admins to read."""

from core.domain.audit import AuditEntry
from core.domain.pages import Page
from core.domain.principals import Principal
from core.ports.directory import Directory


class AuditService:
    """For admins; everybody else is refused with `Forbidden`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def page(
        self, principal: Principal, *, actor: str | None, target: str | None, cursor: str | None, limit: int
    ) -> Page[AuditEntry]:
        """What was done, newest first; by one person, or to one target."""
        principal.check_is_admin()
        return await self._directory.audit(actor, target, cursor, limit)
