//! Several units in one cell, without tearing apart the names that contain a comma.

use nqsync_core::calendar::fold;

/// The unit names in a cell, in order and without repeats.
///
/// `;` always separates. A line break separates unless the next line begins in lower case or the lines together are
/// one known name. A comma separates only where every piece, or a run of pieces, is a known unit: "Phòng Kinh tế, Hạ
/// tầng" may well be one. What cannot be divided stays one name, to be resolved by a person.
pub fn split_names(text: &str, known: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in text.split(';').flat_map(|part| split_lines(part, known)) {
        for name in split_commas(&part, known) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// Whether a cell says nothing: empty, or a dash, dots or a cross in place of a value.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_whitespace() || matches!(c, '-' | '–' | '—' | '.' | '…' | '/' | '_'))
        || matches!(fold(text).as_str(), "x" | "khong" | "khong co" | "n/a")
}

/// The words of `text` with single spaces.
pub(super) fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn split_lines(part: &str, known: &dyn Fn(&str) -> bool) -> Vec<String> {
    let lines: Vec<String> = part
        .lines()
        .map(without_bullet)
        .filter(|line| !is_blank(line))
        .collect();
    let joined = lines.join(" ");
    if lines.len() < 2 || known(&joined) {
        return lines
            .is_empty()
            .then(Vec::new)
            .unwrap_or_else(|| vec![joined]);
    }
    let mut names: Vec<String> = Vec::new();
    for line in lines {
        let goes_on = line.chars().next().is_some_and(char::is_lowercase);
        match names.last_mut() {
            Some(last) if goes_on || last.ends_with(',') && !known(last.trim_end_matches(',')) => {
                last.push(' ');
                last.push_str(&line);
            }
            _ => names.push(line),
        }
    }
    names
        .iter()
        .map(|name| name.trim_end_matches(',').to_owned())
        .collect()
}

/// A line without "- ", "+ ", "• " or "1. " before it and stops after it.
fn without_bullet(line: &str) -> String {
    let line = squeeze(line);
    let rest = line.trim_start_matches(['-', '+', '•', '*', '–', ' ']);
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let numbered = (1..=2)
        .contains(&digits)
        .then(|| rest[digits..].strip_prefix(['.', ')']))
        .flatten();
    numbered
        .unwrap_or(rest)
        .trim()
        .trim_end_matches(['.', ';'])
        .to_owned()
}

fn split_commas(name: &str, known: &dyn Fn(&str) -> bool) -> Vec<String> {
    let pieces: Vec<&str> = name.split(',').map(str::trim).collect();
    if pieces.len() < 2 || known(name) {
        return vec![name.to_owned()];
    }
    let mut found = Vec::new();
    let mut from = 0;
    while from < pieces.len() {
        let longest = (from + 1..=pieces.len())
            .rev()
            .find(|to| known(&pieces[from..*to].join(", ")));
        let Some(to) = longest else {
            return vec![name.to_owned()];
        };
        found.push(pieces[from..to].join(", "));
        from = to;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let units = [
            "Phòng Thuế",
            "Phòng Chợ, Đường và Cầu",
            "Văn phòng HĐND, UBND",
            "Đội Đèn",
        ];
        split_names(text, &|name| units.contains(&name))
    }

    #[test]
    fn a_comma_inside_a_known_name_does_not_separate() {
        assert_eq!(
            split("Phòng Chợ, Đường và Cầu"),
            ["Phòng Chợ, Đường và Cầu"]
        );
        assert_eq!(
            split("Phòng Chợ, Đường và Cầu, Đội Đèn"),
            ["Phòng Chợ, Đường và Cầu", "Đội Đèn"]
        );
        assert_eq!(
            split("Phòng Thuế, Văn phòng HĐND, UBND"),
            ["Phòng Thuế", "Văn phòng HĐND, UBND"]
        );
    }

    #[test]
    fn one_unknown_piece_keeps_the_text_whole() {
        assert_eq!(
            split("Phòng Thuế, các sở, ban, ngành"),
            ["Phòng Thuế, các sở, ban, ngành"]
        );
    }

    #[test]
    fn semicolons_and_lines_separate_known_and_unknown_alike() {
        assert_eq!(split("Phòng Thuế; Tổ lạ;"), ["Phòng Thuế", "Tổ lạ"]);
        assert_eq!(
            split("- Phòng Thuế\n- Đội Đèn\n- Đội Đèn"),
            ["Phòng Thuế", "Đội Đèn"]
        );
        assert_eq!(split("1. Phòng Thuế\n2. Tổ lạ."), ["Phòng Thuế", "Tổ lạ"]);
    }

    #[test]
    fn a_name_broken_over_two_lines_stays_one() {
        assert_eq!(
            split("Phòng Chợ, Đường\nvà Cầu"),
            ["Phòng Chợ, Đường và Cầu"]
        );
        assert_eq!(
            split("Trung tâm lạ\ntại phường"),
            ["Trung tâm lạ tại phường"]
        );
    }

    #[test]
    fn dashes_and_dots_are_no_unit() {
        assert!(split(" - ").is_empty() && split("...").is_empty() && split("").is_empty());
    }
}
