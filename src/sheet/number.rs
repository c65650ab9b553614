//! Numbers as they are written in Vietnamese tables, to exact decimal text. Nothing passes through a float.

/// Most digits a number may have.
const DIGITS: usize = 30;

/// How separators in a text are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberStyle {
    /// `.` separates thousands and `,` decimals; where that cannot be meant, `.` separates decimals.
    Vietnamese,
    /// `.` separates decimals, as in numbers a program wrote.
    Plain,
}

/// A text that is not a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not a number; write 2.274.905 or 88,12 %")]
pub struct NumberError {
    /// What was found, shortened.
    pub found: String,
}

/// Reads a number in Vietnamese style: see [`parse_number_as`].
pub fn parse_number(text: &str) -> Result<String, NumberError> {
    parse_number_as(text, NumberStyle::Vietnamese)
}

/// Reads a number, with or without `%`, to plain decimal text (`2274905`, `88.12`, `-3`), exactly as many decimals as
/// written. `%` is dropped and does not change the value.
pub fn parse_number_as(text: &str, style: NumberStyle) -> Result<String, NumberError> {
    let refusal = || NumberError {
        found: super::remark::shorten(text),
    };
    let bare: String = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| if c == '−' { '-' } else { c })
        .collect();
    let bare = bare.strip_suffix('%').unwrap_or(&bare);
    let (sign, bare) = match bare.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", bare.strip_prefix('+').unwrap_or(bare)),
    };
    let (whole, fraction) = split(bare, style).ok_or_else(refusal)?;
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let length = whole.len() + fraction.map_or(0, str::len);
    if whole.is_empty()
        || !all_digits(&whole)
        || !fraction.is_none_or(all_digits)
        || length > DIGITS
    {
        return Err(refusal());
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let zero =
        whole == "0" && fraction.is_none_or(|digits| digits.bytes().all(|byte| byte == b'0'));
    let sign = if zero { "" } else { sign };
    Ok(match fraction {
        Some(digits) => format!("{sign}{whole}.{digits}"),
        None => format!("{sign}{whole}"),
    })
}

/// Whether a text can be read as thousands and as decimals alike: one point with three digits after it.
pub(super) fn is_ambiguous(text: &str) -> bool {
    let plain = parse_number_as(text, NumberStyle::Plain);
    plain.is_ok() && parse_number_as(text, NumberStyle::Vietnamese) != plain
}

/// The whole digits without separators, and the decimals if there are any.
fn split(text: &str, style: NumberStyle) -> Option<(String, Option<&str>)> {
    let points = text.matches('.').count();
    let commas = text.matches(',').count();
    let decimals_after = |mark: char| {
        let (whole, fraction) = text.rsplit_once(mark)?;
        (!fraction.is_empty()).then_some((whole, Some(fraction)))
    };
    let (grouped, fraction, group) = match (points, commas) {
        (0, 0) => (text, None, None),
        (1, 0) if style == NumberStyle::Plain || !is_grouped(text, '.') => {
            let (whole, fraction) = decimals_after('.')?;
            (whole, fraction, None)
        }
        (_, 0) => (text, None, Some('.')),
        (0, 1) => {
            let (whole, fraction) = decimals_after(',')?;
            (whole, fraction, None)
        }
        (0, _) => (text, None, Some(',')),
        (_, 1) if text.rfind(',') > text.rfind('.') => {
            let (whole, fraction) = decimals_after(',')?;
            (whole, fraction, Some('.'))
        }
        (1, _) if text.rfind('.') > text.rfind(',') => {
            let (whole, fraction) = decimals_after('.')?;
            (whole, fraction, Some(','))
        }
        _ => return None,
    };
    match group {
        None => Some((grouped.to_owned(), fraction)),
        Some(mark) => is_grouped(grouped, mark).then(|| (grouped.replace(mark, ""), fraction)),
    }
}

/// One to three digits, not beginning with zero, then groups of three.
fn is_grouped(text: &str, mark: char) -> bool {
    let mut groups = text.split(mark);
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && groups.all(|group| group.len() == 3)
}

/// `numerator × 100 / denominator`, cut off after `decimals` places and, beside it, rounded half up.
///
/// None where a part is negative, the denominator is zero, or the figures are beyond 128 bits.
pub(super) fn percent_of(
    numerator: &str,
    denominator: &str,
    decimals: usize,
) -> Option<(String, String)> {
    let places = |text: &str| {
        text.split_once('.')
            .map_or(0, |(_, fraction)| fraction.len())
    };
    let scale = places(numerator).max(places(denominator));
    let numerator = scaled(numerator, scale)?;
    let denominator = scaled(denominator, scale)?;
    let shift = 10_u128.checked_pow(u32::try_from(decimals + 2).ok()?)?;
    let product = numerator.checked_mul(shift)?;
    let cut = product.checked_div(denominator)?;
    let rounded = if (product % denominator).checked_mul(2)? >= denominator {
        cut + 1
    } else {
        cut
    };
    Some((placed(cut, decimals), placed(rounded, decimals)))
}

/// Compares two decimal texts without a sign.
pub(super) fn compare(a: &str, b: &str) -> Option<std::cmp::Ordering> {
    let places = |text: &str| {
        text.split_once('.')
            .map_or(0, |(_, fraction)| fraction.len())
    };
    let scale = places(a).max(places(b));
    Some(scaled(a, scale)?.cmp(&scaled(b, scale)?))
}

fn scaled(text: &str, scale: usize) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<scale$}").parse().ok()
}

fn placed(value: u128, decimals: usize) -> String {
    if decimals == 0 {
        return value.to_string();
    }
    let digits = format!("{value:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_exactly_in_every_usual_spelling() {
        for (written, read) in [
            ("2.274.905", "2274905"),
            ("2 274 905", "2274905"),
            ("2,274,905", "2274905"),
            ("88,12 %", "88.12"),
            ("88.12%", "88.12"),
            ("1.234,50", "1234.50"),
            ("1,234.50", "1234.50"),
            ("2.274", "2274"),
            ("121.26", "121.26"),
            ("0.125", "0.125"),
            ("−3", "-3"),
            ("-0,0", "0.0"),
            ("007", "7"),
            ("140000000000", "140000000000"),
        ] {
            assert_eq!(parse_number(written).as_deref(), Ok(read), "{written}");
        }
        assert_eq!(
            parse_number_as("2.274", NumberStyle::Plain).as_deref(),
            Ok("2.274")
        );
        assert!(is_ambiguous("2.274") && !is_ambiguous("2.274.905") && !is_ambiguous("88,12"));
    }

    #[test]
    fn what_is_no_number_is_refused_with_what_was_found() {
        for text in [
            "",
            "-",
            "%",
            "12a",
            "1.23.456",
            "1,2,3",
            "1.2,3,4",
            "5,",
            ".5",
            "1e9",
            &"9".repeat(31),
        ] {
            let refusal = parse_number(text).expect_err(text).to_string();
            assert!(refusal.contains(text) || text.is_empty(), "{refusal}");
        }
    }

    #[test]
    fn percents_come_from_numerator_and_denominator_without_floats() {
        assert_eq!(
            percent_of("2274905", "2581336", 2),
            Some(("88.12".into(), "88.13".into()))
        );
        assert_eq!(
            percent_of("2576", "2567", 0),
            Some(("100".into(), "100".into()))
        );
        assert_eq!(
            percent_of("1.5", "3", 1),
            Some(("50.0".into(), "50.0".into()))
        );
        assert_eq!(percent_of("1", "0", 1), None);
    }
}
