"""How `listen` shows what it receives: lines for people, or one JSON object a line for programs."""

import json
import sys
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from .follow import Payload

LEVEL_STYLES = {"info": "cyan", "success": "green", "warning": "yellow", "error": "bold red"}
CHANGES = {"update": "更新", "retract": "撤回", "settle": "已处理"}


class JsonOutput:
    """`{"event": …, …payload}`, one object a line, flushed before the call returns."""

    def show(self, event: str, payload: Payload) -> None:
        fields = {"event": event} | payload | {"event": event}
        line = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
        sys.stdout.buffer.flush()


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Rich would exit at once; `listen` has a session to end first."""
        raise BrokenPipeError


class LineOutput:
    """One line an event, with time, level, room and title. Characters that could steer a terminal are replaced."""

    def __init__(self) -> None:
        self._console = _Terminal(highlight=False, soft_wrap=True)
        self._lines = {
            "notification": _notification,
            "changed": _changed,
            "summary": _summary,
            "session": _session,
            "connection": _connection,
            "inbox": _inbox,
            "rooms": _rooms,
        }

    def show(self, event: str, payload: Payload) -> None:
        if (line := self._lines.get(event)) is not None:
            self._console.print(line(payload))


def _notification(notification: Payload) -> Text:
    level = str(notification.get("level") or "info")
    line = Text()
    line.append(f"{_local_time(notification.get('created_at'))} ", "dim")
    line.append(f"{_plain(level):<7} ", LEVEL_STYLES.get(level, ""))
    line.append(f"{_plain(notification.get('room'))} ", "dim")
    line.append("‼ " if notification.get("urgent") else "", "bold red")
    line.append(_plain(notification.get("title")), "bold")
    if content := notification.get("content"):
        line.append(f"  {_plain(content)}")
    return line


def _changed(changed: Payload) -> Text:
    kind = str(changed.get("kind"))
    thread = changed.get("thread") or changed.get("id")
    line = f"✎ {CHANGES.get(kind, _plain(kind))} {_plain(changed.get('room'))} {_plain(thread)}"
    by = (changed.get("by") or {}).get("name")
    return Text(f"{line} ({_plain(by)})" if by else line, "dim")


def _summary(summary: Payload) -> Text:
    missed = (summary.get("missed") or {}).get("total", 0)
    texts = [message.get("text") or {} for message in summary.get("messages") or ()]
    line = Text(
        f"📋 离线期间 {missed} 条，未读 {summary.get('unread')}", "bold" if summary.get("urgent") else ""
    )
    for text in texts:
        line.append(f"\n   {_plain(text.get('zh-CN') or text.get('en'))}")
    return line


def _session(session: Payload) -> Text:
    lost = sorted(room for room, whole in (session.get("recovered") or {}).items() if not whole)
    if lost:
        return Text(f"⚠️ 无法补全，请查看收件箱: {_plain(', '.join(lost))}", "yellow")
    return Text(
        f"· 会话 {_plain(session.get('state'))} {_plain(session.get('reason') or '')}".rstrip(), "dim"
    )


def _connection(connection: Payload) -> Text:
    return Text(f"· 连接 {connection['state']}", "dim")


def _inbox(inbox: Payload) -> Text:
    return Text(f"· 收件箱 未读 {inbox.get('unread')}", "dim")


def _rooms(rooms: Payload) -> Text:
    signed = [f"+{room}" for room in rooms.get("joined") or ()] + [
        f"-{room}" for room in rooms.get("left") or ()
    ]
    return Text(f"· 房间 {_plain(' '.join(signed))}", "dim")


def _plain(value: Any) -> str:
    return "".join(character if character.isprintable() else "�" for character in str(value or ""))


def _local_time(created_at: Any) -> str:
    try:
        return datetime.fromisoformat(str(created_at)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "--:--:--"
