# Reporting periods.

err-indicator-period-closed = Period { $period } of { $unit } is closed; indicator { $code } takes no more values. Ask the unit above to reopen it.
err-period-in-conflict = Period { $period } of { $unit } was decided differently at two places. See nqsync conflict list and settle it first.
err-period-no-unit = No unit stands directly below. Name the units.
err-period-not-accepted = Period { $period } of { $unit } is { $state }: there is nothing to accept. The unit submits first.
err-period-not-begun = Period { $period } has not begun yet (unit { $unit }). Check the period.
err-period-not-closed = Period { $period } of { $unit } is { $state } and cannot be closed now. Accept or return what was submitted first.
err-period-not-reopened = Period { $period } of { $unit } is { $state }; only a closed period can be reopened.
err-period-not-returned = Period { $period } of { $unit } is { $state }: there is nothing to return.
err-period-not-submitted = Period { $period } of { $unit } is { $state } and takes no submission. Ask the unit above to reopen it.
label-due = Due
label-period-expected = Expected
label-period-on-time = On time
note-period-missing = Submitted; { $missing } of the expected reports are missing.
note-period-refused = { $count } units could not take the step; the others did. "refused" in --json names them.
word-period-accepted = accepted
word-period-locked = closed
word-period-open = open
word-period-reopened = reopened
word-period-returned = returned
word-period-submitted = submitted
