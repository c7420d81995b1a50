"""Find the intervals that ended by where they ended"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ENDED = sa.text("until IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_membership_room_until",
        "membership",
        ["room", "until"],
        sqlite_where=_ENDED,
        postgresql_where=_ENDED,
    )


def downgrade() -> None:
    op.drop_index("ix_membership_room_until", "membership")
