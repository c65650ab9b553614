-- Periods of units that were closed at this node. `version`: of what counts for the unit; it goes up when what came late is
-- taken in. `closed`: 0 once it was reopened, with why.
CREATE TABLE closing (
    unit    BLOB NOT NULL,
    period  TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    closed  INTEGER NOT NULL DEFAULT 1 CHECK (closed IN (0, 1)),
    reason  TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (unit, period)
) STRICT, WITHOUT ROWID;
CREATE INDEX closing_by_period ON closing (period);

-- What came after a closing: the record as it was counted in `version`, kept when the first change of it came. No edits: it
-- was not there. The record itself is never held back; it waits here with being counted.
CREATE TABLE late (
    unit    BLOB NOT NULL,
    period  TEXT NOT NULL,
    version INTEGER NOT NULL,
    record  BLOB NOT NULL,
    kind    INTEGER NOT NULL,
    facts   TEXT NOT NULL,
    edits   TEXT,
    at      INTEGER NOT NULL,
    PRIMARY KEY (unit, period, version, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX late_by_period ON late (period);

-- Versions of this node's figures of a period after the first: for whose sake, who, when, why, and which numbers moved.
CREATE TABLE restatement (
    period  TEXT NOT NULL,
    version INTEGER NOT NULL,
    unit    BLOB NOT NULL,
    at      INTEGER NOT NULL,
    by      TEXT NOT NULL,
    reason  TEXT NOT NULL,
    moved   TEXT NOT NULL,
    PRIMARY KEY (period, version)
) STRICT, WITHOUT ROWID;

-- What a version had and the next one has no more. Null: there was nothing.
CREATE TABLE former_rollup (
    period  TEXT NOT NULL,
    version INTEGER NOT NULL,
    issuer  BLOB NOT NULL,
    grp     TEXT NOT NULL,
    rollup  TEXT,
    PRIMARY KEY (period, version, issuer, grp)
) STRICT, WITHOUT ROWID;

-- The totals of indicators when a period was opened again, to be compared with when it is closed again.
CREATE TABLE former_total (
    period    TEXT NOT NULL,
    version   INTEGER NOT NULL,
    indicator BLOB NOT NULL,
    code      TEXT NOT NULL,
    total     TEXT NOT NULL,
    PRIMARY KEY (period, version, indicator)
) STRICT, WITHOUT ROWID;
