-- Acts that need two persons, as the first of them asked for them. `target` is the fingerprint of what the act is about:
-- when that has changed meanwhile, it is not the same act any more. `request` is the verb with its arguments.
CREATE TABLE approval (
    approval   INTEGER PRIMARY KEY AUTOINCREMENT,
    act        TEXT NOT NULL,
    subject    TEXT NOT NULL,
    target     TEXT NOT NULL,
    request    TEXT NOT NULL,
    person     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    at         INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('open', 'approved', 'refused')),
    decided_at INTEGER,
    decided_by TEXT,
    decision   TEXT,
    CHECK ((state = 'open') = (decided_at IS NULL))
) STRICT;
