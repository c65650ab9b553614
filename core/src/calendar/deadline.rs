//! Deadlines as people write them into plans, turned into a kind and, where one is named, a last day.
//!
//! Invariant: the text is kept byte for byte; kind and day are a reading of it. What the reading leaves out or had to
//! choose is said in a remark, so that a person can look at the cell again.

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

use super::words::{Token, roman, tokens};

/// What sort of deadline a text sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineKind {
    /// One day.
    Date,
    /// By the end of a month.
    Month,
    /// By the end of a quarter, or of the first nine months.
    Quarter,
    /// By the end of a half-year.
    Half,
    /// By the end of a year.
    Year,
    /// No end: reported on every period.
    Continuous,
    /// When someone asks for it.
    OnRequest,
    /// In stages set by another document; the day is the end of the year named.
    Phased,
    /// Not understood.
    Unread,
}

/// What a reader of the deadline should know besides its kind and day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineRemark {
    /// The cell is empty.
    Missing,
    /// More text stands beside what was read, perhaps a condition.
    ExtraText,
    /// Several days or periods are named; the first was taken, or the end of a range "from … to …".
    SeveralDates,
    /// The day, month or quarter does not exist, such as 31/02/2026.
    NoSuchDate,
    /// Nothing known was found in the text.
    NotUnderstood,
}

/// A deadline: the text as written, and how it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// The text as written, byte for byte.
    pub text: String,
    /// What sort of deadline it is.
    pub kind: DeadlineKind,
    /// The last day that is still in time; none for what has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Date>,
    /// What to look at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<DeadlineRemark>,
}

/// Reads a deadline. Never fails: what cannot be read becomes [`DeadlineKind::Unread`] with a remark.
///
/// "Before 15/3/2026" is read as due on the day named, as plans use the phrase.
pub fn parse_deadline(text: &str) -> Deadline {
    let (kind, due, remark) = read(&tokens(text));
    Deadline {
        text: text.to_owned(),
        kind,
        due,
        remark,
    }
}

/// A day or period found among the tokens `from..to`.
struct Mention {
    from: usize,
    to: usize,
    kind: DeadlineKind,
    /// None where the parts name no existing day.
    due: Option<Date>,
    several: bool,
}

type Reading = (DeadlineKind, Option<Date>, Option<DeadlineRemark>);

fn read(tokens: &[Token]) -> Reading {
    if !tokens.iter().any(|token| !matches!(token, Token::Mark(_))) {
        return (DeadlineKind::Unread, None, Some(DeadlineRemark::Missing));
    }
    let mentions = mentions(tokens);
    let keyword = keyword(tokens);
    match (mentions.first(), keyword) {
        (first, Some((at, kind))) if first.is_none_or(|mention| at < mention.from) => {
            with_keyword(kind, at, tokens, &mentions)
        }
        (Some(first), _) => with_mention(first, tokens, &mentions),
        (None, _) => (
            DeadlineKind::Unread,
            None,
            Some(DeadlineRemark::NotUnderstood),
        ),
    }
}

fn with_keyword(kind: DeadlineKind, at: usize, tokens: &[Token], mentions: &[Mention]) -> Reading {
    let first = mentions.first();
    if kind == DeadlineKind::Phased {
        return match first {
            Some(Mention { due: None, .. }) => {
                (DeadlineKind::Unread, None, Some(DeadlineRemark::NoSuchDate))
            }
            Some(Mention { due: Some(due), .. }) => {
                let several = mentions.len() > 1 || mentions[0].several;
                (
                    kind,
                    date(due.year(), 12, 31).into(),
                    several.then_some(DeadlineRemark::SeveralDates),
                )
            }
            None => (kind, None, None),
        };
    }
    // Who asks, and for what, belongs to "on request"; beside "continuous" any date is a condition to look at.
    let introduced = tokens[..at].iter().all(is_lead_in);
    let extra = first.is_some() || !introduced;
    (kind, None, extra.then_some(DeadlineRemark::ExtraText))
}

fn with_mention(first: &Mention, tokens: &[Token], mentions: &[Mention]) -> Reading {
    let is_word = |token: &Token, word: &str| matches!(token, Token::Word(w) if w == word);
    let ranged = tokens[..first.from]
        .iter()
        .any(|token| is_word(token, "tu"));
    let chosen = match mentions.get(1) {
        Some(second)
            if ranged
                && tokens[first.to..second.from]
                    .iter()
                    .any(|token| is_word(token, "den")) =>
        {
            second
        }
        _ => first,
    };
    let Some(due) = chosen.due else {
        return (DeadlineKind::Unread, None, Some(DeadlineRemark::NoSuchDate));
    };
    let bare = tokens[..first.from].iter().all(is_lead_in)
        && tokens[first.to..]
            .iter()
            .all(|token| matches!(token, Token::Mark(_)));
    let remark = if mentions.len() > 1 || first.several {
        Some(DeadlineRemark::SeveralDates)
    } else {
        (!bare).then_some(DeadlineRemark::ExtraText)
    };
    (chosen.kind, Some(due), remark)
}

/// Words that introduce a day or period without adding a condition.
fn is_lead_in(token: &Token) -> bool {
    const LEAD_INS: [&str; 30] = [
        "truoc", "ngay", "den", "het", "trong", "cham", "nhat", "xong", "hoan", "thanh", "thoi",
        "han", "gian", "vao", "cuoi", "dau", "thang", "nam", "quy", "qui", "la", "nhiem", "vu",
        "thuc", "hien", "giai", "doan", "by", "before", "until",
    ];
    match token {
        Token::Mark(_) => true,
        Token::Word(word) => LEAD_INS.contains(&word.as_str()),
        Token::Number(..) => false,
    }
}

/// The first phrase that sets a deadline without a date, and where it stands.
fn keyword(tokens: &[Token]) -> Option<(usize, DeadlineKind)> {
    const PHRASES: [(&[&str], DeadlineKind); 21] = [
        (&["thuong", "xuyen"], DeadlineKind::Continuous),
        (&["lien", "tuc"], DeadlineKind::Continuous),
        (&["dinh", "ky"], DeadlineKind::Continuous),
        (&["hang", "ngay"], DeadlineKind::Continuous),
        (&["hang", "tuan"], DeadlineKind::Continuous),
        (&["hang", "thang"], DeadlineKind::Continuous),
        (&["hang", "quy"], DeadlineKind::Continuous),
        (&["hang", "nam"], DeadlineKind::Continuous),
        (&["continuous"], DeadlineKind::Continuous),
        (&["ongoing"], DeadlineKind::Continuous),
        (&["theo", "yeu", "cau"], DeadlineKind::OnRequest),
        (&["khi", "co", "yeu", "cau"], DeadlineKind::OnRequest),
        (&["khi", "duoc", "yeu", "cau"], DeadlineKind::OnRequest),
        (&["theo", "chi", "dao"], DeadlineKind::OnRequest),
        (&["theo", "huong", "dan"], DeadlineKind::OnRequest),
        (&["khi", "co", "chi", "dao"], DeadlineKind::OnRequest),
        (&["khi", "co", "huong", "dan"], DeadlineKind::OnRequest),
        (&["dot", "xuat"], DeadlineKind::OnRequest),
        (&["on", "request"], DeadlineKind::OnRequest),
        (&["phan", "ky"], DeadlineKind::Phased),
        (&["phased"], DeadlineKind::Phased),
    ];
    (0..tokens.len()).find_map(|at| {
        PHRASES
            .iter()
            .find(|(phrase, _)| begins_with(&tokens[at..], phrase))
            .map(|(_, kind)| (at, *kind))
    })
}

fn begins_with(tokens: &[Token], phrase: &[&str]) -> bool {
    tokens.len() >= phrase.len()
        && tokens
            .iter()
            .zip(phrase)
            .all(|(token, word)| matches!(token, Token::Word(w) if w == word))
}

/// All days and periods named in the text, in order.
fn mentions(tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match mention_at(tokens, at) {
            Some(mention) => {
                at = mention.to;
                found.push(mention);
            }
            None => at += 1,
        }
    }
    found
}

fn mention_at(tokens: &[Token], at: usize) -> Option<Mention> {
    let rest = &tokens[at..];
    let (len, kind, due, several) = numeric_date(rest)
        .or_else(|| worded_date(rest))
        .or_else(|| months_of_year(rest))
        .or_else(|| numbered_period(rest))
        .or_else(|| bare_month(rest))
        .or_else(|| year(tokens, at))?;
    Some(Mention {
        from: at,
        to: at + len,
        kind,
        due,
        several,
    })
}

/// Tokens used, kind, last day (none if there is no such day), whether several were listed.
type Match = (usize, DeadlineKind, Option<Date>, bool);

fn is_separator(mark: char) -> bool {
    matches!(mark, '/' | '-' | '.')
}

/// `15/03/2026`, `15-3-2026`, `15.3.2026`, and `2026-03-15` as machines write it.
fn numeric_date(rest: &[Token]) -> Option<Match> {
    use Token::{Mark, Number};
    let [
        Number(a, a_len),
        Mark(x),
        Number(b, 1 | 2),
        Mark(y),
        Number(c, c_len),
        ..,
    ] = rest
    else {
        return None;
    };
    if !is_separator(*x) || !is_separator(*y) {
        return None;
    }
    match (a_len, c_len) {
        (1 | 2, 4) => Some((5, DeadlineKind::Date, day(*c, *b, *a), false)),
        (4, 1 | 2) => Some((5, DeadlineKind::Date, day(*a, *b, *c), false)),
        _ => None,
    }
}

/// "ngày 15 tháng 3 năm 2026", folded.
fn worded_date(rest: &[Token]) -> Option<Match> {
    let (skipped, rest) = match rest {
        [Token::Word(word), rest @ ..] if word == "ngay" => (1, rest),
        rest => (0, rest),
    };
    let [
        Token::Number(d, 1 | 2),
        Token::Word(word),
        Token::Number(m, 1 | 2),
        rest @ ..,
    ] = rest
    else {
        return None;
    };
    if word != "thang" {
        return None;
    }
    let (used, y) = year_after(rest)?;
    Some((
        skipped + 3 + used,
        DeadlineKind::Date,
        day(y, *m, *d),
        false,
    ))
}

/// "6 tháng đầu năm 2026", "9 tháng 2026", folded.
fn months_of_year(rest: &[Token]) -> Option<Match> {
    let [
        Token::Number(months @ (6 | 9), 1 | 2),
        Token::Word(word),
        rest @ ..,
    ] = rest
    else {
        return None;
    };
    if word != "thang" {
        return None;
    }
    let (skipped, last) = match rest {
        [Token::Word(w), ..] if w == "dau" => (1, *months),
        [Token::Word(w), ..] if w == "cuoi" => (1, 12),
        _ => (0, *months),
    };
    let (used, y) = year_after(&rest[skipped..])?;
    let kind = if *months == 6 {
        DeadlineKind::Half
    } else {
        DeadlineKind::Quarter
    };
    Some((2 + skipped + used, kind, month_end(y, last), false))
}

/// "Tháng 3/2026", "T3/2026", "Quý II năm 2026", "Quý I, II/2026", folded.
fn numbered_period(rest: &[Token]) -> Option<Match> {
    let [Token::Word(word), ..] = rest else {
        return None;
    };
    let (kind, months) = match word.as_str() {
        "thang" | "t" => (DeadlineKind::Month, 1),
        "quy" | "qui" | "q" => (DeadlineKind::Quarter, 3),
        _ => return None,
    };
    let ordinal = |token: Option<&Token>| match token {
        Some(Token::Number(n, 1 | 2)) => Some(*n),
        Some(Token::Word(w)) if kind == DeadlineKind::Quarter => roman(w),
        _ => None,
    };
    let first = ordinal(rest.get(1))?;
    let mut used = 2;
    let mut several = false;
    while let Some(listed) = more_ordinals(&rest[used..], word, &ordinal) {
        used += listed;
        several = true;
    }
    let (year_len, y) = year_after(&rest[used..])?;
    let most = 12 / months;
    let due = (1..=most)
        .contains(&first)
        .then(|| month_end(y, first * months))
        .flatten();
    Some((used + year_len, kind, due, several))
}

/// How many tokens continue a list of ordinals: a comma or "and", the word once more or not, an ordinal.
fn more_ordinals(
    rest: &[Token],
    word: &str,
    ordinal: &impl Fn(Option<&Token>) -> Option<u32>,
) -> Option<usize> {
    let joined = match rest.first()? {
        Token::Mark(',' | ';' | '-' | '+' | '&') => 1,
        Token::Word(w) if matches!(w.as_str(), "va" | "den") => 1,
        _ => return None,
    };
    let again = usize::from(matches!(rest.get(joined), Some(Token::Word(w)) if w == word));
    ordinal(rest.get(joined + again))?;
    Some(joined + again + 1)
}

/// `03/2026` without the word.
fn bare_month(rest: &[Token]) -> Option<Match> {
    let [
        Token::Number(m, 1 | 2),
        Token::Mark(mark),
        Token::Number(y, 4),
        ..,
    ] = rest
    else {
        return None;
    };
    is_separator(*mark).then(|| (3, DeadlineKind::Month, month_end(*y, *m), false))
}

/// "năm 2026" folded, `2026` as the whole cell, `2026-2030` as a span of years, which ends with the later one.
fn year(tokens: &[Token], at: usize) -> Option<Match> {
    let named = matches!(&tokens[at], Token::Word(word) if matches!(word.as_str(), "nam" | "year" | "doan"));
    let start = at + usize::from(named);
    let Some(Token::Number(first, 4)) = tokens.get(start) else {
        return None;
    };
    let alone = tokens
        .iter()
        .enumerate()
        .all(|(i, token)| i == start || matches!(token, Token::Mark(_)));
    if let Some([Token::Mark('-'), Token::Number(last, 4)]) = tokens.get(start + 1..start + 3) {
        return Some((
            start + 3 - at,
            DeadlineKind::Year,
            month_end(*last, 12),
            false,
        ));
    }
    (named || alone).then(|| {
        (
            start + 1 - at,
            DeadlineKind::Year,
            month_end(*first, 12),
            false,
        )
    })
}

/// A year after an ordinal: `/2026`, `-2026`, "năm 2026", "/năm 2026" or ` 2026`, and how many tokens that takes.
fn year_after(rest: &[Token]) -> Option<(usize, u32)> {
    let mark = usize::from(
        matches!(rest.first(), Some(Token::Mark(mark)) if is_separator(*mark) || *mark == ','),
    );
    let word = usize::from(matches!(rest.get(mark), Some(Token::Word(word)) if word == "nam"));
    match rest.get(mark + word) {
        Some(Token::Number(year, 4)) => Some((mark + word + 1, *year)),
        _ => None,
    }
}

fn day(year: u32, month: u32, day: u32) -> Option<Date> {
    if !(1900..=2999).contains(&year) {
        return None;
    }
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

fn month_end(year: u32, month: u32) -> Option<Date> {
    day(year, month, 1).map(Date::last_of_month)
}

#[cfg(test)]
mod tests;
