//! The texts of many units in one content, each under its name: pure.
//!
//! A heading is a paragraph that is nothing but a unit's name, or nothing but bold text: under the latter stands somebody
//! we do not know. What is not one of our parts is kept byte for byte, whatever it is.

use nqsync_core::calendar::fold;
use quick_xml::escape::{escape, unescape_with};

/// One stretch of a content: a top-level element, or what stands between two.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece<'c> {
    raw: &'c str,
    /// Its text, without tags.
    text: String,
    /// Whether all of its text is bold.
    bold: bool,
}

/// How a content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// HTML paragraphs.
    Html,
    /// Lines.
    Lines,
}

/// The text under a name; `None`: the name is not there.
pub fn read(form: Form, content: &str, name: &str, known: &dyn Fn(&str) -> bool) -> Option<String> {
    let pieces = pieces(form, content);
    let (heading, end) = part(&pieces, name, known)?;
    let lines = pieces[heading + 1..end]
        .iter()
        .map(|piece| piece.text.trim());
    Some(
        lines
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

/// The content with another text under a name; an empty text takes the name away. `known`: whether a heading names a
/// unit.
pub fn write(
    form: Form,
    content: &str,
    name: &str,
    text: &str,
    known: &dyn Fn(&str) -> bool,
) -> String {
    if read(form, content, name, known).unwrap_or_default() == normal(text) {
        return content.to_owned();
    }
    let pieces = pieces(form, content);
    let new = render(form, name, text);
    let raw = |range: &[Piece<'_>]| range.iter().map(|piece| piece.raw).collect::<String>();
    match part(&pieces, name, known) {
        Some((heading, end)) => {
            let (before, after) = (raw(&pieces[..heading]), raw(&pieces[end..]));
            format!("{}{new}{after}", joined(form, before, &new))
        }
        None => format!("{}{new}", joined(form, content.to_owned(), &new)),
    }
}

/// A text as it comes back: trimmed lines, none of them empty.
pub fn normal(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Lines need a line end before what is added.
fn joined(form: Form, before: String, new: &str) -> String {
    let needed = form == Form::Lines && !before.is_empty() && !new.is_empty();
    match needed && !before.ends_with('\n') {
        true => before + "\n",
        false => before,
    }
}

fn render(form: Form, name: &str, text: &str) -> String {
    let text = normal(text);
    if text.is_empty() {
        return String::new();
    }
    match form {
        Form::Html => {
            let lines = text.lines().map(|line| format!("<p>{}</p>", escape(line)));
            format!(
                "<p><strong>{}</strong></p>{}",
                escape(name),
                lines.collect::<String>()
            )
        }
        Form::Lines => format!("{name}\n{text}\n"),
    }
}

/// Where a part begins and ends.
fn part(pieces: &[Piece<'_>], name: &str, known: &dyn Fn(&str) -> bool) -> Option<(usize, usize)> {
    let wanted = heading_of(name);
    let heading = pieces
        .iter()
        .position(|piece| heading_of(&piece.text) == wanted)?;
    let rest = pieces[heading + 1..].iter();
    let ends = |piece: &Piece<'_>| {
        let text = piece.text.trim();
        !text.is_empty() && (piece.bold || known(text.trim_end_matches(':').trim()))
    };
    let end = rest
        .clone()
        .position(ends)
        .map_or(pieces.len(), |at| heading + 1 + at);
    Some((heading, end))
}

/// A heading for comparing: people write it in capitals, with a number before it, with a colon after it.
fn heading_of(text: &str) -> String {
    let folded = fold(text);
    let bare = folded.trim().trim_end_matches(':').trim();
    let digits = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    match digits.strip_prefix(['.', ')']) {
        Some(rest) if digits.len() < bare.len() => rest.trim().to_owned(),
        _ => bare.to_owned(),
    }
}

fn pieces(form: Form, content: &str) -> Vec<Piece<'_>> {
    match form {
        Form::Html => html_pieces(content),
        Form::Lines => content
            .split_inclusive('\n')
            .map(|raw| Piece {
                raw,
                text: raw.trim().to_owned(),
                bold: false,
            })
            .collect(),
    }
}

/// Top-level elements of a fragment. Together they are the fragment again, also where it is not well-formed.
fn html_pieces(content: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut at, mut depth) = (0, 0, 0_usize);
    while let Some(open) = content[at..].find('<').map(|offset| at + offset) {
        if depth == 0 && open > begin {
            pieces.push(piece(&content[begin..open]));
            begin = open;
        }
        let Some(end) = tag_end(content, open) else {
            break;
        };
        let tag = &content[open..end];
        match kind_of(tag) {
            Tag::Open => depth += 1,
            Tag::Close => depth = depth.saturating_sub(1),
            Tag::Alone => {}
        }
        at = end;
        if depth == 0 {
            pieces.push(piece(&content[begin..end]));
            begin = end;
        }
    }
    if begin < content.len() {
        pieces.push(piece(&content[begin..]));
    }
    pieces
}

enum Tag {
    Open,
    Close,
    Alone,
}

const VOID: [&str; 8] = ["br", "hr", "img", "input", "col", "wbr", "meta", "link"];

fn kind_of(tag: &str) -> Tag {
    let inner = tag.trim_start_matches('<').trim_end_matches('>');
    if inner.starts_with('!') || inner.ends_with('/') {
        return Tag::Alone;
    }
    if inner.starts_with('/') {
        return Tag::Close;
    }
    let name: String = inner
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let name = name.to_ascii_lowercase();
    match name.is_empty() || VOID.contains(&name.as_str()) {
        true => Tag::Alone,
        false => Tag::Open,
    }
}

/// The byte after a tag, a comment included; quotes may hold a `>`.
fn tag_end(content: &str, open: usize) -> Option<usize> {
    let rest = &content[open..];
    if rest.starts_with("<!--") {
        return rest.find("-->").map(|at| open + at + 3);
    }
    let mut quote = None;
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '>') => return Some(open + at + 1),
            _ => {}
        }
    }
    None
}

fn piece(raw: &str) -> Piece<'_> {
    let (mut text, mut bold, mut plain) = (String::new(), false, false);
    let (mut at, mut strong) = (0, 0_usize);
    while at < raw.len() {
        let open = raw[at..].find('<').map_or(raw.len(), |offset| at + offset);
        let words = &raw[at..open];
        if !words.trim().is_empty() {
            bold |= strong > 0;
            plain |= strong == 0;
        }
        text.push_str(&unescaped(words));
        let Some(end) = tag_end(raw, open).filter(|_| open < raw.len()) else {
            // Not a tag: the rest is shown as it stands.
            text.push_str(raw.get(open..).unwrap_or_default());
            break;
        };
        let tag = raw[open..end].to_ascii_lowercase();
        let is = |name: &str| tag[1..].trim_start_matches('/').starts_with(name);
        if is("strong") || (is("b") && !is("br") && !is("blockquote") && !is("body")) {
            strong = match tag.starts_with("</") {
                true => strong.saturating_sub(1),
                false => strong + 1,
            };
        }
        if is("br") || is("/li") || is("li") || is("/p") {
            text.push('\n');
        }
        at = end;
    }
    let text = normal(&text);
    Piece {
        raw,
        bold: bold && !plain && !text.is_empty(),
        text,
    }
}

fn unescaped(text: &str) -> String {
    let named = |name: &str| match name {
        "nbsp" => Some(" "),
        "ndash" => Some("–"),
        "mdash" => Some("—"),
        "hellip" => Some("…"),
        "ldquo" | "rdquo" | "quot" => Some("\""),
        "lsquo" | "rsquo" | "apos" => Some("'"),
        "amp" => Some("&"),
        "lt" => Some("<"),
        "gt" => Some(">"),
        _ => None,
    };
    // An entity that nobody knows is shown as it stands.
    unescape_with(text, named).map_or_else(|_| text.to_owned(), |text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNITS: [&str; 3] = ["Xã Suối Mây", "Xã Đồi Thông", "Phường Bến Cũ"];

    fn known(name: &str) -> bool {
        UNITS.iter().any(|unit| fold(unit) == fold(name))
    }

    fn put(content: &str, name: &str, text: &str) -> String {
        write(Form::Html, content, name, text, &known)
    }

    fn get(content: &str, name: &str) -> Option<String> {
        read(Form::Html, content, name, &known)
    }

    #[test]
    fn two_units_stand_under_their_names_and_what_was_there_is_kept() {
        let foreign = "<p>Kính gửi <em>Ban Chỉ đạo</em></p>\n<ul><li>a</li></ul>";
        let one = put(foreign, UNITS[0], "Lắp 3 trạm\nĐo xong");
        let two = put(&one, UNITS[1], "Tập huấn < 40 người & xong");
        assert!(two.starts_with(foreign));
        assert_eq!(get(&two, UNITS[0]).as_deref(), Some("Lắp 3 trạm\nĐo xong"));
        assert_eq!(
            get(&two, UNITS[1]).as_deref(),
            Some("Tập huấn < 40 người & xong")
        );
        assert!(two.contains("&lt; 40") && !two.contains("<script"), "{two}");
        assert_eq!(
            put(&two, UNITS[1], "Tập huấn < 40 người & xong"),
            two,
            "again is nothing"
        );
    }

    #[test]
    fn a_part_ends_at_the_next_name_and_at_a_heading_nobody_knows() {
        let content = "<p>XÃ SUỐI MÂY:</p><p>cũ</p><p><b>Sở Nội vụ</b></p><p>của họ</p>";
        let new = put(content, UNITS[0], "mới");
        assert_eq!(
            new,
            "<p><strong>Xã Suối Mây</strong></p><p>mới</p><p><b>Sở Nội vụ</b></p><p>của họ</p>"
        );
        assert_eq!(
            put(&new, UNITS[0], ""),
            "<p><b>Sở Nội vụ</b></p><p>của họ</p>"
        );
    }

    #[test]
    fn text_that_looks_like_markup_stays_text() {
        let content = put("", UNITS[0], "<script>alert(1)</script>");
        assert_eq!(
            content,
            "<p><strong>Xã Suối Mây</strong></p><p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"
        );
    }

    #[test]
    fn lines_are_kept_the_same_way() {
        let content = write(Form::Lines, "Mở đầu", UNITS[0], "một\nhai", &known);
        assert_eq!(content, "Mở đầu\nXã Suối Mây\nmột\nhai\n");
        let content = write(Form::Lines, &content, UNITS[1], "ba", &known);
        let content = write(Form::Lines, &content, UNITS[0], "bốn", &known);
        assert_eq!(content, "Mở đầu\nXã Suối Mây\nbốn\nXã Đồi Thông\nba\n");
    }

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec("[a-zà-ỹ<>&\"' ]{0,12}", 0..3).prop_map(|lines| lines.join("\n"))
    }

    proptest! {
        /// Whatever stands there, in whatever order units are written: each reads back what was written, and what is
        /// nobody's is a part of the result as it was.
        #[test]
        fn what_is_written_reads_back_and_what_is_foreign_stays(
            foreign in "(<p>[a-z ]{0,9}</p>|[a-z<]{0,5}|<br>|<!-- x -->|<p class=\"a>b\">z</p>){0,5}",
            writes in proptest::collection::vec((0_usize..3, text()), 0..7),
        ) {
            let well_formed = html_pieces(&foreign).iter().map(|p| p.raw).collect::<String>() == foreign;
            prop_assert!(well_formed);
            // A tag that never ends swallows what follows; nothing can be added after it.
            prop_assume!(foreign.matches('<').count() == foreign.replace("\"a>b\"", "").matches('>').count());
            let mut content = foreign.clone();
            let mut last = [None, None, None];
            for (unit, text) in &writes {
                content = put(&content, UNITS[*unit], text);
                last[*unit] = Some(normal(text));
                prop_assert!(content.starts_with(&foreign), "{content}");
                prop_assert_eq!(&put(&content, UNITS[*unit], text), &content);
            }
            for (unit, text) in last.iter().enumerate() {
                let text = text.clone().filter(|text| !text.is_empty());
                prop_assert_eq!(get(&content, UNITS[unit]).filter(|t| !t.is_empty()), text);
            }
        }
    }
}
