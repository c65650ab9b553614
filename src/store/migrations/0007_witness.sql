-- Heads of audits that were shown at a contact. `whose`: `theirs`, the neighbour's, seen by us; `ours`, seen by the
-- neighbour and signed by it (`key`: its SubjectPublicKeyInfo); `former`, the neighbour's, contradicted by what it showed
-- later. One a day and the latest are kept for each link.
CREATE TABLE witness (
    link      INTEGER NOT NULL REFERENCES link,
    whose     TEXT NOT NULL CHECK (whose IN ('ours', 'theirs', 'former')),
    at        INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    key       BLOB,
    signature BLOB,
    PRIMARY KEY (link, whose, at)
) STRICT, WITHOUT ROWID;
-- What was wrong with the neighbour's audit, as JSON; null where nothing is.
ALTER TABLE link ADD COLUMN audit_broken TEXT;
