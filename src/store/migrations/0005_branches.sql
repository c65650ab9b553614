-- Openings of a child's store that stand beside each other: two of one predecessor mean that the store was restored or
-- copied. `incarnation`: where the branch begins, as far as it is known. `head`: its latest opening. `state`:
-- `superseded` (another opening came in its place; so it is after a restore), `clone` (it came again beside another
-- one: both wait for a person), `chosen` (the one that goes on), `refused` (the ones that do not).
CREATE TABLE branch (
    link        INTEGER NOT NULL REFERENCES link,
    incarnation BLOB NOT NULL,
    head        BLOB NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('superseded', 'clone', 'chosen', 'refused')),
    seen_at     INTEGER NOT NULL,
    PRIMARY KEY (link, incarnation)
) STRICT, WITHOUT ROWID;
