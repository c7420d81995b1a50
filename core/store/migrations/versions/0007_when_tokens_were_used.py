"""Remember when a refresh token was used: an answer that was lost on its way is given again"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("revoked_token", sa.Column("used_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    with op.batch_alter_table("revoked_token") as table:
        table.drop_column("used_at")
