//! What a reader of a file has to say about it, cell by cell.

use serde::{Deserialize, Serialize};

/// How many characters of a cell a remark quotes.
const QUOTED_CHARS: usize = 80;

/// How much a remark matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is missing.
    Note,
    /// Something the record should have is not there or could not be read; the row is kept.
    Missing,
    /// The row was not taken.
    Refused,
}

/// What a remark is about. Names are stable and only added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemarkCode {
    /// How the file was read: kind, encoding, separator or sheet.
    ReadAs,
    /// The value of a formula was taken as it was last computed.
    Formula,
    /// A formula that was never computed: it has no value.
    FormulaWithoutValue,
    /// A cell that shows an error such as `#N/A`.
    CellError,
    /// The row is hidden in the workbook; it was read.
    HiddenRow,
    /// Text with decomposed accents, which was composed.
    NfdText,
    /// A cell above the size limit.
    CellTooLarge,
    /// A row beyond the limit on rows or cells; reading stopped there.
    TooManyRows,
    /// A quoted cell that never ends.
    OpenQuote,
    /// No row was recognised as the header.
    NoHeader,
    /// Where the header was found.
    HeaderRow,
    /// A column that is not used.
    UnknownColumn,
    /// A column that was expected is not there.
    MissingColumn,
    /// A second column with the same meaning, which is not used.
    DuplicateColumn,
    /// A row above the header, or a row of column numbers.
    SkippedRow,
    /// Units or a deadline in a row without number, task, deliverable or result; not taken.
    StrayCell,
    /// A row that names the group of the rows below it.
    SectionRow,
    /// A row that only heads the sub-tasks below it.
    HeadingRow,
    /// The signature block at the end.
    SkippedSignature,
    /// Number or general task continue from the row above.
    ContinuedCell,
    /// Two different tasks with one number in a group.
    DuplicateNumber,
    /// Several sub-tasks of one task under one number.
    SharedNumber,
    /// A number is left out.
    NumberGap,
    /// No task number.
    EmptyNumber,
    /// No general task and no sub-task text.
    EmptyTitle,
    /// No lead unit.
    EmptyLead,
    /// No coordinating unit.
    EmptyCoordinating,
    /// No measurable result.
    EmptyKpi,
    /// No deliverable.
    EmptyDeliverable,
    /// No deadline.
    EmptyDeadline,
    /// Several lead units in one cell.
    SeveralLeads,
    /// One unit's name in two spellings within the file.
    SpellingVariant,
    /// A lead that is not a known unit.
    UnknownLead,
    /// A coordinating unit that is not a known unit.
    UnknownCoordinating,
    /// A deadline that could not be read.
    DeadlineUnread,
    /// A deadline naming a day that does not exist.
    DeadlineNoSuchDate,
    /// A deadline with more text beside it.
    DeadlineExtraText,
    /// A deadline cell naming several days or periods.
    DeadlineSeveralDates,
    /// A deadline in stages.
    PhasedDeadline,
    /// A continuous task: reported on every period.
    ContinuousDeadline,
    /// A task on request: it has no day.
    OnRequestDeadline,
    /// Two rows are equal in everything that identifies a row.
    IdenticalRow,
    /// A required cell is empty.
    EmptyCell,
    /// A code that occurred before in the file.
    DuplicateCode,
    /// A cell that is not a number.
    NotANumber,
    /// A number that can be read in two ways.
    AmbiguousNumber,
    /// A number outside what is allowed.
    OutOfRange,
    /// A denominator of zero.
    ZeroDenominator,
    /// A numerator above its denominator.
    NumeratorAboveDenominator,
    /// A stated percent that differs from numerator over denominator.
    PercentDiffers,
    /// A period that could not be read.
    PeriodUnread,
    /// A status that could not be read.
    StatusUnread,
    /// No status.
    EmptyStatus,
    /// A comparator that could not be read.
    ComparatorUnread,
    /// A target in words.
    TargetIsText,
    /// The row states a level of secrecy.
    Classified,
    /// More remarks than are kept.
    RemarksLeftOut,
}

/// One remark on a file, a row or a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The file's name as given.
    pub file: String,
    /// The row as a spreadsheet program numbers it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// The column's header as written, or its letters where no header is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What it is about.
    pub code: RemarkCode,
    /// What was found, shortened.
    pub found: String,
    /// How much it matters.
    pub severity: Severity,
}

impl Remark {
    /// A remark on the file as a whole.
    pub fn new(file: &str, code: RemarkCode, severity: Severity, found: impl AsRef<str>) -> Self {
        let found = shorten(found.as_ref());
        Self {
            file: file.to_owned(),
            row: None,
            column: None,
            code,
            found,
            severity,
        }
    }

    /// The same remark, placed at a row.
    #[must_use]
    pub fn at(mut self, row: u32) -> Self {
        self.row = Some(row);
        self
    }

    /// The same remark, placed in a column.
    #[must_use]
    pub fn in_column(mut self, column: impl Into<String>) -> Self {
        self.column = Some(column.into());
        self
    }
}

/// The beginning of `text` on one line, for quoting.
pub(super) fn shorten(text: &str) -> String {
    let mut words = text.split_whitespace();
    let mut short = String::new();
    let mut room = QUOTED_CHARS;
    for word in words.by_ref() {
        let needed = word.chars().count() + usize::from(!short.is_empty());
        if needed > room {
            if !short.is_empty() && room > 1 {
                short.push(' ');
                room -= 1;
            }
            short.extend(word.chars().take(room.saturating_sub(1)));
            short.push('…');
            return short;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
        room -= needed;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_short_line() {
        assert_eq!(shorten(" hai\n dòng "), "hai dòng");
        assert!(shorten(&format!("1 {}", "x".repeat(100))).starts_with("1 x"));
        let long = shorten(&"x".repeat(10_000_000));
        assert_eq!(long.chars().count(), QUOTED_CHARS);
        assert!(long.ends_with('…'));
    }
}
