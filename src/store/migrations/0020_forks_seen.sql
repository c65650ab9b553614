-- How many of a neighbour's forks a person has looked into, and when the latest was seen: what is explained alarms no more.
ALTER TABLE link ADD COLUMN forks_seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link ADD COLUMN forked_at INTEGER;
