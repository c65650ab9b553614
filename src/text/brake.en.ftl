# The mass-change brake.

err-no-such-hold = There is no mass change number { $hold }. "nqsync hold list" shows those there are.
err-hold-decided = Mass change { $hold } is already decided ({ $state }).
err-hold-not-done = Mass change { $hold } was not carried out ({ $state }); there is nothing to take back.
err-hold-too-old = Mass change { $hold } is older than 30 days and can no longer be taken back in one go.
err-item-held = Item { $item } is { $reason }. Decide the whole of it with "nqsync hold release" or "nqsync hold refuse".

note-held = This would delete or overwrite { $count } of { $of } records and waits as mass change { $hold }; nothing is changed yet. "nqsync hold show { $hold }" lists them, "nqsync hold release { $hold }" carries it out, "nqsync hold refuse { $hold } --reason …" drops it.
note-hold-released = Mass change { $hold } is carried out: { $count } records changed. "nqsync hold undo { $hold }" takes it back within 30 days.
note-hold-refused = Mass change { $hold } is refused: { $count } records stay as they are here.
note-hold-undone = Taken back: { $restored } records. Written by somebody since then and left as they are: { $since }. Owned elsewhere, to be taken back there: { $elsewhere }.

problem-held = Records of a mass change wait for a person: { $detail }. "nqsync hold list" shows it; release or refuse it.

label-changed-since = Changed since
label-decided-at = Decided
label-decided-by = Decided by
label-elsewhere = Owned elsewhere
label-held = Held
label-hold = Mass change
label-loss = Would lose
label-of-records = Of records
label-overwritten = Overwritten
label-removed = Taken away
label-restored = Taken back
label-undo-until = Undo until

word-hold-open = waits for a person
word-hold-released = carried out
word-hold-refused = refused
word-hold-undone = taken back
word-hold-passed = carried out, within the limits
word-loss-removed = taken away
word-loss-overwritten = overwritten
