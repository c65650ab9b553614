//! A package of this program that a parent signs for its children, and the steps by which one is installed and, where it
//! does not do well, taken back. Each step follows from what was noted before and from what is seen now, so that a power cut
//! anywhere is gone on from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// First line of a signed package.
pub const MAGIC: &str = "nqsync package 1\n";
/// Longest label, in bytes, its first line included.
pub const MAX_LABEL: usize = 4096;
/// Kind of the document by which an offer travels. An older node takes it for any other document.
pub const OFFER: &str = "nqsync-package";
/// How long a new version may take until it answers: a large store is brought to another format first.
pub const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How often one step is begun, power cuts included.
const TRIES: u32 = 3;

/// What stands before the bytes of a signed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Version of the package, as dpkg compares it.
    pub version: String,
    /// Length of the package.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Key of the signer: SubjectPublicKeyInfo in DER, in hexadecimal digits.
    pub key: String,
    /// Signature under [`Label::text`], in hexadecimal digits.
    pub signature: String,
}

/// Why this is no signed package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Another file, or the label of a later version.
    #[error("it does not begin with {:?}", MAGIC.trim_end())]
    Magic,
    /// The label cannot be read.
    #[error("its label cannot be read")]
    Label,
}

impl Label {
    /// What is signed.
    pub fn text(&self) -> String {
        let Label {
            version,
            bytes,
            sha256,
            ..
        } = self;
        format!("{MAGIC}version {version}\nbytes {bytes}\nsha256 {sha256}\n")
    }

    /// The label as it stands before the package.
    pub fn render(&self) -> String {
        let line = serde_json::to_string(self).unwrap_or_default();
        format!("{MAGIC}{line}\n")
    }

    /// Reads the beginning of a file; with it where the package begins.
    pub fn parse(head: &[u8]) -> Result<(Label, usize), LabelError> {
        let rest = head
            .strip_prefix(MAGIC.as_bytes())
            .ok_or(LabelError::Magic)?;
        let end = rest.iter().take(MAX_LABEL).position(|byte| *byte == b'\n');
        let end = end.ok_or(LabelError::Label)?;
        let label = serde_json::from_slice(&rest[..end]).map_err(|_| LabelError::Label)?;
        Ok((label, MAGIC.len() + end + 1))
    }
}

/// Where an installation is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// To the new version.
    Forward,
    /// To the one before.
    Back,
}

/// How an installation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The new version runs.
    Done,
    /// The package did not let itself be installed; the version before was never stopped, or runs again.
    Refused,
    /// The new version did not do well; the one before runs again.
    WentBack,
    /// Neither runs: a person has to look.
    Stuck,
}

/// What is noted before each step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Version that ran before.
    pub from: String,
    /// Version that was offered.
    pub to: String,
    /// When it began, milliseconds since 1970; only told, for the clock of a machine may have lost its battery.
    pub began_ms: i64,
    /// The backups before a change of format that were there when it began.
    pub backups: Vec<String>,
    /// Where it is going.
    pub way: Way,
    /// How often the package of the way was given to dpkg.
    pub tries: u32,
    /// Whether dpkg refused it in the end.
    pub failed: bool,
    /// Whether the store was put back.
    pub restored: bool,
    /// How it ended; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// What went wrong, as it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What is seen of the machine.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Version of the package that is wholly installed.
    pub installed: Option<String>,
    /// The service of that version runs, answers and finds its store whole.
    pub healthy: bool,
    /// The service falls over, and systemd does not start it any more.
    pub given_up: bool,
    /// The store was to be brought to another format since the beginning, and a backup from before it is there.
    pub migrated: bool,
    /// For how long the present way has been waited on without a step, as this process measured it. A power cut begins anew: a
    /// clock that jumps must neither cut a version's time short nor make it endless.
    pub waited: Duration,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Give dpkg the new package.
    Install,
    /// Look again in a moment.
    Wait,
    /// Turn back: note it, then ask again.
    TurnBack,
    /// Stop the service, give dpkg the package of before, and start it.
    PutBack,
    /// Put the store back as it was before its format changed, and start the service.
    Restore,
    /// It is over.
    Finish(End),
}

impl Journal {
    /// The beginning.
    pub fn new(from: String, to: String, now_ms: i64, backups: Vec<String>) -> Journal {
        Journal {
            from,
            to,
            began_ms: now_ms,
            backups,
            way: Way::Forward,
            tries: 0,
            failed: false,
            restored: false,
            end: None,
            reason: None,
        }
    }

    /// The next step.
    pub fn next(&self, seen: &Seen) -> Move {
        if let Some(end) = self.end {
            return Move::Finish(end);
        }
        let is = |version: &String| seen.installed.as_ref() == Some(version);
        let hopeless = seen.given_up || seen.waited >= PATIENCE;
        match self.way {
            Way::Forward if is(&self.to) => match (seen.healthy, hopeless) {
                (true, _) => Move::Finish(End::Done),
                (false, false) => Move::Wait,
                (false, true) => Move::TurnBack,
            },
            // dpkg puts everything back as it was when a package refuses; anything else is half of something.
            Way::Forward if self.failed && is(&self.from) => Move::Finish(End::Refused),
            Way::Forward if self.failed || self.tries >= TRIES => Move::TurnBack,
            Way::Forward => Move::Install,
            Way::Back if !is(&self.from) && self.tries >= TRIES => Move::Finish(End::Stuck),
            Way::Back if !is(&self.from) => Move::PutBack,
            // The store of before is the last resort: what was written since is not in it.
            Way::Back => match (seen.healthy, hopeless) {
                (true, _) => Move::Finish(End::WentBack),
                (false, false) => Move::Wait,
                (false, true) if seen.migrated && !self.restored => Move::Restore,
                (false, true) => Move::Finish(End::Stuck),
            },
        }
    }

    /// Takes the way back.
    pub fn turn_back(&mut self) {
        self.way = Way::Back;
        self.tries = 0;
        self.failed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that does what it is told, as far as its packages let it.
    struct Machine {
        installed: Option<String>,
        new_is_good: bool,
        refuses: bool,
        migrates: bool,
        backup: bool,
        store_is_new: bool,
        gives_up: bool,
        waited: Duration,
        lasted: Duration,
    }

    impl Machine {
        fn seen(&self) -> Seen {
            let old = self.installed.as_deref() == Some("1") && !self.store_is_new;
            let new = self.installed.as_deref() == Some("2") && self.new_is_good;
            Seen {
                installed: self.installed.clone(),
                healthy: old || new,
                given_up: self.gives_up && !old && !new,
                migrated: self.backup,
                waited: self.waited,
            }
        }

        /// Carries a step out; cut: only as far as the noting of it, and nobody remembers how long was waited.
        fn step(&mut self, journal: &mut Journal, cut: bool) {
            let minute = Duration::from_secs(60);
            let next = journal.next(&self.seen());
            self.lasted += minute;
            self.waited = if next == Move::Wait && !cut {
                self.waited + minute
            } else {
                Duration::ZERO
            };
            match next {
                Move::Install => {
                    journal.tries += 1;
                    if cut {
                        // Half unpacked.
                        self.installed = None;
                        return;
                    }
                    if self.refuses {
                        self.installed = Some("1".into());
                        journal.failed = true;
                    } else {
                        self.installed = Some("2".into());
                        self.backup = self.migrates;
                        self.store_is_new = self.migrates;
                    }
                }
                Move::Wait => {}
                Move::TurnBack => journal.turn_back(),
                Move::PutBack => {
                    journal.tries += 1;
                    if !cut {
                        self.installed = Some("1".into());
                    }
                }
                Move::Restore if cut => {}
                Move::Restore => {
                    self.store_is_new = false;
                    journal.restored = true;
                }
                Move::Finish(end) => journal.end = Some(end),
            }
        }

        fn run(mut self, cuts: &[usize]) -> (End, Machine) {
            let mut journal = Journal::new("1".into(), "2".into(), 0, Vec::new());
            for number in 0..200 {
                self.step(&mut journal, cuts.contains(&number));
                // What was noted is all that a start after a power cut has.
                let kept = serde_json::to_string(&journal).expect("written");
                journal = serde_json::from_str(&kept).expect("read");
                if let Some(end) = journal.end {
                    return (end, self);
                }
            }
            panic!("it never ends: {journal:?}");
        }
    }

    fn machine() -> Machine {
        Machine {
            installed: Some("1".into()),
            new_is_good: true,
            refuses: false,
            migrates: false,
            backup: false,
            store_is_new: false,
            gives_up: false,
            waited: Duration::ZERO,
            lasted: Duration::ZERO,
        }
    }

    #[test]
    fn a_good_version_stays_and_a_refused_one_changes_nothing() {
        let (end, after) = machine().run(&[]);
        assert_eq!((end, after.installed.as_deref()), (End::Done, Some("2")));
        let refuses = Machine {
            refuses: true,
            ..machine()
        };
        let (end, after) = refuses.run(&[]);
        assert_eq!((end, after.installed.as_deref()), (End::Refused, Some("1")));
    }

    #[test]
    fn a_version_that_does_not_do_well_goes_back_with_its_store() {
        for migrates in [false, true] {
            let bad = Machine {
                new_is_good: false,
                migrates,
                ..machine()
            };
            let (end, after) = bad.run(&[]);
            assert_eq!(
                (end, after.installed.as_deref()),
                (End::WentBack, Some("1"))
            );
            assert!(!after.store_is_new);
        }
    }

    #[test]
    fn a_service_that_systemd_gives_up_is_not_waited_for() {
        let bad = Machine {
            new_is_good: false,
            gives_up: true,
            ..machine()
        };
        let (end, after) = bad.run(&[]);
        assert_eq!(end, End::WentBack);
        assert!(after.lasted < PATIENCE / 2, "{:?}", after.lasted);
    }

    #[test]
    fn a_store_that_the_version_before_still_reads_is_not_put_back() {
        let mut journal = Journal::new("1".into(), "2".into(), 0, Vec::new());
        journal.turn_back();
        let mut seen = Seen {
            installed: Some("1".into()),
            healthy: true,
            given_up: false,
            migrated: true,
            waited: Duration::ZERO,
        };
        assert_eq!(journal.next(&seen), Move::Finish(End::WentBack));
        seen.healthy = false;
        assert_eq!(journal.next(&seen), Move::Wait);
        seen.given_up = true;
        assert_eq!(journal.next(&seen), Move::Restore);
        journal.restored = true;
        assert_eq!(journal.next(&seen), Move::Finish(End::Stuck));
    }

    #[test]
    fn a_power_cut_at_any_step_is_gone_on_from() {
        for good in [true, false] {
            for cut in 0..60 {
                let cut_off = Machine {
                    new_is_good: good,
                    migrates: true,
                    ..machine()
                };
                let (end, after) = cut_off.run(&[cut]);
                let wanted = if good {
                    (End::Done, Some("2"))
                } else {
                    (End::WentBack, Some("1"))
                };
                assert_eq!((end, after.installed.as_deref()), wanted, "cut at {cut}");
                assert_eq!(after.store_is_new, good, "cut at {cut}");
            }
        }
    }

    #[test]
    fn one_that_cannot_be_put_back_is_told_and_not_tried_for_ever() {
        let bad = Machine {
            new_is_good: false,
            gives_up: true,
            ..machine()
        };
        // Every step that changes something is cut from the first waiting on.
        let (end, _) = bad.run(&(1..200).collect::<Vec<_>>());
        assert_eq!(end, End::Stuck);
    }

    #[test]
    fn a_label_is_read_back_and_anything_else_is_no_package() {
        let label = Label {
            version: "0.2.1-1".into(),
            bytes: 7,
            sha256: "ab".repeat(32),
            key: "00".into(),
            signature: "11".into(),
        };
        let mut file = label.render().into_bytes();
        let begins = file.len();
        file.extend_from_slice(b"!<arch>");
        assert_eq!(Label::parse(&file), Ok((label.clone(), begins)));
        assert_eq!(Label::parse(b"!<arch>\n"), Err(LabelError::Magic));
        let endless = [MAGIC.as_bytes(), &[b' '; 2 * MAX_LABEL]].concat();
        assert_eq!(Label::parse(&endless), Err(LabelError::Label));
        let other = Label {
            bytes: 8,
            ..label.clone()
        };
        assert_ne!(other.text(), label.text());
    }
}
