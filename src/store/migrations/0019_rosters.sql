-- How many keys a child had before the one in use, and how often a person decided about cutting it off: two memories of one
-- child are joined by these, as after this node went back to an old copy of its disk.
ALTER TABLE node ADD COLUMN keys_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN decisions INTEGER NOT NULL DEFAULT 0;
-- The authority of this node by which the child knows it, as it last showed. Null: it did not, so the first one.
ALTER TABLE node ADD COLUMN authority BLOB;

-- The enrolments and revocations of each child, as it has us keep them: text signed by its authority.
CREATE TABLE roster (
    link      INTEGER PRIMARY KEY REFERENCES link (link),
    body      TEXT NOT NULL,
    signed_by TEXT NOT NULL,
    signature TEXT NOT NULL,
    at        INTEGER NOT NULL
) STRICT;
