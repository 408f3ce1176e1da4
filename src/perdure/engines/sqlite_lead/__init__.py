"""The SQLite engine: a directory is a store, a file in it is a context.

``writer`` decides and writes in one thread, many commits to a sync; ``reader`` reads in threads of its own;
``checkpointer`` moves the write-ahead log into the file. What a row is and how it is checked is in ``rows``.
"""

from perdure.engines.sqlite_lead.engine import SqliteEngine as SqliteEngine

__all__ = ["SqliteEngine"]
