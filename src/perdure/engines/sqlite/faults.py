"""What an error of the storage means for those who wait: was anything written?

One rule: before ``COMMIT`` every error is definite, because what was written is rolled back. During
``COMMIT`` only "no room" is, for it is found while the frames are written, before the one that makes them
count is complete. Any other error there, of a sync above all, leaves the outcome unknown.
"""

import errno

import apsw

from perdure.vocabulary.errors import Corrupt, EngineError, OutcomeUnknown, StorageFull, Unavailable

#: Errors that the storage raises, and never a statement by what it says.
STORAGE_ERRORS = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.IOError,
    apsw.NotADBError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
)
_DAMAGED = (apsw.CorruptError, apsw.NotADBError)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: Of these an operating system may say "no room" too, but then the data was written already.
_SYNCS = frozenset({apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})


def before_commit(error: Exception, connection: apsw.Connection) -> EngineError:
    """Say what an error before ``COMMIT``, or of a read, means. Nothing was written."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, _DAMAGED):
        return Corrupt(f"the file of the log is damaged: {error}")
    if _is_no_room(error, connection):
        return StorageFull(f"no room is left for the log: {error}")
    if isinstance(error, apsw.BusyError):
        return Unavailable(f"another process has held the log for too long: {error}")
    return Unavailable(f"the log cannot be used: {error}")


def during_commit(error: Exception, connection: apsw.Connection) -> EngineError:
    """Say what an error of ``COMMIT`` itself means."""
    if _is_no_room(error, connection):
        return StorageFull(f"no room is left for the log: {error}")
    if isinstance(
        error, apsw.BusyError | apsw.ConstraintError
    ):  # refused before a byte was written
        return Unavailable(f"the log cannot be written: {error}")
    return OutcomeUnknown(f"the log may or may not have been written: {error}")


def _is_no_room(error: Exception, connection: apsw.Connection) -> bool:
    if isinstance(error, apsw.FullError):
        return True
    return (
        isinstance(error, apsw.IOError)
        and getattr(error, "extendedresult", 0) not in _SYNCS
        and connection.system_errno in _NO_ROOM
    )
