//! Text as people type it, reduced to what carries meaning for recognition.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// `text` in lower case, without accents and with single spaces, for comparing words and never for storing them.
///
/// Composed and decomposed accents, `Đ` and `d`, hard spaces and line breaks all come out alike.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    for c in text
        .nfd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
    {
        if c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}' {
            gap = !folded.is_empty();
            continue;
        }
        if std::mem::take(&mut gap) {
            folded.push(' ');
        }
        folded.push(match c {
            'đ' => 'd',
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            other => other,
        });
    }
    folded
}

/// The value of a Roman numeral in either case, as groups and quarters are numbered (1 to 39).
pub fn roman(word: &str) -> Option<u32> {
    const NUMERALS: [(&str, u32); 5] = [("x", 10), ("ix", 9), ("v", 5), ("iv", 4), ("i", 1)];
    let lower = word.to_ascii_lowercase();
    let mut value = 0;
    let mut rest = lower.as_str();
    for (numeral, worth) in NUMERALS {
        let most = if matches!(worth, 10 | 1) { 3 } else { 1 };
        for _ in 0..most {
            let Some(after) = rest.strip_prefix(numeral) else {
                break;
            };
            value += worth;
            rest = after;
        }
    }
    (rest.is_empty() && value > 0).then_some(value)
}

/// One piece of a folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Digits, with how many there were: `2026` is a year, `06` is not.
    Number(u32, usize),
    /// Letters.
    Word(String),
    /// Any other visible character.
    Mark(char),
}

/// The pieces of `text` after folding. Digit runs too long for any date become words.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let folded = fold(text);
    let mut found = Vec::new();
    let mut chars = folded.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_ascii_digit() {
            let digits = take_run(&mut chars, |c| c.is_ascii_digit());
            let len = digits.len();
            found.push(
                digits
                    .parse()
                    .map_or(Token::Word(digits), |value| Token::Number(value, len)),
            );
        } else if c.is_alphabetic() {
            found.push(Token::Word(take_run(&mut chars, char::is_alphabetic)));
        } else {
            chars.next();
            if !c.is_whitespace() {
                found.push(Token::Mark(c));
            }
        }
    }
    found
}

fn take_run(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    belongs: impl Fn(char) -> bool,
) -> String {
    let mut run = String::new();
    while let Some(c) = chars.next_if(|c| belongs(*c)) {
        run.push(c);
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_word_fold_alike() {
        let decomposed: String = "Đơn vị  chủ trì".nfd().collect();
        assert_eq!(fold(&decomposed), "don vi chu tri");
        assert_eq!(fold("  ĐƠN VỊ\u{a0}CHỦ\nTRÌ "), "don vi chu tri");
    }

    #[test]
    fn roman_numerals_are_read_and_words_are_not() {
        let read: Vec<_> = ["I", "iv", "IX", "XIV", "xxxix"]
            .into_iter()
            .map(roman)
            .collect();
        assert_eq!(read, [Some(1), Some(4), Some(9), Some(14), Some(39)]);
        assert!(
            ["", "IIII", "VX", "vi du", "a"]
                .into_iter()
                .all(|word| roman(word).is_none())
        );
    }
}
