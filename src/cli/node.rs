//! `node`: the nodes below this one.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed, num};
use super::output::written;
use super::screen::{Screen, at, short_ids};
use super::{Job, absolute, job};
use crate::api::{Command, Failure, Lang};

/// Verbs of `node`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List enrolled nodes with their last contact
    #[command(
        after_help = "Example:\n  nqsync node list --json | jq '.items[] | select(.state != \"active\")'"
    )]
    List,
    /// Make a one-time token with which a unit's server enrols here
    #[command(
        after_help = "Examples:\n  nqsync node token 26548\n  nqsync node token 26548 --expires 2h --url https://10.1.2.3:7457"
    )]
    Token {
        /// The unit the new node will serve
        unit: String,
        /// How long the token may be used, such as 30m, 24h, 7d
        #[arg(long, default_value = "24h", value_parser = seconds)]
        expires: u64,
        /// Address of this node as the new node will reach it [default: from the configuration]
        #[arg(long)]
        url: Option<String>,
    },
    /// Enrol a node that has no line to this one: its request comes as a file, and the answer goes back as one
    #[command(
        after_help = "Example:\n  nqsync node admit /media/usb/24001.request /media/usb/24001.answer"
    )]
    Admit {
        /// What `nqsync enrol --request` wrote there
        request: PathBuf,
        /// The new file for `nqsync enrol --answer`
        answer: PathBuf,
    },
    /// Show one node
    #[command(after_help = "Example:\n  nqsync node show 0192f3c8")]
    Show {
        /// Its id, the beginning of it, or its unit
        node: String,
    },
    /// List nodes of which two machines have shown themselves
    ///
    /// After a disk was copied both machines are held until `node adopt` chooses one. Both go on working for themselves.
    #[command(after_help = "Example:\n  nqsync node clones")]
    Clones,
    /// Choose which of two machines with one identity goes on
    ///
    /// The other one is refused from now on; `nqsync adopt --new` there brings what it has not sent.
    #[command(
        after_help = "Example:\n  nqsync node adopt 26548 --incarnation Zk3xQ1    from `nqsync node clones`"
    )]
    Adopt {
        /// Its id, the beginning of it, or its unit
        node: String,
        /// The machine that goes on: its incarnation, or at least four letters of the beginning
        // One of 64 begins with a hyphen.
        #[arg(long, allow_hyphen_values = true)]
        incarnation: String,
    },
    /// Have a node take a new key, when its old one may be known to others
    ///
    /// The node takes it by itself at its next contact. From then on the old key opens nothing, so a copy of the node's disk
    /// made before is a stranger here. Certificates need no such word: they are renewed by themselves.
    #[command(
        after_help = "Example:\n  nqsync node renew 26548 --reason \"the old disk was not wiped\""
    )]
    Renew {
        /// Its id, the beginning of it, or its unit
        node: String,
        /// Why; kept in the audit
        #[arg(long)]
        reason: String,
    },
    /// Throw away the sealed backup that a lost node had deposited here
    ///
    /// It stays after the node was cut off, because it may be all that is left of it. Once its unit works again on another machine it is
    /// needed no more.
    #[command(
        after_help = "Example:\n  nqsync node drop-deposit 0192f3c8 --reason \"restored on the new machine\""
    )]
    DropDeposit {
        /// Its id, or the beginning of it; it has to be cut off
        node: String,
        /// Why; kept in the audit
        #[arg(long)]
        reason: String,
    },
    /// Let a node in that this node's authority certified and that is on no list here
    ///
    /// So is every child that enrolled after the backup from which this node was restored; `node list` shows those that wait.
    /// Whether one was cut off since is forgotten as well: ask there, and compare the fingerprint of the key.
    #[command(
        after_help = "Examples:\n  nqsync node accept 26548\n  nqsync node accept 0192f3c8 --unit 26548"
    )]
    Accept {
        /// Its id, the fingerprint of its key, the beginning of either, or its unit
        node: String,
        /// The unit that it serves [default: as the units say]
        #[arg(long)]
        unit: Option<String>,
    },
    /// Leave such a node a stranger
    #[command(after_help = "Example:\n  nqsync node refuse 0192f3c8 --reason \"cut off in March\"")]
    Refuse {
        /// Its id, the fingerprint of its key, the beginning of either, or its unit
        node: String,
        /// Why; kept in the audit
        #[arg(long)]
        reason: String,
    },
    /// Certify with another key from now on
    ///
    /// The old authority signs for the new one, so nodes below follow at their next contact, by line or by bundle, and what it
    /// certified stays good until it is renewed. It stays here for those that come late. Make a backup afterwards. Nodes of version
    /// 0.1 below cannot follow: upgrade them first.
    #[command(after_help = "Example:\n  nqsync node rotate-authority --reason \"once a year\"")]
    RotateAuthority {
        /// Why; kept in the audit
        #[arg(long)]
        reason: String,
    },
    /// Cut a node off; it can neither send nor fetch any more
    #[command(
        after_help = "Examples:\n  nqsync node revoke 0192f3c8 --reason \"server stolen\"\n  nqsync node revoke 0192f3c8 --undo --reason \"found again\""
    )]
    Revoke {
        /// Its id, the beginning of it, or its unit
        node: String,
        /// Why; kept in the audit
        #[arg(long)]
        reason: String,
        /// Let it in again
        #[arg(long)]
        undo: bool,
    },
}

impl Verb {
    pub(super) fn job(self, lang: Lang) -> Result<Job, Failure> {
        Ok(match self {
            Verb::Admit { request, answer } => job(
                Command::NodeAdmit {
                    request: absolute(&request, lang)?,
                    answer: absolute(&answer, lang)?,
                },
                written,
            ),
            Verb::List => job(Command::NodeList, list),
            Verb::Token { unit, expires, url } => job(
                Command::NodeToken {
                    unit,
                    expires_s: expires,
                    url,
                },
                token,
            ),
            Verb::Show { node } => job(Command::NodeShow { node }, show),
            Verb::Clones => job(Command::NodeClones, clones),
            Verb::Adopt { node, incarnation } => {
                job(Command::NodeAdopt { node, incarnation }, written)
            }
            Verb::Accept { node, unit } => job(Command::NodeAccept { node, unit }, written),
            Verb::Refuse { node, reason } => job(Command::NodeRefuse { node, reason }, written),
            Verb::RotateAuthority { reason } => {
                job(Command::NodeRotateAuthority { reason }, written)
            }
            Verb::Renew { node, reason } => job(Command::NodeRenew { node, reason }, written),
            Verb::DropDeposit { node, reason } => {
                job(Command::NodeDropDeposit { node, reason }, written)
            }
            Verb::Revoke { node, reason, undo } => {
                job(Command::NodeRevoke { node, reason, undo }, written)
            }
        })
    }
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    let refs = short_ids(super::screen::items(data, "items"), "node");
    let table = listed(
        data,
        screen,
        Some(refs),
        &[
            col("label-unit", |n, s| {
                let name = s.plain(at(n, "name"));
                format!("{} {name}", s.plain(at(n, "unit")))
                    .trim_end()
                    .to_owned()
            }),
            col("label-state", |n, s| s.word("word-node-", at(n, "state"))),
            col("label-last-contact", |n, s| {
                s.time(at(n, "last_contact_at"))
            }),
            num("label-pending", |n, s| s.plain(at(n, "pending"))),
            col("label-version", |n, s| s.plain(at(n, "version"))),
            num("label-clock", |n, s| clock(at(n, "clock_offset_ms"), s)),
            col("label-certificate-until", |n, s| {
                s.time(at(n, "certificate_until"))
            }),
        ],
    );
    table + &super::list::section(screen, "label-nodes-waiting", &waiting(data, screen))
}

/// Those that our authority certified and that are on no list. The fingerprint is not cut: it is compared.
fn waiting(data: &Value, screen: &Screen) -> String {
    let all = super::screen::items(data, "waiting");
    let shown = all.iter().map(|node| {
        screen.facts(&[
            ("label-node", screen.plain(at(node, "node"))),
            ("label-unit", screen.plain(at(node, "unit"))),
            ("label-state", screen.word("word-node-", at(node, "state"))),
            ("label-since", screen.time(at(node, "since"))),
            ("label-pin", screen.plain(at(node, "pin"))),
            ("label-reason", screen.plain(at(node, "reason"))),
        ])
    });
    shown.collect::<Vec<_>>().join("\n")
}

pub(super) fn show(data: &Value, screen: &Screen) -> String {
    screen.facts(&[
        ("label-node", screen.plain(at(data, "node"))),
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-name", screen.plain(at(data, "name"))),
        ("label-state", screen.word("word-node-", at(data, "state"))),
        ("label-enrolled", screen.time(at(data, "enrolled_at"))),
        (
            "label-last-contact",
            screen.time(at(data, "last_contact_at")),
        ),
        ("label-version", screen.plain(at(data, "version"))),
        ("label-clock", clock(at(data, "clock_offset_ms"), screen)),
        ("label-pending", screen.plain(at(data, "pending"))),
        ("label-pin", screen.plain(at(data, "pin"))),
        ("label-deposited-at", screen.time(at(data, "deposit.at"))),
        ("label-deposited", screen.bytes(at(data, "deposit.bytes"))),
        (
            "label-certificate-until",
            screen.time(at(data, "certificate_until")),
        ),
    ])
}

fn clones(data: &Value, screen: &Screen) -> String {
    let mut rows = Vec::new();
    for item in super::screen::items(data, "items") {
        for machine in super::screen::items(item, "machines") {
            let mut row = machine.clone();
            row["unit"] = at(item, "unit").clone();
            rows.push(row);
        }
    }
    let columns = [
        col("label-unit", |m, s| s.plain(at(m, "unit"))),
        col("label-incarnation", |m, s| s.plain(at(m, "incarnation"))),
        col("label-head", |m, s| s.plain(at(m, "head"))),
        col("label-state", |m, s| s.word("word-branch-", at(m, "state"))),
        col("label-last-contact", |m, s| s.time(at(m, "seen_at"))),
    ];
    super::list::tabled(&rows, screen, None, &columns)
}

/// How far a clock is off, where that is known.
pub(super) fn clock(offset_ms: &Value, screen: &Screen) -> String {
    match offset_ms.as_i64() {
        Some(ms) => format!("{} ms", screen.count(ms)),
        None => String::new(),
    }
}

fn token(data: &Value, screen: &Screen) -> String {
    // The token stands alone in its line and is never broken, so that it can be copied.
    let head = screen.facts(&[
        ("label-unit", screen.plain(at(data, "unit"))),
        ("label-address", screen.plain(at(data, "url"))),
        ("label-expires", screen.time(at(data, "expires_at"))),
    ]);
    format!(
        "{head}{}:\n{}\n",
        screen.label("label-token"),
        screen.plain(at(data, "token"))
    )
}

pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "expected a duration such as 30m, 24h or 7d".to_owned();
    let (number, factor) = match text.char_indices().last() {
        Some((end, 's')) => (&text[..end], 1),
        Some((end, 'm')) => (&text[..end], 60),
        Some((end, 'h')) => (&text[..end], 3600),
        Some((end, 'd')) => (&text[..end], 86400),
        _ => return Err(wrong()),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor));
    seconds.filter(|s| *s > 0).ok_or_else(wrong)
}
