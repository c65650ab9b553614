-- What a child brought of a unit above us may be that unit's own lost work, which only its author can tell by the seal.
-- `brought`: 0 of no concern to the parent, 1 to be shown to it, 2 shown, 3 it is known above and no longer concerns the
-- child, which has to hear that.
ALTER TABLE quarantine ADD COLUMN brought INTEGER NOT NULL DEFAULT 0 CHECK (brought IN (0, 1, 2, 3));
CREATE INDEX quarantine_gone ON quarantine (link) WHERE brought = 3;
CREATE INDEX quarantine_brought ON quarantine (item) WHERE brought = 1;
-- `task`: the task that was not known when a report on it came. When it is, the report is tried again.
ALTER TABLE quarantine ADD COLUMN task BLOB;
CREATE INDEX quarantine_task ON quarantine (task) WHERE task IS NOT NULL;
