-- Where the work of a unit on a task stands after each version it submitted: derived from the records, so that a page reads
-- what it shows and not every report. One row for each submitted report. `ends`, `starts`: its period's last and first day;
-- `until`: the last day of the next one's period, `~` for the latest: the row tells of every period that ends from `ends` to
-- the day before `until`. `state`: the derived state in its order, as if the due day had not come. `marks`: 1 rejected,
-- 2 provisional, 4 evidence not looked at, 8 in conflict, 16 accepted. `waits`: 1 for a verdict, 2 returned, 4 its draft
-- was changed since.
CREATE TABLE standing (
    task    BLOB NOT NULL,
    unit    BLOB NOT NULL,
    report  BLOB NOT NULL,
    starts  TEXT NOT NULL,
    ends    TEXT NOT NULL,
    until   TEXT NOT NULL,
    at      INTEGER NOT NULL,
    state   INTEGER NOT NULL,
    marks   INTEGER NOT NULL,
    waits   INTEGER NOT NULL,
    percent TEXT,
    hash    TEXT NOT NULL,
    PRIMARY KEY (task, unit, report)
) STRICT, WITHOUT ROWID;
CREATE INDEX standing_by_end ON standing (ends, starts, hash);
CREATE INDEX standing_by_until ON standing (until, ends, at, state, marks);
CREATE INDEX standing_latest ON standing (task, unit, state) WHERE until = '~';
CREATE INDEX standing_finished ON standing (until, ends, task, unit) WHERE state >= 6;
CREATE INDEX standing_waits ON standing (ends, task, unit, report, waits) WHERE waits <> 0;

-- Work of which something was written since its rows were derived. An empty unit: all that reported on the task; an empty
-- task: everything.
CREATE TABLE standing_mark (
    task BLOB NOT NULL,
    unit BLOB NOT NULL,
    PRIMARY KEY (task, unit)
) STRICT, WITHOUT ROWID;
INSERT INTO standing_mark VALUES (x'', x'');

-- The reports, evidence and other records of one unit in one period.
CREATE INDEX record_by_owner ON record (kind, owner, period) WHERE period IS NOT NULL;
-- Which files evidence names, so that the same file handed in twice is seen without reading all evidence.
CREATE TABLE evidence_file (
    sha256 BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (sha256, record)
) STRICT, WITHOUT ROWID;
