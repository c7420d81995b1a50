"""Rows to domain objects, and back."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from core.domain.notifications import Actor, Amendment, Draft, Kind, Level, Notification, Posting

AnyRow = Row[*tuple[Any, ...]]


def notification_from_row(row: AnyRow) -> Notification:
    """A notification from the columns of `tables.notification_content`."""
    return Notification(
        id=row.content_id,
        type=row.type,
        level=Level(row.level),
        urgent=row.urgent,
        title=row.title,
        content=row.content,
        data=row.data,
        link=row.link,
        thread=row.content_thread,
        settles=row.settles,
        actor=None if row.actor_id is None else Actor(row.actor_id, row.actor_name),
        sender=row.sender,
        created_at=row.content_created_at,
        expires_at=row.expires_at,
        retracted_at=row.retracted_at,
    )


def posting_from_row(row: AnyRow, now: datetime) -> Posting:
    """A posting from its columns beside `tables.notification_content`, without content that is hidden at `now`."""
    notification = notification_from_row(row)
    is_shown = notification.is_shown_at(now)
    amendment = amendment_from_json(row.amendment)
    if amendment and row.kind == Kind.UPDATE and not is_shown:
        amendment = Amendment(amendment.by)
    return Posting(
        room=row.room,
        offset=row.offset,
        kind=Kind(row.kind),
        notification_id=row.notification_id,
        thread=row.thread,
        members=row.members,
        created_at=row.created_at,
        notification=notification if row.kind == Kind.NOTIFICATION and is_shown else None,
        amendment=amendment,
    )


def notification_row(draft: Draft) -> dict[str, Any]:
    """The row that stores a draft's notification."""
    content = draft.notification
    if content is None:
        raise ValueError("A draft of a notification brings its content.")
    return {
        "id": content.id,
        "type": content.type,
        "level": str(content.level),
        "urgent": content.urgent,
        "title": content.title,
        "content": content.content,
        "data": dict(content.data),
        "link": content.link,
        "thread": content.thread,
        "settles": content.settles,
        "actor_id": content.actor.id if content.actor else None,
        "actor_name": content.actor.name if content.actor else None,
        "sender": content.sender,
        "idempotency_key": draft.key,
        "body_hash": draft.body_hash,
        "created_at": content.created_at,
        "expires_at": content.expires_at,
    }


def amendment_json(amendment: Amendment | None) -> dict[str, Any] | None:
    if amendment is None:
        return None
    by = {"id": amendment.by.id, "name": amendment.by.name} if amendment.by else None
    return {"by": by, "set": dict(amendment.set)}


def amendment_from_json(stored: dict[str, Any] | None) -> Amendment | None:
    if stored is None:
        return None
    by = stored["by"]
    return Amendment(by=Actor(by["id"], by["name"]) if by else None, set=stored["set"])
