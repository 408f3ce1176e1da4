-- The log of one context. A file of this folder is never changed once it is released; the next number follows.
-- What repeats is a small integer: entities, and the names of types, domains and tags.

CREATE TABLE perdure_entities (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE perdure_names (
    no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- `checksum` is over the content with all numbers resolved, so that damage in the two tables above shows
-- as well. `chain` stands on the last row of each transaction; it hashes every content since the one before.
CREATE TABLE perdure_events (
    position INTEGER PRIMARY KEY,
    ticks INTEGER NOT NULL,
    id BLOB NOT NULL,
    entity INTEGER NOT NULL,
    version INTEGER NOT NULL,
    type INTEGER NOT NULL,
    domain INTEGER,
    recorded_at INTEGER NOT NULL,
    tags TEXT,
    data BLOB NOT NULL,
    metadata BLOB,
    checksum INTEGER NOT NULL,
    chain BLOB
) STRICT;

CREATE UNIQUE INDEX perdure_events_by_happened ON perdure_events (ticks, id);
CREATE UNIQUE INDEX perdure_events_by_entity ON perdure_events (entity, version);
CREATE INDEX perdure_events_by_type ON perdure_events (type);
CREATE INDEX perdure_events_by_domain ON perdure_events (domain) WHERE domain IS NOT NULL;

CREATE TABLE perdure_event_tags (
    tag INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (tag, position)
) STRICT, WITHOUT ROWID;

-- Which entities a domain has, so that listing them does not walk the log.
CREATE TABLE perdure_domain_entities (
    domain INTEGER NOT NULL,
    entity BLOB NOT NULL,
    PRIMARY KEY (domain, entity)
) STRICT, WITHOUT ROWID;

CREATE TABLE perdure_records (
    no INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    value BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (kind, key)
) STRICT;

CREATE TABLE perdure_intents (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    ordering TEXT NOT NULL,
    payload BLOB NOT NULL,
    due INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE INDEX perdure_intents_by_kind ON perdure_intents (kind);

CREATE TABLE perdure_meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Tells this store from every other, a restored copy of itself excepted.
INSERT INTO perdure_meta (key, value) VALUES ('epoch', lower(hex(randomblob(16))));
