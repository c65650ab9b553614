# The audit: who did what, and whether that was left as it was written.

err-not-a-moment = "{ $text }" is neither a day (2026-03-01) nor a moment (2026-03-01T07:00:00Z).
err-audit-key = The audit cannot be signed: { $detail }. Nothing was written.
err-audit-nothing-wrong = Nothing is known to be wrong with the audit of { $peer }.

note-audit-whole = The audit is whole: { $entries } entries, signed from above up to entry { $signed }.
note-audit-broken = The audit is NOT what was written, from entry { $entry } on. Change nothing, keep a copy of the data folder, and ask the level above what it has seen.
note-audit-exported = { $entries } entries are written and signed with this node's key.
note-audit-file-whole = The file is whole: { $entries } entries. It is signed with the key { $key }; compare that with "nqsync node show" at the level above.
note-audit-file-broken = The file was changed in line { $line }. The { $entries } entries before it are as they were written.
note-audit-file-cut = The file ends in line { $line }, after { $entries } entries: its end is missing.
note-audit-accepted = Noted. What was seen of the audit of { $peer } stays kept.

problem-audit-contradicts = The audit of { $detail } is shorter than, or differs from, what was seen of it before. Ask there whether a disk was put back; if not, somebody rewrote it. Afterwards "nqsync audit accept { $detail } --reason …".

label-act = Act
label-subject = Subject
label-entries = Entries
label-signed-up-to = Signed up to
label-signed-by = Signed by
label-countersigned = Signatures of neighbours
label-key = Key
word-audit-cut = seen by a neighbour, and missing here
word-audit-rewritten = not what was written
word-audit-signature = a neighbour's signature is not true
