-- Bundles made for a neighbour. `hash`: of the envelope. `contents`: what a receipt answers
-- for (JSON); null once a later receipt or bundle made it needless. `answer`: 1 where a receipt is expected. `placed`: 1 when
-- it got its final name. `answered_at`: when the receipt came.
CREATE TABLE bundle_out (
    link        INTEGER NOT NULL REFERENCES link,
    number      INTEGER NOT NULL,
    hash        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    answer      INTEGER NOT NULL,
    placed      INTEGER NOT NULL DEFAULT 0,
    contents    TEXT,
    answered_at INTEGER,
    PRIMARY KEY (link, number)
) STRICT, WITHOUT ROWID;

-- Bundles of a neighbour. Every one that was taken in stays here for ever, so that it is known again whenever it comes.
-- `state`: `begun`, the segments up to `segments` are in; `taken`; `late`, replaced before it came; `waits`, it builds on one
-- that did not come. `before_*`: the bundle it was made after. `head`: the opening of its
-- issuer's store that made it. `answer`: what its issuer is to be told (JSON), until it
-- has heard it. `tip`: 1 for the one that was taken in last.
CREATE TABLE bundle_in (
    link          INTEGER NOT NULL REFERENCES link,
    number        INTEGER NOT NULL,
    hash          TEXT NOT NULL,
    before_number INTEGER NOT NULL,
    before_hash   TEXT NOT NULL,
    base_number   INTEGER NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('begun', 'taken', 'late', 'waits')),
    segments      INTEGER NOT NULL DEFAULT 0,
    at            INTEGER NOT NULL,
    head          BLOB,
    answer        TEXT,
    tip           INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (link, number, hash)
) STRICT, WITHOUT ROWID;
