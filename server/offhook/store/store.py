"""`Store`: opens the database, brings its schema up to date, and writes and finds calls.

Its methods block for as long as the database takes (well under a millisecond on SQLite), and may be called from any
thread: from an event loop, through `asyncio.to_thread`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, create_engine, event, select, update
from sqlalchemy.engine import URL, CursorResult, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from offhook.store import schema
from offhook.store.records import CallRecord, CallState, Ending
from offhook.store.tables import CallRow

BUSY_TIMEOUT_MS = 5_000

MIGRATION_LOCK = 0x6F66_6668
"""The number of the lock that PostgreSQL keeps between servers that start at once: any that is always the same."""


class StoreError(Exception):
    """The database cannot be used, or refused; the text says which and what to do."""


class NoSuchCall(StoreError):
    """No call has an ID that begins so."""


class AmbiguousCall(StoreError):
    """More than one call has an ID that begins so."""


class Store:
    """The calls database. Open it with `Store.open`, close it when done."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Store:
        """Connect to the database at `url` (an SQLAlchemy URL) and bring its schema up to date. An SQLite file that
        is not there is made, or with `create` False refused. Raises StoreError with a sentence where it cannot be
        opened."""
        shown, engine = _engine(url, create)
        try:
            with engine.connect() as connection:
                current = schema.revision(connection) == schema.HEAD
            if not current:
                _upgrade(engine)
        except schema.SchemaError as error:
            engine.dispose()
            raise StoreError(f"{shown}: {error}") from error
        except SQLAlchemyError as error:
            engine.dispose()
            raise StoreError(f"{shown}: the database cannot be opened: {_reason(error)}") from error
        return cls(engine)

    def close(self) -> None:
        """Give back every connection. The store is not to be used after this."""
        self._engine.dispose()

    # --- writing

    def begin(
        self,
        call_id: str,
        *,
        started_at: datetime,
        caller: str,
        dialled: str,
        trunk: str,
        plan_sha: str,
        folder: Path,
    ) -> None:
        """Write down that a call is live. `started_at` is aware; `folder` is where its files are.

        Raises StoreError where there is a call of this ID already, or the database refuses."""
        row = CallRow(
            id=call_id,
            started_at=started_at,
            caller=caller,
            dialled=dialled,
            trunk=trunk,
            plan_sha=plan_sha,
            folder=str(folder),
            state=CallState.LIVE.value,
        )
        try:
            with self._session() as session:
                session.add(row)
        except IntegrityError as error:
            raise StoreError(f"call {call_id} is in the database already: every call needs an ID of its own") from error

    def finish(self, call_id: str, ending: Ending) -> None:
        """Write down how a call ended. Saying it again overwrites. Raises NoSuchCall where `begin` was not called."""
        with self._session() as session:
            result = session.execute(
                update(CallRow)
                .where(CallRow.id == call_id)
                .values(
                    state=ending.state.value,
                    ended_by=ending.ended_by,
                    cause=ending.cause,
                    duration_ms=ending.duration_ms,
                    answered=ending.answered,
                    agent=ending.agent,
                    exit=ending.exit,
                    outcomes=list(ending.outcomes),
                    turns=ending.turns,
                    response_p50_ms=ending.response_p50_ms,
                    response_p95_ms=ending.response_p95_ms,
                    keep_until=ending.keep_until,
                )
            )
            if not cast("CursorResult[object]", result).rowcount:
                raise NoSuchCall(f"no call {call_id} was begun in this database, so it cannot be finished")

    def audio_deleted(self, call_id: str, at: datetime) -> None:
        """Write down that a call's audio was deleted `at` (aware). Unknown IDs are passed over."""
        with self._session() as session:
            session.execute(update(CallRow).where(CallRow.id == call_id).values(audio_deleted_at=at))

    # --- finding

    def list(
        self,
        limit: int = 50,
        *,
        since: datetime | None = None,
        before: datetime | None = None,
        state: CallState | None = None,
    ) -> Sequence[CallRecord]:
        """The newest `limit` calls, newest first; with `since` and `before` those started in [since, before)."""
        query = select(CallRow).order_by(CallRow.started_at.desc(), CallRow.id).limit(limit)
        if since is not None:
            query = query.where(CallRow.started_at >= since)
        if before is not None:
            query = query.where(CallRow.started_at < before)
        if state is not None:
            query = query.where(CallRow.state == state.value)
        with self._session() as session:
            return [_record(row) for row in session.scalars(query)]

    def get(self, id_or_prefix: str) -> CallRecord:
        """The call of this ID, or the only one whose ID begins so. Raises NoSuchCall or AmbiguousCall."""
        if not id_or_prefix:
            raise NoSuchCall("no call ID was given")
        begins = CallRow.id.startswith(id_or_prefix, autoescape=True)
        with self._session() as session:
            exact = session.get(CallRow, id_or_prefix)
            found = [exact] if exact else list(session.scalars(select(CallRow).where(begins).limit(4)))
            if not found:
                raise NoSuchCall(f"no call {id_or_prefix!r}: `offhook calls list` shows the calls there are")
            if len(found) > 1:
                ids = ", ".join(row.id for row in found[:3]) + (", ..." if len(found) > 3 else "")
                raise AmbiguousCall(f"{id_or_prefix!r} begins the ID of more than one call ({ids}): give more of it")
            return _record(found[0])

    def known(self, ids: Iterable[str]) -> set[str]:
        """Those of `ids` that are in the database."""
        wanted = tuple(ids)
        with self._session() as session:
            # SQLite takes no more than 999 parameters in builds still about.
            return {
                found
                for at in range(0, len(wanted), 500)
                for found in session.scalars(select(CallRow.id).where(CallRow.id.in_(wanted[at : at + 500])))
            }

    def expired(self, now: datetime) -> Sequence[CallRecord]:
        """The calls whose audio should be gone by `now` and is not."""
        query = (
            select(CallRow)
            .where(CallRow.keep_until <= now, CallRow.audio_deleted_at.is_(None))
            .order_by(CallRow.keep_until)
        )
        with self._session() as session:
            return [_record(row) for row in session.scalars(query)]

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A session and its transaction: committed at the end, undone by an exception."""
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise StoreError(f"the calls database refused: {_reason(error)}") from error


def _record(row: CallRow) -> CallRecord:
    return CallRecord(
        id=row.id,
        started_at=row.started_at,
        caller=row.caller,
        dialled=row.dialled,
        trunk=row.trunk,
        plan_sha=row.plan_sha,
        folder=Path(row.folder),
        state=CallState(row.state),
        ended_by=row.ended_by,
        cause=row.cause,
        duration_ms=row.duration_ms,
        answered=row.answered,
        agent=row.agent,
        exit=row.exit,
        outcomes=tuple(row.outcomes),
        turns=row.turns,
        response_p50_ms=row.response_p50_ms,
        response_p95_ms=row.response_p95_ms,
        keep_until=row.keep_until,
        audio_deleted_at=row.audio_deleted_at,
    )


def _engine(url: str, create: bool) -> tuple[str, Engine]:
    try:
        parsed = make_url(url)
        engine = create_engine(parsed)
    except ArgumentError as error:
        raise StoreError("the database setting is not a database URL such as sqlite:////var/lib/offhook.db") from error
    except ModuleNotFoundError as error:
        raise StoreError(f"the database URL needs the Python package {error.name!r}: install it") from error
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite(parsed, engine, create)
    return parsed.render_as_string(hide_password=True), engine


def _prepare_sqlite(url: URL, engine: Engine, create: bool) -> None:
    if url.database and url.database != ":memory:":
        if not create and not Path(url.database).exists():
            raise StoreError(
                f"there is no calls database at {url.database} yet: has the server run with these settings?"
            )
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{error.filename}: the database's folder cannot be made ({error.strerror})") from error

    def connected(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        # SQLAlchemy begins transactions itself (below): left to the driver, DDL would run outside of them, and a
        # migration that fails half way would leave half of it.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")

    def begun(connection: Connection) -> None:
        # One who means to write says so at once: a read transaction that turns into a writing one is refused
        # without waiting when another wrote in between.
        writes = connection.get_execution_options().get("offhook_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Keep a write-ahead log. A file's first change to it turns a reading lock into a writing one, which SQLite
    refuses at once where two do so together, however long `busy_timeout` is: so wait here for as long as it would."""
    give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _upgrade(engine: Engine) -> None:
    """Migrate in one transaction, one server at a time: whoever waited finds nothing left to do."""
    with engine.connect().execution_options(offhook_writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        schema.upgrade(connection)


def _reason(error: SQLAlchemyError) -> str:
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)
