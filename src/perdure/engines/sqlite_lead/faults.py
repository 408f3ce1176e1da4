"""What an error of SQLite means for a commit: not written, or nobody knows.

A write that fails before the commit mark is on the disk is definite: the transaction is rolled back. A sync
that fails may have left the mark behind all the same.
"""

import errno
from pathlib import Path

import apsw

from perdure.vocabulary.errors import EngineError, OutcomeUnknown, StorageFull, Unavailable

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def before_commit(fault: apsw.Error, path: Path, connection: apsw.Connection) -> EngineError:
    """Translate an error that came before COMMIT: nothing was written."""
    if isinstance(fault, apsw.FullError) or connection.system_errno in _NO_ROOM:
        return StorageFull(f"no room is left for {path.name}; free some and try again")
    if isinstance(fault, apsw.BusyError):
        return Unavailable(f"another process holds {path.name}; try again")
    return Unavailable(f"{path.name} cannot be written: {fault}")


def at_commit(fault: apsw.Error, path: Path, connection: apsw.Connection) -> EngineError:
    """Translate an error that COMMIT itself raised."""
    result = getattr(fault, "extendedresult", 0)
    write_failed = result in (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_TRUNCATE)
    no_room = write_failed and connection.system_errno in _NO_ROOM
    if no_room or isinstance(fault, apsw.FullError | apsw.BusyError):
        return before_commit(fault, path, connection)
    return OutcomeUnknown(
        f"{path.name}: {fault}; what was sent may or may not be stored: ask again under the same ids"
    )
