//! A look at a workbook's archive before anything parses it: sizes, ratios, and which rows are hidden.
//!
//! A workbook of half a megabyte can unpack to gigabytes. The sizes the archive declares are checked first, then the
//! true ones by unpacking without keeping anything, because a hostile archive may declare what it likes.

use std::{
    collections::{BTreeSet, HashMap},
    io::{Cursor, Read, Write},
};

use quick_xml::{Reader, XmlVersion, events::Event};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::table::{Limits, SheetError};

/// How many times larger than its packed form a large archive may become.
const RATIO: u64 = 200;
/// Below this unpacked size the ratio does not matter: one long repeated cell is no attack.
const RATIO_FROM_BYTES: u64 = 32 << 20;

/// A workbook's archive that passed the checks.
pub(super) struct Archive<'a> {
    name: &'a str,
    zip: ZipArchive<Cursor<&'a [u8]>>,
}

impl<'a> Archive<'a> {
    /// Opens and checks an archive.
    pub(super) fn open(
        name: &'a str,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<Self, SheetError> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(name, &error))?;
        let mut archive = Self { name, zip };
        let too_large = |what, found, allowed| SheetError::TooLarge {
            file: name.to_owned(),
            what,
            found,
            allowed,
        };
        let entries = archive.zip.len();
        if entries > limits.archive_entries {
            let allowed = limits.archive_entries as u64;
            return Err(too_large(
                "the number of parts in the workbook",
                entries as u64,
                allowed,
            ));
        }
        let allowed = if limits.unpacked_bytes > RATIO_FROM_BYTES {
            let by_ratio = (bytes.len() as u64)
                .saturating_mul(RATIO)
                .max(RATIO_FROM_BYTES);
            by_ratio.min(limits.unpacked_bytes)
        } else {
            limits.unpacked_bytes
        };
        let what = "the workbook's unpacked size in bytes";
        let declared = archive.declared_size()?;
        if declared > allowed {
            return Err(too_large(what, declared, allowed));
        }
        let true_size = archive.true_size(allowed)?;
        if true_size > allowed {
            return Err(too_large(what, true_size, allowed));
        }
        Ok(archive)
    }

    /// The rows of a sheet that are hidden, numbered from 1.
    pub(super) fn hidden_rows(&mut self, sheet: &str) -> Result<BTreeSet<u32>, SheetError> {
        let mut hidden = BTreeSet::new();
        let Some(part) = self.part_of(sheet)? else {
            return Ok(hidden);
        };
        let xml = self.part(&part)?;
        let mut next = 1_u32;
        for_each_element(self.name, &xml, |element, attribute| {
            if element != "row" {
                return;
            }
            let number = attribute("r").and_then(|r| r.parse().ok()).unwrap_or(next);
            next = number.saturating_add(1);
            if matches!(attribute("hidden").as_deref(), Some("1" | "true")) {
                hidden.insert(number);
            }
        })?;
        Ok(hidden)
    }

    /// The part of the archive that holds a sheet, from the workbook's list and its relations.
    pub(super) fn part_of(&mut self, sheet: &str) -> Result<Option<String>, SheetError> {
        let mut relation = None;
        let workbook = self.part("xl/workbook.xml")?;
        for_each_element(self.name, &workbook, |element, attribute| {
            if element == "sheet" && attribute("name").as_deref() == Some(sheet) {
                relation = attribute("id");
            }
        })?;
        let mut targets = HashMap::new();
        let relations = self.part("xl/_rels/workbook.xml.rels")?;
        for_each_element(self.name, &relations, |element, attribute| {
            if let ("Relationship", Some(id), Some(target)) =
                (element, attribute("Id"), attribute("Target"))
            {
                targets.insert(id, target);
            }
        })?;
        let target = relation.and_then(|id| targets.remove(&id));
        Ok(target.map(|target| match target.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => format!("xl/{target}"),
        }))
    }

    /// A part's text; empty where there is none.
    pub(super) fn part(&mut self, part: &str) -> Result<String, SheetError> {
        let Some(index) = self.zip.index_for_name(part) else {
            return Ok(String::new());
        };
        let mut xml = String::new();
        let mut entry = self
            .zip
            .by_index(index)
            .map_err(|error| damaged(self.name, &error))?;
        entry
            .read_to_string(&mut xml)
            .map_err(|error| damaged(self.name, &error))?;
        Ok(xml)
    }

    /// The same workbook with one part replaced; all others stay byte for byte.
    pub(super) fn with_part(mut self, part: &str, bytes: &[u8]) -> Result<Vec<u8>, SheetError> {
        let name = self.name;
        let failed = |error: &dyn std::fmt::Display| damaged(name, error);
        let mut out = ZipWriter::new(Cursor::new(Vec::new()));
        for at in 0..self.zip.len() {
            let entry = self.zip.by_index_raw(at).map_err(|e| failed(&e))?;
            if entry.name().map_err(|e| failed(&e))? != part {
                out.raw_copy_file(entry).map_err(|e| failed(&e))?;
                continue;
            }
            out.start_file(part, SimpleFileOptions::default())
                .map_err(|e| failed(&e))?;
            out.write_all(bytes).map_err(|e| failed(&e))?;
        }
        let written = out.finish().map_err(|e| failed(&e))?;
        Ok(written.into_inner())
    }

    fn declared_size(&mut self) -> Result<u64, SheetError> {
        let mut total = 0_u64;
        for index in 0..self.zip.len() {
            let entry = self
                .zip
                .by_index_raw(index)
                .map_err(|error| damaged(self.name, &error))?;
            total = total.saturating_add(entry.size());
        }
        Ok(total)
    }

    fn true_size(&mut self, allowed: u64) -> Result<u64, SheetError> {
        let mut total = 0;
        for index in 0..self.zip.len() {
            let entry = self
                .zip
                .by_index(index)
                .map_err(|error| damaged(self.name, &error))?;
            let left = (allowed + 1).saturating_sub(total);
            total += std::io::copy(&mut entry.take(left), &mut std::io::sink())
                .map_err(|error| damaged(self.name, &error))?;
        }
        Ok(total)
    }
}

pub(super) fn damaged(name: &str, error: &dyn std::fmt::Display) -> SheetError {
    SheetError::Damaged {
        file: name.to_owned(),
        detail: error.to_string(),
    }
}

/// Calls `visit` with the local name of every element and a way to its attributes by local name.
fn for_each_element(
    name: &str,
    xml: &str,
    mut visit: impl FnMut(&str, &dyn Fn(&str) -> Option<String>),
) -> Result<(), SheetError> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().map_err(|error| damaged(name, &error))? {
            Event::Start(element) | Event::Empty(element) => {
                let attribute = |wanted: &str| {
                    let mut attributes = element.attributes();
                    let found = attributes
                        .with_checks(false)
                        .flatten()
                        .find(|a| a.key.local_name().as_ref() == wanted)?;
                    found
                        .normalized_value(XmlVersion::Implicit1_0)
                        .ok()
                        .map(|value| value.into_owned())
                };
                visit(element.local_name().as_ref(), &attribute);
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}
