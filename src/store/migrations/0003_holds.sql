-- Mass changes that wait, or waited, for a person. `link`: the neighbour they came from; NULL for a verb given here,
-- which `request` holds. `state`: open, released, refused, undone; `passed` for one that was large and within the
-- limits, kept so that it can be undone as well.
CREATE TABLE hold (
    hold        INTEGER PRIMARY KEY,
    link        INTEGER REFERENCES link,
    at          INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'released', 'refused', 'undone', 'passed')),
    removed     INTEGER NOT NULL,
    overwritten INTEGER NOT NULL,
    of_records  INTEGER NOT NULL,
    request     TEXT,
    decided_at  INTEGER,
    decided_by  TEXT,
    reason      TEXT
) STRICT;
CREATE INDEX hold_by_state ON hold (state, hold);

-- The records of a hold. `body`: the line as the neighbour sent it, while it waits. `changes`: what each register
-- showed before and after, once it was let through.
CREATE TABLE hold_record (
    hold    INTEGER NOT NULL REFERENCES hold,
    record  BLOB NOT NULL,
    kind    TEXT NOT NULL,
    loss    TEXT NOT NULL,
    body    TEXT,
    changes TEXT,
    PRIMARY KEY (hold, record)
) STRICT, WITHOUT ROWID;

-- What was lost lately, by the neighbour it came from (0: by verbs given here), so that many small exchanges are
-- counted as one.
CREATE TABLE brake_count (
    source      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    removed     INTEGER NOT NULL,
    overwritten INTEGER NOT NULL
) STRICT;
CREATE INDEX brake_count_by_source ON brake_count (source, at);
