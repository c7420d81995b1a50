from core.domain.inbox import InboxState, Missed
from core.domain.notifications import Level
from core.domain.summary import Summary
from core.domain.tasks import WaitingWork


def summary(tasks=None, *, total=0, capped=False, urgent=0) -> Summary:
    return Summary(
        inbox=InboxState(unread=0, unseen=0, version=0, epoch="e1", position={}),
        since=None,
        missed=Missed(total=total, capped=capped, by_type={}, by_room={}, urgent=urgent, latest=()),
        tasks=tasks or {},
        work=WaitingWork(own={}, review={}, oldest=None),
    )


def sentences(made: Summary, language: str) -> list[str]:
    return [message.text[language] for message in made.messages]


def test_a_rejected_task_is_told_in_the_documented_words():
    made = summary({"rejected": 1})

    assert sentences(made, "zh-CN") == ["⚠️ 您有 1 个被驳回任务，建议请您先修订"]
    assert sentences(made, "en") == ["⚠️ You have 1 rejected task; please revise first"]
    assert made.messages[0].level is Level.WARNING


def test_everything_that_waits_is_told_the_most_pressing_first():
    made = summary({"in_progress": 4, "skip_pending": 3, "submitted": 2, "rejected": 5}, total=6)

    assert sentences(made, "zh-CN") == [
        "⚠️ 您有 5 个被驳回任务，建议请您先修订",
        "📋 有 2 个任务待审核",
        "⏭️ 有 3 个跳过申请待处理",
        "📝 您有 4 个进行中的任务",
        "您离线期间有 6 条新通知",
    ]
    assert sentences(made, "en") == [
        "⚠️ You have 5 rejected tasks; please revise first",
        "📋 2 tasks waiting for review",
        "⏭️ 3 skip requests waiting",
        "📝 You have 4 tasks in progress",
        "6 notifications arrived while you were away",
    ]


def test_one_is_not_many_in_english():
    made = summary({"in_progress": 1, "skip_pending": 1, "submitted": 1}, total=1)

    assert sentences(made, "en") == [
        "📋 1 task waiting for review",
        "⏭️ 1 skip request waiting",
        "📝 You have 1 task in progress",
        "1 notification arrived while you were away",
    ]


def test_where_counting_stopped_there_may_be_more():
    assert sentences(summary(total=1_000, capped=True), "zh-CN") == ["您离线期间有 1000+ 条新通知"]
    assert sentences(summary(total=1_000, capped=True), "en") == [
        "1000+ notifications arrived while you were away"
    ]


def test_where_nothing_waits_nothing_is_said():
    assert summary({"rejected": 0, "approved": 9}).messages == ()


def test_rejected_work_and_missed_urgent_notifications_are_urgent_and_nothing_else_is():
    assert summary({"rejected": 1}).urgent
    assert summary(total=1, urgent=1).urgent
    assert not summary({"submitted": 9, "in_progress": 9}, total=9).urgent
