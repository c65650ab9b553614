-- A file that a neighbour has confirmed stays noted (`told`), so that a neighbour whose disk was lost can have it again.
ALTER TABLE blob_due ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
