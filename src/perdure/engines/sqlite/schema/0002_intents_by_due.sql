-- Intents are read by due time, then by place, which is `seq`. AUTOINCREMENT, so that a place is never given
-- twice: who reads on behind one would miss what took it over.

CREATE TABLE perdure_intents_placed (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    ordering TEXT NOT NULL,
    payload BLOB NOT NULL,
    due INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

INSERT INTO perdure_intents_placed (seq, id, kind, target, ordering, payload, due, checksum)
    SELECT seq, id, kind, target, ordering, payload, due, checksum FROM perdure_intents;
DROP TABLE perdure_intents;
ALTER TABLE perdure_intents_placed RENAME TO perdure_intents;

-- Every index ends with the number of the row, so this one is by (kind, due, seq).
CREATE INDEX perdure_intents_by_due ON perdure_intents (kind, due);
