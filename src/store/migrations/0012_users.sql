-- People who may log in at the console. `role`: as in the contract. `secret`: their password's hash (PHC text).
CREATE TABLE user (
    name       TEXT PRIMARY KEY,
    role       TEXT NOT NULL,
    secret     TEXT NOT NULL,
    added_at   INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
