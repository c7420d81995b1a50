"""Create the data model"""

import sqlalchemy as sa
from alembic import op

from core.domain.ids import new_id

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("rooms", sa.JSON(), nullable=False),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("user_id", sa.String(length=160), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
    )
    op.create_table(
        "inbox",
        sa.Column("user_id", sa.String(length=160), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_inbox")),
    )
    op.create_table(
        "log",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.String(length=160), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log")),
    )
    op.create_table(
        "membership",
        sa.Column("user_id", sa.String(length=160), nullable=False),
        sa.Column("room", sa.String(length=200), nullable=False),
        sa.Column("since", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", "room", "since", name=op.f("pk_membership")),
    )
    with op.batch_alter_table("membership", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_membership_room"), ["room"], unique=False)

    op.create_table(
        "notification",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("thread", sa.String(length=200), nullable=True),
        sa.Column("settles", sa.Boolean(), nullable=False),
        sa.Column("actor_id", sa.String(length=160), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=True),
        sa.Column("sender", sa.String(length=200), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retracted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("sender", "idempotency_key", name=op.f("uq_notification_sender_idempotency_key")),
    )
    op.create_table(
        "position",
        sa.Column("user_id", sa.String(length=160), nullable=False),
        sa.Column("room", sa.String(length=200), nullable=False),
        sa.Column("acked_offset", sa.BigInteger(), nullable=False),
        sa.Column("acked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "room", name=op.f("pk_position")),
    )
    op.create_table(
        "posting",
        sa.Column("room", sa.String(length=200), nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("notification_id", sa.String(length=160), nullable=False),
        sa.Column("thread", sa.String(length=200), nullable=True),
        sa.Column("members", sa.BigInteger(), nullable=False),
        sa.Column("amendment", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("room", "offset", name=op.f("pk_posting")),
    )
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_posting_notification_id"), ["notification_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_posting_room_notification_id"), ["room", "notification_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_posting_room_thread_offset"), ["room", "thread", "offset"], unique=False
        )

    op.create_table(
        "project",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
    )
    op.create_table(
        "project_member",
        sa.Column("project_id", sa.String(length=160), nullable=False),
        sa.Column("user_id", sa.String(length=160), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_project_member")),
    )
    with op.batch_alter_table("project_member", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_project_member_user_id"), ["user_id"], unique=False)

    op.create_table(
        "receipt",
        sa.Column("user_id", sa.String(length=160), nullable=False),
        sa.Column("room", sa.String(length=200), nullable=False),
        sa.Column("receipt", sa.String(length=16), nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "room", "receipt", "first", name=op.f("pk_receipt")),
    )
    op.create_table(
        "revoked_token",
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revoked_token")),
    )
    with op.batch_alter_table("revoked_token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_revoked_token_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "room",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("head", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("floor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("members", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_room")),
    )
    op.create_table(
        "room_thread",
        sa.Column("room", sa.String(length=200), nullable=False),
        sa.Column("thread", sa.String(length=200), nullable=False),
        sa.Column("last_offset", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("room", "thread", name=op.f("pk_room_thread")),
    )
    with op.batch_alter_table("room_thread", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_room_thread_room_open_last_offset"), ["room", "open", "last_offset"], unique=False
        )

    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(length=160), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_before_skip", sa.String(length=16), nullable=True),
        sa.Column("assignee_id", sa.String(length=160), nullable=True),
        sa.Column("submitted_by", sa.String(length=160), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task_assignee_id_state"), ["assignee_id", "state"], unique=False)
        batch_op.create_index(batch_op.f("ix_task_project_id_state"), ["project_id", "state"], unique=False)

    op.create_table(
        "task_event",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("state_before", sa.String(length=16), nullable=True),
        sa.Column("state_after", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.String(length=160), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_event")),
    )
    with op.batch_alter_table("task_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_task_event_task_id_id"), ["task_id", "id"], unique=False)

    op.create_table(
        "user",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=160), nullable=False),
        sa.Column("username", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("locale", sa.String(length=16), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_user")),
        sa.UniqueConstraint("id", name=op.f("uq_user_id")),
        sa.UniqueConstraint("username", name=op.f("uq_user_username")),
        sqlite_autoincrement=True,
    )
    op.bulk_insert(
        sa.table("log", sa.column("id", sa.Integer), sa.column("epoch", sa.String)),
        [{"id": 1, "epoch": new_id()}],
    )


def downgrade() -> None:
    op.drop_table("user")
    with op.batch_alter_table("task_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_event_task_id_id"))

    op.drop_table("task_event")
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_task_project_id_state"))
        batch_op.drop_index(batch_op.f("ix_task_assignee_id_state"))

    op.drop_table("task")
    with op.batch_alter_table("room_thread", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_room_thread_room_open_last_offset"))

    op.drop_table("room_thread")
    op.drop_table("room")
    with op.batch_alter_table("revoked_token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_revoked_token_expires_at"))

    op.drop_table("revoked_token")
    op.drop_table("receipt")
    with op.batch_alter_table("project_member", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_project_member_user_id"))

    op.drop_table("project_member")
    op.drop_table("project")
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_posting_room_thread_offset"))
        batch_op.drop_index(batch_op.f("ix_posting_room_notification_id"))
        batch_op.drop_index(batch_op.f("ix_posting_notification_id"))

    op.drop_table("posting")
    op.drop_table("position")
    op.drop_table("notification")
    with op.batch_alter_table("membership", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_membership_room"))

    op.drop_table("membership")
    op.drop_table("log")
    op.drop_table("inbox")
    op.drop_table("api_key")
