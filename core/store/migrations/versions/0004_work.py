"""Let tasks be found, known by their senders, and waited for; know who settled a thread"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("room_thread") as table:
        table.add_column(sa.Column("settled_by_id", sa.String(length=160)))
        table.add_column(sa.Column("settled_by_name", sa.Text()))
    with op.batch_alter_table("task") as table:
        table.add_column(sa.Column("key", sa.String(length=200)))
        table.add_column(sa.Column("link", sa.Text()))
        table.drop_index("ix_task_project_id_state")
        table.drop_index("ix_task_assignee_id_state")
        table.create_index("ix_task_project_id_key", ["project_id", "key"], unique=True)
        table.create_index("ix_task_state_project_id_changed_at", ["state", "project_id", "changed_at"])
        table.create_index(
            "ix_task_assignee_id_state_project_id_changed_at",
            ["assignee_id", "state", "project_id", "changed_at"],
        )
    with op.batch_alter_table("task_event") as table:
        table.add_column(sa.Column("request_id", sa.String(length=160)))
        table.add_column(sa.Column("assignee_id", sa.String(length=160)))
        table.create_index("ix_task_event_request_id", ["request_id"])
    op.create_table(
        "summary_counter",
        sa.Column("user_id", sa.String(length=160), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("counters", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "source", name=op.f("pk_summary_counter")),
    )


def downgrade() -> None:
    op.drop_table("summary_counter")
    with op.batch_alter_table("task_event") as table:
        table.drop_index("ix_task_event_request_id")
        table.drop_column("assignee_id")
        table.drop_column("request_id")
    with op.batch_alter_table("task") as table:
        table.drop_index("ix_task_assignee_id_state_project_id_changed_at")
        table.drop_index("ix_task_state_project_id_changed_at")
        table.drop_index("ix_task_project_id_key")
        table.create_index("ix_task_assignee_id_state", ["assignee_id", "state"])
        table.create_index("ix_task_project_id_state", ["project_id", "state"])
        table.drop_column("link")
        table.drop_column("key")
    with op.batch_alter_table("room_thread") as table:
        table.drop_column("settled_by_name")
        table.drop_column("settled_by_id")
