-- The log of one context and the records beside it. Times are microseconds since 1970, ticks 100 ns since 1582.

-- Types, domains and tags by number: an index of integers is a third of an index of names.
CREATE TABLE names (
    no   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE entities (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE
);

-- checksum: CRC-32 of what the row means, with names and entity resolved.
-- chain: on the last row of each transaction, BLAKE2b over the chain before it and all rows since.
CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    ticks       INTEGER NOT NULL,
    id          BLOB NOT NULL,
    entity      INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    type        INTEGER NOT NULL,
    domain      INTEGER,
    recorded_at INTEGER NOT NULL,
    tags        TEXT,
    data        BLOB NOT NULL,
    metadata    BLOB,
    checksum    INTEGER NOT NULL,
    chain       BLOB
);

-- At once what finds an id, what keeps it unique, and what reads by happened.
CREATE UNIQUE INDEX events_by_happened ON events (ticks, id);
CREATE UNIQUE INDEX events_by_entity ON events (entity, version);
CREATE INDEX events_by_type ON events (type);
CREATE INDEX events_by_domain ON events (domain, entity) WHERE domain IS NOT NULL;

CREATE TABLE event_tags (
    tag      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (tag, position)
) WITHOUT ROWID;

CREATE TABLE records (
    kind     TEXT NOT NULL,
    key      TEXT NOT NULL,
    revision INTEGER NOT NULL,
    value    BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE UNIQUE INDEX records_by_key ON records (kind, key);

CREATE TABLE intents (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    kind     TEXT NOT NULL,
    target   TEXT NOT NULL,
    ordering TEXT NOT NULL,
    due      INTEGER NOT NULL,
    payload  BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
