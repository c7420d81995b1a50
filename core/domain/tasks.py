"""Tasks: the states that a piece of work goes through."""

from enum import StrEnum


class TaskState(StrEnum):
    PENDING = "pending"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    SKIP_PENDING = "skip_pending"
    SKIPPED = "skipped"


OWN_WORK = (TaskState.IN_PROGRESS, TaskState.REJECTED)
"""What waits for the assignee."""

REVIEW_WORK = (TaskState.SUBMITTED, TaskState.SKIP_PENDING)
"""What waits for the reviewers and admins of a project."""
