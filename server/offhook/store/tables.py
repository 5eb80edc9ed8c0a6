"""The database's tables as SQLAlchemy sees them; the migrations hold the same in steps."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import JSON, DateTime, Dialect, Float, Index, Integer, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, in UTC on either side. SQLite keeps no zone, so it is taken off and put back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: the database takes aware datetimes only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """What all tables share: the metadata that migrations are compared with."""


class CallRow(Table):
    __tablename__ = "calls"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    caller: Mapped[str] = mapped_column(Text)
    dialled: Mapped[str] = mapped_column(Text)
    trunk: Mapped[str] = mapped_column(Text)
    plan_sha: Mapped[str] = mapped_column(String(64))
    folder: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(8))
    ended_by: Mapped[str | None] = mapped_column(String(16))
    cause: Mapped[str | None] = mapped_column(Text)
    duration_ms: Mapped[float | None] = mapped_column(Float)
    answered: Mapped[bool] = mapped_column(default=False)
    agent: Mapped[str | None] = mapped_column(Text)
    exit: Mapped[str | None] = mapped_column(Text)
    outcomes: Mapped[list[str]] = mapped_column(JSON, default=list)
    turns: Mapped[int] = mapped_column(Integer, default=0)
    response_p50_ms: Mapped[float | None] = mapped_column(Float)
    response_p95_ms: Mapped[float | None] = mapped_column(Float)
    keep_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    audio_deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("calls_started_at", "started_at"),
        Index("calls_state", "state"),
        Index("calls_keep_until", "keep_until"),
    )
