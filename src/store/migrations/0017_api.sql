-- Changes of records in the order of their commits, for programs that follow them. Only the newest are kept; `fields`: the
-- registers that changed, with a space between two.
CREATE TABLE change (
    number INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    rec    INTEGER NOT NULL,
    fields TEXT NOT NULL
) STRICT;

-- Programs that may use the local API. `hash`: of the secret, which is nowhere. `role`: as in the contract.
CREATE TABLE api_token (
    name       TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    added_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
