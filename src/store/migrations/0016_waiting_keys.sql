-- Keys that the authority of this node certified and that are on no list here, as after it went back to an old copy of its
-- disk. Nothing is served to them until a person has decided.
CREATE TABLE waiting_key (
    pin         BLOB PRIMARY KEY CHECK (length(pin) = 32),
    node        BLOB NOT NULL CHECK (length(node) = 16),
    certificate TEXT NOT NULL,
    first_at    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    refused_at  INTEGER,
    refused_by  TEXT,
    reason      TEXT
) STRICT, WITHOUT ROWID;
