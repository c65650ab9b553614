//! HTML of outside systems and plain text of ours. Pure.
//!
//! Text is one line for each block; blocks without text leave no line, so that text which was written as HTML is the
//! same text when it is read back. What HTML holds besides text (scripts, styles, comments, pictures) is dropped.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use unicode_normalization::UnicodeNormalization;

/// Elements that begin and end a line.
const BLOCKS: [&str; 34] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "html",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
];
/// Elements whose content nobody reads.
const UNREAD: [&str; 5] = ["script", "style", "title", "textarea", "template"];

/// The text of HTML, in NFC.
pub fn to_text(html: &str) -> String {
    let tokenizer = Tokenizer::new(Text::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    // The sink asks for no scripts to be run, so one call takes all of it.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let lines = tokenizer.sink.0.into_inner();
    let lines = lines
        .text
        .lines()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n").nfc().collect()
}

/// Text as HTML: a paragraph for each line, nothing but text in it.
pub fn from_text(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let paragraphs =
        lines.map(|line| format!("<p>{}</p>", quick_xml::escape::partial_escape(line)));
    paragraphs.collect()
}

#[derive(Default)]
struct Lines {
    text: String,
    /// The element whose content is being left out.
    unread: Option<String>,
}

/// Takes the tokens of HTML and keeps their text.
#[derive(Default)]
struct Text(RefCell<Lines>);

impl TokenSink for Text {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut lines = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(part) => lines.add(&part),
            Token::TagToken(tag) => return lines.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Lines {
    /// Adds text; any run of white space is one space, as on a page.
    fn add(&mut self, part: &str) {
        if self.unread.is_some() {
            return;
        }
        for c in part
            .chars()
            .filter(|c| *c == '\u{a0}' || !c.is_control() || c.is_whitespace())
        {
            match c.is_whitespace() {
                true if self.text.is_empty() || self.text.ends_with([' ', '\n']) => {}
                true => self.text.push(' '),
                false => self.text.push(c),
            }
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if tag.kind == TagKind::EndTag && self.unread.as_deref() == Some(name) {
            self.unread = None;
        } else if self.unread.is_some() {
            return TokenSinkResult::Continue;
        }
        if BLOCKS.contains(&name) {
            self.text.push('\n');
        }
        if tag.kind == TagKind::EndTag {
            return TokenSinkResult::Continue;
        }
        match name {
            "li" => self.text.push_str("- "),
            "td" | "th" => self.add(" "),
            _ if UNREAD.contains(&name) && !tag.self_closing => self.unread = Some(name.to_owned()),
            _ => {}
        }
        match name {
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" => TokenSinkResult::RawData(RawKind::Rawtext),
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_lines_and_entities_become_characters() {
        let html = "<div>Kết quả:&nbsp;<b>120</b>\n  đèn &amp; 3 cột<br>Còn   lại</div><ul><li>Xã A<li>Xã B</ul>";
        assert_eq!(
            to_text(html),
            "Kết quả: 120 đèn & 3 cột\nCòn lại\n- Xã A\n- Xã B"
        );
        assert_eq!(
            to_text("<table><tr><td>a</td><td>b</td></tr><tr><td>c"),
            "a b\nc"
        );
        assert_eq!(to_text("không có thẻ"), "không có thẻ");
        assert_eq!(to_text("1 < 2 & 3 > 2"), "1 < 2 & 3 > 2");
        assert_eq!(to_text("<p></p><p>&nbsp;</p>"), "");
    }

    #[test]
    fn what_nobody_reads_is_left_out() {
        let html = "<head><title>x</title><style>p{}</style></head><p>a<!-- b --><script>if (1<2) '</p>'</script>c</p>\
            <img src=x onerror=alert(1)>d";
        assert_eq!(to_text(html), "ac\nd");
        assert_eq!(to_text("<script>never ends"), "");
    }

    #[test]
    fn accents_are_composed() {
        assert_eq!(to_text("<p>Tie\u{302}\u{301}n</p>"), "Tiến");
    }

    #[test]
    fn text_is_the_same_when_it_comes_back() {
        for text in [
            "Một dòng",
            "Hai\ndòng",
            "<script>alert(1)</script>",
            "a & b < c > \"d\" 'e' &amp;",
            "- gạch\n- đầu dòng",
        ] {
            let html = from_text(text);
            assert_eq!(to_text(&html), text, "{html}");
            assert!(!html.contains("<script"), "{html}");
        }
        assert_eq!(from_text("a\n\n  b  \n"), "<p>a</p><p>b</p>");
        assert_eq!(from_text(""), "");
    }
}
