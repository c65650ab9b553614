# Units that move, merge, split, or get another server.

err-bad-day = "{ $day }" is no day that exists. Write it as 15/3/2026 or 2026-03-15.
err-heir-no-successor = The heir { $heir } is not among the units that go on. Name it with --into as well.
err-unit-in-itself = { $other } belongs to { $unit } or is it; a unit cannot go into itself.
err-unit-beyond = { $unit } is not below this node. A unit is moved to another branch, or continued there, by the node above both.
err-unit-succeeded = { $unit } ends already and is continued by { $other }.
err-unit-unserved = No node serves { $unit } yet.

note-unit-moves-later = From { $from } { $unit } stands below { $other }, as was said before.
note-unit-succeeded = From { $from } { $heir } continues { $unit }: it answers for it under the old names, and past periods stay as they were.
