"""The dials of the SQLite engine, each with its unit and the reason for its value."""

from typing import Literal

import msgspec


class SqliteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine uses its files. The defaults suit a server; tests turn a few of them down."""

    #: ``full`` syncs the log at every group of commits. ``normal`` loses commits at a power cut, and with
    #: it the engine does not call itself durable.
    synchronous: Literal["full", "normal"] = "full"
    #: How long to wait for a lock that another process holds.
    busy_seconds: float = 5.0
    #: How long the statements of one commit may run.
    statement_seconds: float = 2.0

    #: What is written in one transaction, at most: more adds to the latency and saves no sync worth having.
    group_commits_max: int = 1000
    group_bytes_max: int = 8 << 20
    #: Entities whose version is kept in memory.
    heads_max: int = 200_000

    #: Threads that read, each with a connection of its own.
    readers: int = 4
    #: What is read in one transaction, at most: a longer one would hold the write-ahead log open.
    batch_events_max: int = 500
    batch_bytes_max: int = 1 << 20
    #: So many rows are sorted for each page without a second thought; more are read by way of an index
    #: in the order that is asked for.
    sorted_max: int = 20_000
    #: How often to look for commits of other processes while somebody waits for news.
    poll_seconds: float = 0.2

    #: Frames of the write-ahead log (4 KiB each) between two checkpoints in the background.
    checkpoint_frames: int = 1000
    #: From here on the log is begun anew when little is left to copy: an old file is faster to write
    #: than a growing one.
    restart_frames: int = 16_384
    #: "Little": the writer copies that much itself, in a few milliseconds.
    restart_rest_frames: int = 2000
    #: From here on the writer stops to copy everything, however long that takes.
    restart_always_frames: int = 65_536

    writer_cache_kib: int = 65_536
    reader_cache_kib: int = 8192
