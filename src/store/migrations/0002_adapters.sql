-- What both sides had when an adapter last saw them agree, per outside record. `ours` and `theirs` are fields by name
-- in our notation; kept apart, because an outside system may store something else than it was given. `token` says
-- which state of our record `ours` was taken from.
CREATE TABLE adapter_shadow (
    adapter       TEXT NOT NULL,
    stream        TEXT NOT NULL,
    key           TEXT NOT NULL,
    id            TEXT NOT NULL,
    version       TEXT,
    record        BLOB,
    ours          TEXT NOT NULL,
    theirs        TEXT NOT NULL,
    token         TEXT NOT NULL,
    agreed_at     INTEGER NOT NULL,
    missing_since INTEGER,
    PRIMARY KEY (adapter, stream, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX adapter_shadow_by_record ON adapter_shadow (record);

-- Writes to the outside that were begun: noted before they are sent, taken away when they were read back. A row found at
-- the start of a run is in doubt, and the outside is asked.
CREATE TABLE adapter_outbox (
    adapter TEXT NOT NULL,
    stream  TEXT NOT NULL,
    key     TEXT NOT NULL,
    id      TEXT,
    tried   TEXT NOT NULL,
    fields  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (adapter, stream, key)
) STRICT, WITHOUT ROWID;

-- Evidence files handed over.
CREATE TABLE adapter_file (
    adapter TEXT NOT NULL,
    stream  TEXT NOT NULL,
    key     TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    theirs  TEXT,
    at      INTEGER NOT NULL,
    PRIMARY KEY (adapter, stream, key, sha256)
) STRICT, WITHOUT ROWID;

-- Runs, the latest few of each adapter. `ended_at` is empty while one runs, and for ever after a crash in it.
CREATE TABLE adapter_run (
    run      INTEGER PRIMARY KEY,
    adapter  TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome  TEXT,
    summary  TEXT
) STRICT;
CREATE INDEX adapter_run_by_adapter ON adapter_run (adapter, run);

-- Records that could not be exchanged, as of the last run.
CREATE TABLE adapter_problem (
    adapter TEXT NOT NULL,
    stream  TEXT NOT NULL,
    key     TEXT NOT NULL,
    code    TEXT NOT NULL,
    text    TEXT NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (adapter, stream, key, code)
) STRICT, WITHOUT ROWID;

-- What an adapter keeps between runs, as JSON: since when a stream was listed, a mass change that waits for a person, …
CREATE TABLE adapter_state (
    adapter TEXT NOT NULL,
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (adapter, name)
) STRICT, WITHOUT ROWID;
