"""Numbered steps of the schema: each in one transaction, each recorded, none ever changed.

``PRAGMA user_version`` says how far a file is. One that is further than this version knows is refused,
and nothing in it is changed.
"""

from importlib import resources

import apsw

from perdure.vocabulary.errors import ConfigurationError

APPLICATION_ID = 0x50455244  # "PERD": the file is one of ours


def migrate(connection: apsw.Connection) -> None:
    """Bring a file to the schema of this version. Raises ``ConfigurationError`` for a newer one."""
    steps = sorted(
        (entry for entry in resources.files("perdure.engines.sqlite_lead.migrations").iterdir()
         if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )  # fmt: skip
    owner = connection.pragma("application_id")
    reached = connection.pragma("user_version")
    if reached > len(steps) or owner not in (0, APPLICATION_ID):
        raise ConfigurationError(
            f"{connection.db_filename('main')} has schema {reached}; this version of Perdure reads up "
            f"to {len(steps)}. Use a newer version"
        )
    for number, step in enumerate(steps[reached:], start=reached + 1):
        connection.execute("BEGIN IMMEDIATE")
        with_lock = connection.pragma("user_version")
        if with_lock >= number:  # another process was quicker
            connection.execute("ROLLBACK")
            continue
        try:
            connection.execute(step.read_text(encoding="utf-8"))
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", number)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
