-- A key that a downstream node has shown us and not used yet, with its certificate: it takes the place of `pin` when the node
-- comes with it. `key_asked`: a person wants the node to take a new key.
ALTER TABLE node ADD COLUMN next_pin BLOB;
ALTER TABLE node ADD COLUMN next_certificate TEXT;
ALTER TABLE node ADD COLUMN key_asked INTEGER NOT NULL DEFAULT 0;
