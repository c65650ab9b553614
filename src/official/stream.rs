//! The workbook as it goes out. The library makes it with one row in each long table; the rows themselves are written in its
//! place while they are asked for, so that no more than some of them are held at a time.

use std::io::{self, Cursor, Read, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{ZipArchive, ZipWriter};

use super::Problem;
use super::layout::{self, Cell, Column, Kind, Place};

/// The part that every workbook begins with.
const FIRST: &str = "[Content_Types].xml";
/// Longest text that a cell may hold, in UTF-16 units.
const MOST_TEXT: usize = 32_767;

/// Lets nothing through once the workbook is given up: an archive that is dropped would still write its directory, and
/// half a workbook would open as a whole one.
pub(super) struct Gate<W> {
    out: W,
    open: Arc<AtomicBool>,
}

impl<W: Write> Write for Gate<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.open.load(Ordering::Relaxed) {
            true => self.out.write(bytes),
            false => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Closes the gate when it goes.
struct Closing(Arc<AtomicBool>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

pub(super) type Zip<W> = ZipWriter<StreamWriter<Gate<W>>>;

/// A workbook that is on its way out.
pub(super) struct Outgoing<W: Write> {
    /// Goes before the archive: fields are dropped in their order.
    _closing: Closing,
    zip: Zip<W>,
}

impl<W: Write> Outgoing<W> {
    /// Begins with the head of the first part, which is the same in every workbook: who waits sees that it comes.
    pub(super) fn begin(out: W) -> Result<Outgoing<W>, Problem> {
        let open = Arc::new(AtomicBool::new(true));
        let gate = Gate {
            out,
            open: open.clone(),
        };
        let mut begun = Outgoing {
            _closing: Closing(open),
            zip: ZipWriter::new_stream(gate),
        };
        begun.start(FIRST)?;
        begun.zip.flush()?;
        Ok(begun)
    }

    /// Sends the rest of a workbook; `rows` writes those of the long table in the sheet of this number, from 1.
    pub(super) fn send(
        mut self,
        book: &[u8],
        places: &[(usize, Place)],
        mut rows: impl FnMut(usize, &mut Table<'_, Zip<W>>) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut archive = ZipArchive::new(Cursor::new(book))?;
        for index in 0..archive.len() {
            let (name, bytes) = read(&mut archive, index)?;
            match index {
                0 if name != FIRST => {
                    return Err(Problem::Made(format!("{name} stands before {FIRST}")));
                }
                0 => {}
                _ => self.start(&name)?,
            }
            let long = places
                .iter()
                .find(|(sheet, _)| name == format!("xl/worksheets/sheet{sheet}.xml"));
            let Some((sheet, place)) = long else {
                self.zip.write_all(&bytes)?;
                continue;
            };
            let xml = String::from_utf8(bytes).map_err(|error| Problem::Made(error.to_string()))?;
            let (before, styles, after) = cut(&xml, *place)
                .ok_or_else(|| Problem::Made(format!("no row {} in {name}", place.row + 1)))?;
            self.zip.write_all(before.as_bytes())?;
            let mut table = Table {
                out: &mut self.zip,
                styles,
                next: place.row + 1,
            };
            rows(*sheet, &mut table)?;
            self.zip.write_all(after.as_bytes())?;
        }
        self.zip.finish()?.into_inner().flush()?;
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<(), Problem> {
        Ok(self.zip.start_file(name, SimpleFileOptions::default())?)
    }
}

fn read<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    index: usize,
) -> Result<(String, Vec<u8>), Problem> {
    let mut entry = archive.by_index(index)?;
    let name = entry.name()?.into_owned();
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok((name, bytes))
}

/// The numbers of the formats that the library gave to cells of each kind.
#[derive(Clone, Copy)]
struct Styles {
    text: u32,
    whole: u32,
    number: u32,
}

/// What stands before and after the one row that the library made, and its formats.
fn cut(xml: &str, place: Place) -> Option<(&str, Styles, &str)> {
    let row = place.row + 1;
    let from = xml.find(&format!("<row r=\"{row}\""))?;
    let end = from + xml[from..].find("</row>")? + "</row>".len();
    let style = |column: char| {
        let cell = format!("<c r=\"{column}{row}\" s=\"");
        let at = from + xml[from..end].find(&cell)? + cell.len();
        xml[at..end].split('"').next()?.parse().ok()
    };
    let styles = Styles {
        text: style('A')?,
        whole: style('B')?,
        number: style('C')?,
    };
    Some((&xml[..from], styles, &xml[end..]))
}

/// The rows of a long table.
pub(super) struct Table<'a, W> {
    out: &'a mut W,
    styles: Styles,
    /// Number of the next row, from 1.
    next: u32,
}

impl<W: Write> Table<'_, W> {
    /// Writes the next row, as the library would.
    pub(super) fn add(&mut self, columns: &[Column], cells: &[Cell]) -> Result<(), Problem> {
        let row = self.next;
        let height = layout::height(cells, columns);
        let mut xml = format!("<row r=\"{row}\" ht=\"{height}\" customHeight=\"1\">");
        for ((index, cell), column) in (0u8..).zip(cells).zip(columns) {
            let name = char::from(b'A' + index);
            let Styles {
                text,
                whole,
                number,
            } = self.styles;
            let (style, inside) = match cell {
                Cell::Text(words) => (
                    text,
                    format!(
                        " t=\"inlineStr\"><is><t xml:space=\"preserve\">{}</t></is></c>",
                        escaped(words)
                    ),
                ),
                Cell::Number(value) if value.fract() == 0.0 => {
                    (whole, format!("><v>{value}</v></c>"))
                }
                Cell::Number(value) => (number, format!("><v>{value}</v></c>")),
                Cell::Empty if column.kind == Kind::Number => (whole, "/>".to_owned()),
                Cell::Empty => (text, "/>".to_owned()),
            };
            xml += &format!("<c r=\"{name}{row}\" s=\"{style}\"{inside}");
        }
        xml += "</row>";
        self.out.write_all(xml.as_bytes())?;
        self.next += 1;
        Ok(())
    }
}

/// A text as it stands in a cell: what XML cannot hold is written as Excel writes it, and text that looks so is kept.
fn escaped(words: &str) -> String {
    let mut held = 0;
    let mut text = String::with_capacity(words.len());
    for (at, c) in words.char_indices() {
        held += c.len_utf16();
        if held >= MOST_TEXT {
            text.push('…');
            break;
        }
        match c {
            '&' => text += "&amp;",
            '<' => text += "&lt;",
            '>' => text += "&gt;",
            '_' if is_escape(&words[at..]) => text += "_x005F_",
            '\n' | '\t' => text.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                text += &format!("_x{:04X}_", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

/// `_x000D_`.
fn is_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.starts_with(b"_x")
        && bytes.get(6) == Some(&b'_')
        && bytes[2..6].iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_written_as_excel_does_and_nothing_else_changes() {
        assert_eq!(escaped("a & <b>\n"), "a &amp; &lt;b&gt;\n");
        assert_eq!(escaped("\r\u{ffff}"), "_x000D__xFFFF_");
        assert_eq!(
            escaped("_x000D_ _x00 _xyzzy_"),
            "_x005F_x000D_ _x00 _xyzzy_"
        );
        let long = escaped(&"đ".repeat(40_000));
        assert_eq!(long.chars().count(), MOST_TEXT);
        assert!(long.ends_with('…'));
    }
}
