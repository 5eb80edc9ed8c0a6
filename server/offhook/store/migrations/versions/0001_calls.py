"""Calls: one row each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("dialled", sa.Text, nullable=False),
        sa.Column("trunk", sa.Text, nullable=False),
        sa.Column("plan_sha", sa.String(64), nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("ended_by", sa.String(16)),
        sa.Column("cause", sa.Text),
        sa.Column("duration_ms", sa.Float),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("exit", sa.Text),
        sa.Column("outcomes", sa.JSON, nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("response_p50_ms", sa.Float),
        sa.Column("response_p95_ms", sa.Float),
        sa.Column("keep_until", sa.DateTime(timezone=True)),
        sa.Column("audio_deleted_at", sa.DateTime(timezone=True)),
    )
    op.create_index("calls_started_at", "calls", ["started_at"])
    op.create_index("calls_state", "calls", ["state"])
    op.create_index("calls_keep_until", "calls", ["keep_until"])


def downgrade() -> None:
    op.drop_table("calls")
