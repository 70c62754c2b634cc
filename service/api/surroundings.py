"""Checks before the API starts, so that a fault of its surroundings is one sentence in its log and no traceback."""

import sqlite3
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from service.settings import Settings
from service.store.database import Database


def fault(settings: Settings) -> str | None:
    """Return why the API cannot start with these settings; None if nothing is known to be wrong."""
    folders = (("TET_STORAGE", settings.storage), ("TET_HOME", settings.home))
    for variable, folder in folders:
        if (reason := _no_folder(folder)) is not None:
            return f"{variable}={folder} cannot be used: {reason}; set it to a folder that this user can write"
    return _database_fault(settings)


def _no_folder(folder: Path) -> str | None:
    if folder.is_symlink() and not folder.exists():
        return f"it is a link to {folder.readlink()}, which does not exist"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{error.strerror} ({error.filename})"
    return None


def _database_fault(settings: Settings) -> str | None:
    database = Database(settings.database_url)
    try:
        return database.refusal()
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        return f"the database {database.name} (TET_DATABASE_URL) cannot be used: {' '.join(str(cause).split())}"
    finally:
        database.dispose()
