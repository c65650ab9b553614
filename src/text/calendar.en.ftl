# The reporting calendar.

calendar-and-more = and { $n } more
calendar-nothing = Nobody owes a report whose deadline is near or past.
err-bad-stretch = From { $from } to { $to } is no stretch of days that can be shown: the second must not be before the first, and at most { $most } days after it.
label-days-left = Days left
label-next-due = Next deadlines
label-owing = Still to report
label-period-missing = Missing
label-regime = Regime
label-reminders = Reminders
note-calendar-unknown = reporting.regimes names units that nobody here has: { $units }. The regime does not hold for them.
word-answered-late = complete, late
word-answered-missing = missing
word-answered-nothing-due = nothing due
word-answered-on-time = complete, on time
word-answered-open = open
word-regime-half-yearly = 6 months
word-regime-monthly = month
word-regime-nine-months = 9 months
word-regime-quarterly = quarter
word-regime-ward-monthly = month (ward)
word-regime-weekly = week
word-regime-yearly = year
word-regime-yearly-december = year (10 December)
