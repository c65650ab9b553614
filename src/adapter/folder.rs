//! Drop folders: files arrive by whatever way people have, are taken once, and end where their fate can be seen.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where a file goes once it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Everything in it was understood and taken.
    Processed,
    /// Something in it waits for a person; the rest was taken.
    InDoubt,
    /// Nothing in it could be read.
    Rejected,
}

impl Fate {
    /// The folder's name, beside the files that arrive.
    pub fn folder(self) -> &'static str {
        match self {
            Fate::Processed => "processed",
            Fate::InDoubt => "in-doubt",
            Fate::Rejected => "rejected",
        }
    }
}

/// A folder that files arrive in.
#[derive(Clone, Debug)]
pub struct Incoming {
    dir: PathBuf,
    settle: Duration,
}

impl Incoming {
    /// The folder, made if it is not there. A file touched less than `settle` ago is still being written.
    pub fn open(dir: &Path, settle: Duration) -> io::Result<Incoming> {
        for fate in [Fate::Processed, Fate::InDoubt, Fate::Rejected] {
            fs::create_dir_all(dir.join(fate.folder()))?;
        }
        Ok(Incoming {
            dir: dir.to_owned(),
            settle,
        })
    }

    /// The files by one of the patterns that nobody is writing any more, oldest first.
    pub fn arrived(&self, patterns: &[String], now: SystemTime) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            // Neither links nor devices: a file of somebody else must not be read through one.
            let meta = entry.metadata()?;
            let wanted = patterns.iter().any(|pattern| matches(pattern, &name));
            if !meta.is_file() || !wanted || is_temporary(&name) || self.is_open(&name) {
                continue;
            }
            let touched = meta.modified()?;
            // A clock that was set wrong on either side must not make a file wait for ever.
            let age = now
                .duration_since(touched)
                .unwrap_or_else(|ahead| ahead.duration());
            if age >= self.settle {
                found.push((touched, entry.path()));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }

    /// Whether a spreadsheet program has the file open: both kinds leave a note beside it.
    fn is_open(&self, name: &str) -> bool {
        let note = |text: String| self.dir.join(text).exists();
        let shortened: String = name.chars().skip(2).collect();
        note(format!("~${name}"))
            || note(format!("~${shortened}"))
            || note(format!(".~lock.{name}#"))
    }

    /// Moves a file to where its fate is seen, with a report beside it. Answers where it is now.
    pub fn put_away(&self, file: &Path, fate: Fate, report: &str) -> io::Result<PathBuf> {
        let folder = self.dir.join(fate.folder());
        let target = free_name(&folder, file.file_name().unwrap_or_default());
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".txt");
        write_whole(&folder.join(name), report.as_bytes())?;
        fs::rename(file, &target)?;
        Ok(target)
    }
}

/// A name in the folder that nothing has yet: `a.xlsx`, `a-2.xlsx` …
fn free_name(folder: &Path, name: &OsStr) -> PathBuf {
    let whole = Path::new(name);
    let stem = whole.file_stem().unwrap_or_default().to_string_lossy();
    let ending = whole.extension().map(|ending| ending.to_string_lossy());
    let numbered = |number: u32| match &ending {
        _ if number == 1 => folder.join(name),
        Some(ending) => folder.join(format!("{stem}-{number}.{ending}")),
        None => folder.join(format!("{stem}-{number}")),
    };
    (1..)
        .map(numbered)
        .find(|path| !path.exists())
        .unwrap_or_else(|| folder.join(name))
}

/// Writes a file so that nobody ever sees a part of it, and a power cut keeps it whole or absent.
pub fn write_whole(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(target.file_name().unwrap_or_default());
    hidden.push(".part");
    let part = target.with_file_name(hidden);
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, target)?;
    if let Some(folder) = target.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Files that are not finished, by the names that programs give them.
fn is_temporary(name: &str) -> bool {
    let lower = name.to_lowercase();
    let unfinished = [".part", ".tmp", ".crdownload", ".filepart", ".partial"];
    name.starts_with('.')
        || name.starts_with('~')
        || unfinished.iter().any(|end| lower.ends_with(end))
}

/// Whether a name is meant by a pattern, in which `*` stands for anything; case does not matter.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(10);

    fn drop_in(incoming: &Incoming, name: &str, touched: SystemTime) {
        let file = File::create(incoming.dir.join(name)).expect("a file");
        file.set_modified(touched).expect("a time");
    }

    #[test]
    fn a_file_that_is_still_written_or_open_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let incoming = Incoming::open(folder.path(), SETTLE).expect("a drop folder");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let long_ago = now - Duration::from_secs(3600);
        drop_in(&incoming, "b.xlsx", long_ago + Duration::from_secs(5));
        drop_in(&incoming, "a.XLSX", long_ago + Duration::from_secs(9));
        drop_in(&incoming, "new.xlsx", now - Duration::from_secs(3));
        drop_in(&incoming, "open.xlsx", long_ago);
        drop_in(&incoming, "~$open.xlsx", long_ago);
        drop_in(&incoming, "office.csv", long_ago);
        drop_in(&incoming, ".~lock.office.csv#", long_ago);
        drop_in(&incoming, "copy.xlsx.part", long_ago);
        drop_in(&incoming, "letter.docx", long_ago);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.csv")).expect("a link");
        let patterns = ["*.xlsx".to_owned(), "*.csv".to_owned()];
        let arrived = incoming.arrived(&patterns, now).expect("a listing");
        let names: Vec<_> = arrived.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["b.xlsx", "a.XLSX"], "oldest first");
    }

    #[test]
    fn files_of_one_name_are_all_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let incoming = Incoming::open(folder.path(), SETTLE).expect("a drop folder");
        for text in ["1", "2", "3"] {
            let file = folder.path().join("a.csv");
            fs::write(&file, text).expect("a file");
            incoming
                .put_away(&file, Fate::Processed, "ok")
                .expect("moved");
        }
        let read = |name: &str| fs::read_to_string(folder.path().join("processed").join(name));
        assert_eq!(read("a.csv").expect("kept"), "1");
        assert_eq!(read("a-3.csv").expect("kept"), "3");
        assert_eq!(read("a-3.csv.txt").expect("a report"), "ok");
    }

    #[test]
    fn patterns_mean_what_people_expect() {
        assert!(matches("*.xlsx", "Báo cáo.XLSX"));
        assert!(matches("bao-cao*2026*.csv", "bao-cao-thang-2026-03.csv"));
        assert!(!matches("bao-cao*.csv", "ke-hoach.csv"));
        assert!(matches("a.csv", "a.csv") && !matches("a.csv", "a.csv.bak"));
    }
}
