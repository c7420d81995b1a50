"""The summary: what happened while a person was away and what is waiting now, in numbers and in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from core.domain.inbox import InboxState, Missed
from core.domain.notifications import Level
from core.domain.tasks import TaskState, WaitingWork


@dataclass(frozen=True, slots=True)
class Message:
    """One sentence for people, in every language we speak."""

    level: Level
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`since` is when the person last acknowledged anything, None if never; `tasks` counts waiting work by state, and
    `work` is that of our own tasks: where it is, and what has waited longest.
    """

    inbox: InboxState
    since: datetime | None
    missed: Missed
    tasks: Mapping[str, int]
    work: WaitingWork

    @property
    def urgent(self) -> bool:
        return self.missed.urgent > 0 or self.tasks.get(TaskState.REJECTED, 0) > 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """The documented sentences for what there is, the most pressing first."""
        waiting = [
            Message(
                level, {"zh-CN": chinese.format(n=count), "en": english.format(n=count, s=_plural(count))}
            )
            for state, level, chinese, english in _SENTENCES
            if (count := self.tasks.get(state, 0))
        ]
        return (*waiting, *self._missed_message())

    def _missed_message(self) -> tuple[Message, ...]:
        count = self.missed.total
        if not count:
            return ()
        more = "+" if self.missed.capped else ""
        text = {
            "zh-CN": f"您离线期间有 {count}{more} 条新通知",
            "en": f"{count}{more} notification{_plural(count)} arrived while you were away",
        }
        return (Message(Level.INFO, text),)


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


_SENTENCES = (
    (
        TaskState.REJECTED,
        Level.WARNING,
        "⚠️ 您有 {n} 个被驳回任务，建议请您先修订",
        "⚠️ You have {n} rejected task{s}; please revise first",
    ),
    (TaskState.SUBMITTED, Level.INFO, "📋 有 {n} 个任务待审核", "📋 {n} task{s} waiting for review"),
    (TaskState.SKIP_PENDING, Level.INFO, "⏭️ 有 {n} 个跳过申请待处理", "⏭️ {n} skip request{s} waiting"),
    (TaskState.IN_PROGRESS, Level.INFO, "📝 您有 {n} 个进行中的任务", "📝 You have {n} task{s} in progress"),
)
