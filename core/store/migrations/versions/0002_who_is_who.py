"""Know when memberships changed, whose people are whose, and who did what"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NOT_CLEARED = sa.text("expires_at IS NOT NULL AND title <> ''")


def upgrade() -> None:
    with op.batch_alter_table("membership") as table:
        table.add_column(sa.Column("changed", sa.BigInteger(), server_default="0", nullable=False))
        table.drop_index("ix_membership_room")
        table.create_index("ix_membership_room_changed", ["room", "changed"])
    op.create_index(
        "ix_notification_expires_at",
        "notification",
        ["expires_at"],
        sqlite_where=_NOT_CLEARED,
        postgresql_where=_NOT_CLEARED,
    )
    with op.batch_alter_table("user", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(sa.Column("generation", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("issuer", sa.Text()))
        table.add_column(sa.Column("claims_at", sa.DateTime(timezone=True)))
        table.add_column(sa.Column("logged_out_at", sa.DateTime(timezone=True)))
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.String(length=160), nullable=True),
        sa.Column("sender", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )


def downgrade() -> None:
    op.drop_table("audit")
    with op.batch_alter_table("user", table_kwargs={"sqlite_autoincrement": True}) as table:
        for column in ("logged_out_at", "claims_at", "issuer", "generation"):
            table.drop_column(column)
    op.drop_index("ix_notification_expires_at", "notification")
    with op.batch_alter_table("membership") as table:
        table.drop_index("ix_membership_room_changed")
        table.create_index("ix_membership_room", ["room"])
        table.drop_column("changed")
