-- Messages that tell people of warnings and reminders. Of a channel (mail, webhook) at most one waits to be sent, as it was
-- made: a second try has the same bytes under the same name. `entries`: what it tells (JSON). `failing_since`, `error`: since
-- when it cannot be sent, and why. `answer`: what the other side said when it took it. Times are ms since 1970.
CREATE TABLE notice (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    channel       TEXT NOT NULL,
    subject       TEXT NOT NULL,
    text          TEXT NOT NULL,
    entries       TEXT NOT NULL,
    made_at       INTEGER NOT NULL,
    tries         INTEGER NOT NULL DEFAULT 0,
    next_at       INTEGER NOT NULL,
    failing_since INTEGER,
    error         TEXT,
    sent_at       INTEGER,
    answer        TEXT
) STRICT;
CREATE UNIQUE INDEX notice_waiting ON notice (channel) WHERE sent_at IS NULL;

-- What a channel was told, or is being told: nothing twice.
CREATE TABLE notice_entry (
    channel TEXT NOT NULL,
    entry   TEXT NOT NULL,
    notice  INTEGER NOT NULL REFERENCES notice,
    PRIMARY KEY (channel, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_entries ON notice_entry (notice);
