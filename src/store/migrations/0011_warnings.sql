-- Red warnings, as they follow from the records held here. `unit`: whose work; empty where nobody knows who leads the task.
-- One that is no longer so keeps its row with `cleared_at`; if it comes anew it is another row. `silenced_*`, `reason`,
-- `until`: who said why it needs no attention, and the last day on which that holds. Times are ms since 1970.
CREATE TABLE warning (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    task        BLOB NOT NULL,
    unit        BLOB NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('overdue', 'behind', 'insufficient')),
    raised_at   INTEGER NOT NULL,
    cleared_at  INTEGER,
    silenced_at INTEGER,
    silenced_by TEXT,
    reason      TEXT,
    until       TEXT
) STRICT;
CREATE UNIQUE INDEX warning_open ON warning (task, unit, kind) WHERE cleared_at IS NULL;
CREATE INDEX warning_cleared ON warning (cleared_at) WHERE cleared_at IS NOT NULL;

-- Tasks to look at again. The empty id stands for all of them.
CREATE TABLE warning_mark (
    task BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO warning_mark VALUES (x'');

-- The day on which a task's warnings may change though nobody writes.
CREATE TABLE warning_watch (
    task  BLOB PRIMARY KEY,
    wakes TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX warning_wakes ON warning_watch (wakes);
