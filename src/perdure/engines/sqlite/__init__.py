"""The engine on SQLite: one file for each context, one thread that writes it, group commit.

``engine`` is the way in. A commit goes ``log`` - ``writer`` - ``transactions`` - ``draft`` - ``rowset``; a
read goes ``log`` - ``reader`` - ``scan`` - ``sources``. ``rows`` says what stands in a row and how damage in
it is noticed, ``faults`` what an error of the storage means, ``schema/`` what is in the file.
"""

from perdure.engines.sqlite.engine import SqliteEngine as SqliteEngine
from perdure.engines.sqlite.settings import SqliteSettings as SqliteSettings

__all__ = ["SqliteEngine", "SqliteSettings"]
