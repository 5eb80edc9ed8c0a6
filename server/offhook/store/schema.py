"""Brings a database to a revision of the schema, by the Alembic migrations that ship in this package.

Alembic is imported only where there is something to migrate: a command that reads one row should not wait for it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The newest revision; a test holds it to the files in `migrations/versions`."""

MIGRATIONS = Path(__file__).parent / "migrations"


# Alembic keeps the migration that is running in a global of its module: two threads would run into each other.
_one_at_a_time = threading.Lock()


class SchemaError(Exception):
    """The database's schema is not one this version can bring up to date."""


def revision(connection: Connection) -> str | None:
    """The revision the database is at; None where it was never migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def upgrade(connection: Connection, to: str = "head") -> None:
    """Migrate up to revision `to`, inside the transaction that `connection` is in.

    Raises SchemaError where the database is at a revision that this version does not know."""
    from alembic import command
    from alembic.util import CommandError

    try:
        with _one_at_a_time:
            command.upgrade(_config(connection), to)
    except CommandError as error:
        raise SchemaError(
            f"its schema is at revision {revision(connection)}, which this version of offhook does not know; "
            "run the version that wrote it, or a newer one"
        ) from error


def downgrade(connection: Connection, to: str = "base") -> None:
    """Migrate down to revision `to`, inside the transaction that `connection` is in. What it drops is lost."""
    from alembic import command

    with _one_at_a_time:
        command.downgrade(_config(connection), to)


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    # Alembic's settings are read with ConfigParser, which takes a % for the start of a variable.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
