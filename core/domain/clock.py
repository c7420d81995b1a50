"""Time as the wire has it: UTC with milliseconds. Never used for order; order is the offset."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment in UTC, cut to milliseconds so that what is stored equals what is sent."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. `2026-01-31T08:00:00.123Z`."""
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
