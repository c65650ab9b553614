# Red warnings.

err-bad-until = A silence ends on { $first } at the earliest and on { $last } at the latest, not on { $until }.
err-no-such-warning = There is no warning { $warning }; see nqsync warning list.
err-unknown-warning-kind = "{ $kind }" is no kind of warning; write overdue, behind or insufficient.
err-warning-cleared = Warning { $warning } stands no longer; there is nothing to silence.
label-cleared = Cleared
label-silenced-by = Silenced by
label-until = Until
label-warning = Warning
note-warnings-pending = Some tasks were written since the warnings were last looked at; the service does that by itself.
status-warnings = { $open } ({ $overdue } overdue, { $behind } behind, { $insufficient } insufficient), { $silenced } silenced
warning-silenced = silenced until { $until } by { $by }
word-warning-cleared = cleared
notice-foot = See: nqsync warning list, nqsync calendar today. A message like this comes once for each warning and reminder.
notice-head = { $unit } { $name }: { $count } new.
notice-more = - and { $count } more; see nqsync warning list.
notice-reminder-after = Overdue report: { $regime } { $period }, due { $due }. { $count } units have not reported: { $units }
notice-reminder-before = Report due: { $regime } { $period }, by { $due }. { $count } units have still to report: { $units }
notice-warning = Red warning, { $kind }: { $unit }, { $task } (due { $due })
problem-notice = People cannot be told of warnings and reminders by { $detail } (since { $since }). It is tried again by itself.
problem-notify-file = Nobody is told of warnings and reminders: { $detail }
