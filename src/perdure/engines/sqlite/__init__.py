"""The SQLite engine."""

from perdure.engines.sqlite_lead import SqliteEngine as SqliteEngine  # stands in until this package is whole
