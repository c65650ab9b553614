-- One row of facts about this store: its node, format notes, the upstream it is enrolled at.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Each opening for writing, at its first write. The chain of predecessors shows restores and clones.
CREATE TABLE incarnation (
    number      INTEGER PRIMARY KEY,
    incarnation BLOB NOT NULL UNIQUE,
    predecessor BLOB,
    drawn_at    INTEGER NOT NULL
) STRICT;

-- Every record this node holds: facts and edits exactly as authored. `about`, `period` and `owner` repeat what
-- the facts say, for look-ups. `flags`: 1 open conflict, 2 deleted, 4 left our scope, 8 kept with a remark.
CREATE TABLE record (
    rec    INTEGER PRIMARY KEY,
    kind   INTEGER NOT NULL,
    id     BLOB NOT NULL UNIQUE,
    about  BLOB,
    period TEXT,
    owner  BLOB,
    facts  TEXT NOT NULL,
    edits  TEXT NOT NULL,
    digest BLOB NOT NULL,
    flags  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX record_by_about ON record (kind, about, owner);
CREATE INDEX record_by_flag ON record (rec) WHERE flags <> 0;

-- Why a record that broke a domain rule elsewhere was kept all the same.
CREATE TABLE remark (
    rec  INTEGER NOT NULL REFERENCES record,
    code TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (rec, code)
) STRICT, WITHOUT ROWID;

-- Edits that nothing present needs any more: the history people see.
CREATE TABLE history (
    rec         INTEGER NOT NULL REFERENCES record,
    hash        BLOB NOT NULL,
    edit        TEXT NOT NULL,
    replaced_at INTEGER NOT NULL,
    PRIMARY KEY (rec, hash)
) STRICT, WITHOUT ROWID;

-- One row per neighbour. `up_*` counts the batches that travel to the parent, `down_*` those that come from it;
-- both ends keep both, with a running hash and the one before it (an acknowledgement may have been lost).
CREATE TABLE link (
    link            INTEGER PRIMARY KEY,
    node            BLOB NOT NULL UNIQUE,
    role            TEXT NOT NULL CHECK (role IN ('upstream', 'downstream')),
    up_batch        INTEGER NOT NULL DEFAULT 0,
    up_hash         BLOB NOT NULL DEFAULT x'00',
    up_before       BLOB NOT NULL DEFAULT x'00',
    down_batch      INTEGER NOT NULL DEFAULT 0,
    down_hash       BLOB NOT NULL DEFAULT x'00',
    down_before     BLOB NOT NULL DEFAULT x'00',
    peer_head       BLOB,
    last_attempt_at INTEGER,
    last_contact_at INTEGER,
    last_success_at INTEGER,
    last_error      TEXT,
    refused         INTEGER NOT NULL DEFAULT 0,
    clock_ahead_ms  INTEGER,
    version         TEXT,
    agrees          INTEGER,
    forks           INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Per link and record: the digest of our last state the peer answered for (`ours`), the digest of the peer's last
-- state that we joined (`theirs`). A record is sent exactly when its digest is neither. `pending` is that
-- comparison, kept so that a round costs what changed and not what is stored. `scope`: 1 in scope, 0 left it and
-- the peer was told, 2 left it and the peer is to be told. `refused`: 1 the peer quarantined this very state.
CREATE TABLE link_record (
    link    INTEGER NOT NULL REFERENCES link,
    rec     INTEGER NOT NULL REFERENCES record,
    ours    BLOB,
    theirs  BLOB,
    scope   INTEGER NOT NULL DEFAULT 1,
    refused INTEGER NOT NULL DEFAULT 0,
    lane    INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    PRIMARY KEY (link, rec)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_pending ON link_record (link, lane, rec) WHERE pending = 1;

-- Records set aside, here (`in`) or by a peer (`out`), with a reason an operator understands.
CREATE TABLE quarantine (
    item        INTEGER PRIMARY KEY,
    direction   TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    link        INTEGER NOT NULL REFERENCES link,
    kind        TEXT NOT NULL,
    record      BLOB NOT NULL,
    digest      BLOB,
    code        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    body        TEXT,
    at          INTEGER NOT NULL,
    UNIQUE (direction, link, record)
) STRICT;

-- How far a record got: `extent` is the greatest counter per incarnation that the unit's node holds.
CREATE TABLE receipt (
    rec    INTEGER NOT NULL REFERENCES record,
    unit   BLOB NOT NULL,
    extent TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (rec, unit)
) STRICT, WITHOUT ROWID;

-- Receipts still to be told to a neighbour.
CREATE TABLE receipt_due (
    link INTEGER NOT NULL REFERENCES link,
    rec  INTEGER NOT NULL,
    unit BLOB NOT NULL,
    PRIMARY KEY (link, rec, unit)
) STRICT, WITHOUT ROWID;

-- Downstream nodes: who may connect, by the pin of their key.
CREATE TABLE node (
    node        BLOB PRIMARY KEY,
    unit        BLOB NOT NULL,
    pin         BLOB NOT NULL,
    certificate TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    revoked_at  INTEGER,
    reason      TEXT
) STRICT, WITHOUT ROWID;

-- One-time enrolment tokens; only the hash of the secret is kept.
CREATE TABLE token (
    hash       BLOB PRIMARY KEY,
    unit       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    used_by    BLOB
) STRICT, WITHOUT ROWID;

-- Files named by their SHA-256. A row says `present` only after the bytes were verified, synced and renamed.
CREATE TABLE blob (
    sha256  BLOB PRIMARY KEY,
    size    INTEGER NOT NULL,
    present INTEGER NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Files a neighbour needs from us and has not confirmed yet.
CREATE TABLE blob_due (
    link   INTEGER NOT NULL REFERENCES link,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (link, sha256)
) STRICT, WITHOUT ROWID;

-- Files a neighbour has to bring, because of a record it brought. Per neighbour, so that nobody learns from an
-- upload whether somebody else already brought the same file.
CREATE TABLE blob_want (
    link    INTEGER NOT NULL REFERENCES link,
    sha256  BLOB NOT NULL,
    rec     INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    arrived INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (link, sha256, rec)
) STRICT, WITHOUT ROWID;

-- Rollup groups touched by a change and not recomputed yet. An empty period means every one that was computed.
CREATE TABLE dirty (
    issuer BLOB NOT NULL,
    grp    TEXT NOT NULL,
    period TEXT NOT NULL,
    PRIMARY KEY (issuer, grp, period)
) STRICT, WITHOUT ROWID;

-- In which group of its issuer's tasks each task is counted, so that a touched group is recomputed without reading
-- the others.
CREATE TABLE task_group (
    task   BLOB PRIMARY KEY,
    issuer BLOB NOT NULL,
    grp    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX task_group_by_group ON task_group (issuer, grp);

-- Which row of which imported file became which task, so that importing again changes nothing.
CREATE TABLE import_row (
    source  TEXT NOT NULL,
    row_key TEXT NOT NULL,
    record  BLOB NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (source, row_key)
) STRICT, WITHOUT ROWID;

-- Answers to commands by request id: a retry after a lost answer gets the first result.
CREATE TABLE request (
    id     TEXT PRIMARY KEY,
    at     INTEGER NOT NULL,
    answer TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_by_age ON request (at);

-- Who did what, in the same transaction, each entry chained to the one before.
CREATE TABLE audit (
    number   INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    act      TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash     BLOB NOT NULL
) STRICT;
