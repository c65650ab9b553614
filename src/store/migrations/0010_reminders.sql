-- Deadlines of which a person is reminded now, as they were counted last: whole, replaced together. `stage`: the reminder
-- in force, in days from the last day. `facts`: what was expected, what came, and who owes something (JSON). `as_of`: when
-- it was counted, ms since 1970.
CREATE TABLE reminder (
    regime TEXT NOT NULL,
    period TEXT NOT NULL,
    stage  INTEGER NOT NULL,
    facts  TEXT NOT NULL,
    as_of  INTEGER NOT NULL,
    PRIMARY KEY (regime, period)
) STRICT, WITHOUT ROWID;
