"""The calls database."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from offhook.store import AmbiguousCall, CallState, Ending, NoSuchCall, Store, StoreError, schema
from offhook.store.tables import Table

STARTED_AT = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
POSTGRES = "OFFHOOK_TEST_POSTGRES"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind; PostgreSQL where the environment names one to make databases in."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'offhook.db'}"
        return
    if POSTGRES not in os.environ:
        pytest.skip(f"skipped: no {POSTGRES}")
    server = create_engine(os.environ[POSTGRES], isolation_level="AUTOCOMMIT")
    name = f"offhook_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    yield opened
    opened.close()


def begin(store: Store, call_id: str, started_at: datetime = STARTED_AT) -> None:
    store.begin(
        call_id,
        started_at=started_at,
        caller="+15550199",
        dialled="100",
        trunk="local",
        plan_sha="a" * 64,
        folder=Path("/calls") / call_id,
    )


def ended(**more: object) -> Ending:
    known: dict[str, object] = {"state": CallState.ENDED, "ended_by": "caller", "cause": "BYE", "duration_ms": 1_000.0}
    return Ending(**{**known, **more})  # type: ignore[arg-type]  # a table of fields, checked by the dataclass


def test_a_call_is_live_from_its_beginning_to_its_ending(store: Store) -> None:
    begin(store, "k3fwq2")
    live = store.get("k3fwq2")
    assert (live.state, live.started_at, live.folder) == (CallState.LIVE, STARTED_AT, Path("/calls/k3fwq2"))
    assert (live.ended_by, live.duration_ms, live.outcomes, live.turns) == (None, None, (), 0)
    store.finish(
        "k3fwq2",
        ended(answered=True, agent="order-desk@1", exit="agent: resolved", outcomes=("a", "b"), response_p50_ms=612.5),
    )
    over = store.get("k3fwq2")
    assert (over.state, over.ended_by, over.cause, over.duration_ms) == (CallState.ENDED, "caller", "BYE", 1_000.0)
    assert (over.answered, over.agent, over.outcomes, over.response_p50_ms) == (True, "order-desk@1", ("a", "b"), 612.5)


def test_times_come_back_in_utc_whatever_zone_they_went_in_with(store: Store) -> None:
    begin(store, "a1", STARTED_AT.astimezone(timezone(timedelta(hours=5, minutes=30))))
    read = store.get("a1").started_at
    assert read == STARTED_AT and read.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="no time zone"):
        begin(store, "a1", datetime(2026, 5, 1, 9, 0))
    assert store.list() == []


def test_an_id_is_taken_once(store: Store) -> None:
    begin(store, "a1")
    with pytest.raises(StoreError, match="call a1 is in the database already"):
        begin(store, "a1")


def test_what_was_not_begun_cannot_be_finished(store: Store) -> None:
    with pytest.raises(NoSuchCall, match="no call a1 was begun"):
        store.finish("a1", ended())


def test_a_call_is_found_by_the_beginning_of_its_id_where_it_is_the_only_one(store: Store) -> None:
    for call_id in ("k3fwq2", "k3fxxx", "m7", "m7a", "p_q", "pzq"):
        begin(store, call_id)
    assert store.get("k3fw").id == "k3fwq2"
    assert store.get("m7").id == "m7"
    assert store.get("p_").id == "p_q"
    with pytest.raises(AmbiguousCall, match=r"'k3f' begins the ID of more than one call \(k3fwq2, k3fxxx\)"):
        store.get("k3f")
    for unknown in ("z", "%", "_", "", "k3fwq2x"):
        with pytest.raises(NoSuchCall):
            store.get(unknown)


def test_the_newest_calls_are_listed_first_within_the_times_asked_for(store: Store) -> None:
    for hour in range(5):
        begin(store, f"call{hour}", STARTED_AT + timedelta(hours=hour))
    store.finish("call1", ended())
    assert [call.id for call in store.list(2)] == ["call4", "call3"]
    since, before = STARTED_AT + timedelta(hours=1), STARTED_AT + timedelta(hours=3)
    assert [call.id for call in store.list(since=since, before=before)] == ["call2", "call1"]
    assert [call.id for call in store.list(state=CallState.ENDED)] == ["call1"]


def test_known_ids_are_told_from_unknown_ones_however_many(store: Store) -> None:
    begin(store, "call1")
    begin(store, "call2")
    assert store.known(["call1", "call2", *(f"no{n}" for n in range(2_500))]) == {"call1", "call2"}


def test_expired_calls_are_those_past_their_time_whose_audio_is_still_there(store: Store) -> None:
    for call_id, keep_until in (("old", STARTED_AT), ("new", STARTED_AT + timedelta(days=9)), ("ever", None)):
        begin(store, call_id)
        store.finish(call_id, ended(keep_until=keep_until))
    now = STARTED_AT + timedelta(days=1)
    assert [call.id for call in store.expired(now)] == ["old"]
    store.audio_deleted("old", now)
    assert store.expired(now) == []
    assert store.get("old").audio_deleted_at == now


def test_threads_write_and_read_at_once_without_losing_a_call(store: Store) -> None:
    """Several threads begin and finish calls of their own while others list: none may be told the database is busy."""
    faults: list[BaseException] = []

    def write(thread: int) -> None:
        try:
            for n in range(15):
                begin(store, f"t{thread}n{n}")
                store.finish(f"t{thread}n{n}", ended())
                store.list(5)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(store.list(100, state=CallState.ENDED)) == 60


def test_servers_that_start_at_once_on_an_empty_database_migrate_it_once(url: str) -> None:
    together = threading.Barrier(4)
    faults: list[BaseException] = []

    def open_it() -> None:
        together.wait()
        try:
            Store.open(url).close()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert Store.open(url).list() == []


def test_a_file_that_another_is_just_writing_to_is_opened_once_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "offhook.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE elsewhere (x)")
        done = threading.Timer(0.3, other.execute, ["COMMIT"])
        done.start()
        Store.open(f"sqlite:///{path}").close()
        done.join()


# --- the schema


def test_migrations_go_up_from_nothing_and_down_to_nothing(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        assert schema.revision(connection) is None
        schema.upgrade(connection)
        assert schema.revision(connection) == schema.HEAD
        assert inspect(connection).has_table("calls")
        schema.downgrade(connection)
    with engine.begin() as connection:
        assert not inspect(connection).has_table("calls")
        schema.upgrade(connection)
    engine.dispose()


def test_the_migrations_make_the_tables_that_the_code_uses(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        schema.upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_revision_the_code_asks_for() -> None:
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_heads() == [schema.HEAD]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "offhook.db"
    Store.open(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="revision 9999, which this version of offhook does not know"):
        Store.open(f"sqlite:///{path}")


# --- opening


def test_sqlite_is_opened_in_wal_mode_in_a_folder_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "my home" / "offhook.db"
    Store.open(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "is not a database URL"),
        ("nosuch://x/y", "is not a database URL"),
        ("sqlite:////dev/null/offhook.db", "folder cannot be made"),
        ("mysql+nosuchdriver://x/y", "is not a database URL"),
        ("oracle://user:hunter2@localhost/x", "needs the Python package"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named_in_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence):
        Store.open(url)


def test_a_file_that_is_no_database_is_named_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "offhook.db"
    path.write_text("this is a shopping list, not a database\n" * 10)
    with pytest.raises(StoreError, match=r"offhook\.db: the database cannot be opened: file is not a database"):
        Store.open(f"sqlite:///{path}")


def test_looking_does_not_make_a_database(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "offhook.db"
    with pytest.raises(StoreError, match="there is no calls database at"):
        Store.open(f"sqlite:///{path}", create=False)
    assert not path.parent.exists()


def test_a_password_in_the_url_is_in_no_error() -> None:
    with pytest.raises(StoreError) as told:
        Store.open("postgresql+psycopg://offhook:hunter2@127.0.0.1:1/offhook")
    assert "hunter2" not in str(told.value)
