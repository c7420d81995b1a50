"""Let the newest rows of an inbox be found in the order of an index: threads by their newest entry, and what has none"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SINGLE = "ix_posting_room_notification_id_single"
_NEWEST = "ix_room_thread_room_notification_id"
_WITHOUT_THREAD = sa.text("thread IS NULL")


def upgrade() -> None:
    collation = "C" if op.get_bind().dialect.name == "postgresql" else None
    op.add_column("room_thread", sa.Column("notification_id", sa.String(160, collation)))
    op.execute(
        "UPDATE room_thread SET notification_id = (SELECT posting.notification_id FROM posting"
        ' WHERE posting.room = room_thread.room AND posting."offset" = room_thread.last_offset)'
    )
    with op.batch_alter_table("room_thread") as table:
        table.alter_column("notification_id", existing_type=sa.String(160), nullable=False)
        table.create_index(_NEWEST, ["room", "notification_id"])
    op.create_index(
        _SINGLE,
        "posting",
        ["room", "notification_id"],
        sqlite_where=_WITHOUT_THREAD,
        postgresql_where=_WITHOUT_THREAD,
    )


def downgrade() -> None:
    op.drop_index(_SINGLE, "posting")
    with op.batch_alter_table("room_thread") as table:
        table.drop_index(_NEWEST)
        table.drop_column("notification_id")
