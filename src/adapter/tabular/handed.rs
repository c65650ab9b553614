//! What was handed over last, on our disk: a workbook is published whole or not at all, and what a crash left open is
//! finished by the next run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapter::folder::write_whole;

/// A workbook of ours and the rows in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Handed {
    /// Its name in the outgoing folder.
    pub file: String,
    /// Whether it lies, or lay, there.
    pub published: bool,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Our key.
    pub key: String,
    /// The record as it will be read when it comes back.
    pub record: Value,
}

/// Where a stream's last workbook is noted.
#[derive(Clone, Debug)]
pub struct Journal {
    dir: PathBuf,
    stream: String,
}

impl Journal {
    /// In the adapter's own folder, made if it is not there.
    pub fn open(dir: &Path, stream: &str) -> io::Result<Journal> {
        fs::create_dir_all(dir)?;
        Ok(Journal {
            dir: dir.to_owned(),
            stream: stream.to_owned(),
        })
    }

    /// The last workbook, if there was one.
    pub fn last(&self) -> io::Result<Option<Handed>> {
        match fs::read(self.note()) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands a workbook over: once this returns it is published; after a crash inside, [`Journal::finish`] either
    /// publishes it or it never was.
    pub fn hand_over(&self, outgoing: &Path, handed: &Handed, bytes: &[u8]) -> io::Result<()> {
        write_whole(&self.staged(), bytes)?;
        write_whole(&self.note(), &serde_json::to_vec(handed)?)?;
        self.finish(outgoing)
    }

    /// Publishes what was noted and not published.
    pub fn finish(&self, outgoing: &Path) -> io::Result<()> {
        let Some(mut handed) = self.last()?.filter(|handed| !handed.published) else {
            return Ok(());
        };
        fs::create_dir_all(outgoing)?;
        write_whole(&outgoing.join(&handed.file), &fs::read(self.staged())?)?;
        handed.published = true;
        write_whole(&self.note(), &serde_json::to_vec(&handed)?)?;
        fs::remove_file(self.staged())
    }

    fn note(&self) -> PathBuf {
        self.dir.join(format!("{}.handed.json", self.stream))
    }

    fn staged(&self) -> PathBuf {
        self.dir.join(format!("{}.staged", self.stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workbook_that_a_crash_left_behind_is_published_once_and_whole() {
        let (own, out) = (
            tempfile::tempdir().expect("a folder"),
            tempfile::tempdir().expect("a folder"),
        );
        let journal = Journal::open(own.path(), "progress").expect("a journal");
        let handed = Handed {
            file: "a.xlsx".to_owned(),
            ..Handed::default()
        };
        // Between the note and the outgoing folder the process ended.
        write_whole(&journal.staged(), b"rows").expect("staged");
        write_whole(&journal.note(), &serde_json::to_vec(&handed).expect("JSON")).expect("noted");
        journal.finish(out.path()).expect("finished");
        let file = out.path().join("a.xlsx");
        assert_eq!(fs::read(&file).expect("published"), b"rows");
        // The other system took it; it does not come again.
        fs::remove_file(&file).expect("taken");
        journal.finish(out.path()).expect("nothing to do");
        assert!(!file.exists());
    }
}
