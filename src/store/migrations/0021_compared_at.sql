-- When the two ends of a link last compared what they hold, everything sent before having arrived: what the other side wrote
-- earlier has come, so that nobody can date a mass change back.
ALTER TABLE link ADD COLUMN compared_at INTEGER;
UPDATE link SET compared_at = last_success_at;
