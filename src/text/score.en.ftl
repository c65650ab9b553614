# Scoring units.

console-menu-scores = Scores
console-scores-by = By { $criteria }. What has no basis (nothing was due, no evidence was looked at) is not counted as zero: the weight of that criterion leaves what could be reached.
console-scores-intro = Points and places of the units in { $period }, with the numbers behind each point.
console-scores-none = There is no unit to score yet.
err-bad-criteria = The criteria cannot be used: { $detail }. Mend the file and try again.
label-criterion = Criterion
label-grade = Classification
label-of-most = At most
label-points = Points
label-rank = Place
label-score-lines = Basis of each point
note-score-without-basis = { $count } units have nothing to be scored by, and no place.
score-no-basis = no basis
book-scores-sheet = Scores
book-scores-title = SCORES AND CLASSIFICATION OF UNITS
