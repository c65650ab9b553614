//! The one table of configuration keys.
//!
//! Checking, `config show`, the JSON schema and the commented samples all read this table, so they cannot disagree
//! about a name, a type, a range or a default. The typed structures in `model` are compared with it by a test.

use nqsync_core::protocol::MAX_FILE_PIECE;

use crate::api::Act;

/// What a key may hold, and in which range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A unit code: text, because `00123` is not 123.
    Unit,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A file or folder.
    Path,
    /// An IANA time zone.
    Zone,
    /// A whole number.
    Whole {
        /// Smallest value accepted.
        min: u64,
        /// Greatest value accepted.
        max: u64,
    },
    /// Seconds, a fraction is allowed.
    Seconds {
        /// Smallest value accepted.
        min: f64,
        /// Greatest value accepted.
        max: f64,
    },
    /// Bytes, as a number or as text with a unit (`"4 MiB"`).
    Size {
        /// Smallest value accepted.
        min: u64,
        /// Greatest value accepted.
        max: u64,
    },
    /// An `https://host:port` address without path or login.
    Url,
    /// `host:port`, port 0 lets the system choose.
    Address,
    /// DNS names and IP addresses.
    Names,
    /// Cron expressions.
    Schedule,
    /// Reporting regimes, named or described.
    Regimes,
    /// Numbers of days.
    Days,
    /// Any of these words.
    Words(&'static [&'static str]),
}

/// What holds where a key is not written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fallback {
    /// The key must be written when its section is there.
    Required,
    /// This value, as TOML.
    Value(&'static str),
    /// Computed from other keys, in these words.
    Derived(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its section, without brackets.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What holds where it is not written.
    pub fallback: Fallback,
    /// What it is.
    pub doc: &'static str,
    /// Why one would change it.
    pub why: &'static str,
}

impl Key {
    /// `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The environment variable that overrides it.
    pub fn variable(&self) -> String {
        format!("NQSYNC_{}_{}", self.section, self.name).to_uppercase()
    }
}

/// Sections, in the order they are shown, with what each is for.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "node",
        "Which unit this node serves, and where it keeps its data.",
    ),
    (
        "listen",
        "Accepting downstream nodes. Leave the section out where there are none.",
    ),
    (
        "upstream",
        "The one parent node. Leave the section out at the ministry, and where data crosses by media only.",
    ),
    (
        "console",
        "The pages for people, in a browser. Leave the section out where nobody needs them.",
    ),
    (
        "api",
        "The local API over TCP, for programs with a token: nqsync token new. Leave the section out where the control socket is enough.",
    ),
    (
        "metrics",
        "Figures and health for monitoring: /metrics, /healthz, /readyz. Leave the section out where nobody collects them.",
    ),
    (
        "parse",
        "Where tables from outside are read. Without the section a child process of the service does it, with limited memory and time.",
    ),
    ("sync", "When to synchronize, and how much at once."),
    ("store", "The database."),
    ("reporting", "Reporting periods."),
    (
        "brake",
        "Mass changes that wait for a person: nqsync hold list.",
    ),
    (
        "approval",
        "Acts that need two persons: nqsync approval list.",
    ),
    (
        "deposit",
        "Sealed backups that are kept by the node above: nqsync backup key new.",
    ),
    (
        "log",
        "What is written to standard error (the journal, under systemd).",
    ),
];

/// Sections that are off unless one of their keys, or their header, is written.
pub const OPTIONAL_SECTIONS: &[&str] =
    &["listen", "upstream", "console", "api", "metrics", "parse"];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY_S: f64 = 86_400.0;

/// The levels of a government.
pub const LEVELS: &[&str] = &["commune", "province", "ministry"];
/// Whether a computer may hold state secrets.
pub const PROFILES: &[&str] = &["networked", "isolated"];
/// Levels of secrecy.
pub const CLASSIFICATIONS: &[&str] = &["none", "confidential", "secret", "top_secret"];
/// The ways to a parent.
pub const UPSTREAM_KINDS: &[&str] = &["line", "bundle"];
/// The acts that may need two persons.
pub const APPROVAL_ACTS: &[&str] = &{
    let mut names = [""; Act::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Act::ALL[at].as_str();
        at += 1;
    }
    names
};
/// The kinds of reporting period.
pub const PERIOD_KINDS: &[&str] = &["week", "month", "quarter", "half", "nine_months", "year"];

const fn key(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    fallback: Fallback,
    doc: &'static str,
    why: &'static str,
) -> Key {
    Key {
        section,
        name,
        kind,
        fallback,
        doc,
        why,
    }
}

use Fallback::{Derived, Required, Value};

/// Every key there is, by section.
pub const KEYS: &[Key] = &[
    key(
        "node",
        "unit",
        Kind::Unit,
        Required,
        "Code of the org unit this node serves, as text.",
        "Set once, at `nqsync init`. Another unit needs another data directory.",
    ),
    key(
        "node",
        "level",
        Kind::Choice(LEVELS),
        Required,
        "Level of that unit.",
        "Set once, at `nqsync init`.",
    ),
    key(
        "node",
        "data_dir",
        Kind::Path,
        Value("\"/var/lib/nqsync\""),
        "Folder of the store, the evidence files and the keys. Relative to this file.",
        "A larger or faster disk. Never a network share: the store needs real locks and a real fsync.",
    ),
    key(
        "node",
        "socket",
        Kind::Path,
        Derived("control.sock in data_dir"),
        "Unix socket on which the commands reach the running service. Relative to this file; at most 107 bytes long.",
        "Operators who may run commands but not read the data directory, for example /run/nqsync/control.sock.",
    ),
    key(
        "node",
        "machine_id_file",
        Kind::Path,
        Value("\"/etc/machine-id\""),
        "File that names this machine. A store whose machine changed exchanges nothing until `nqsync adopt --moved`.",
        "A container whose /etc/machine-id changes at every start: a file on the data volume.",
    ),
    key(
        "node",
        "profile",
        Kind::Choice(PROFILES),
        Value("\"networked\""),
        "\"networked\": this computer is joined to a network and holds no state secret. \"isolated\": it may hold them, each level in a store of its own.",
        "The authority in charge has decided that this computer may hold state secrets (Law 117/2025/QH15).",
    ),
    key(
        "node",
        "ceiling",
        Kind::Choice(CLASSIFICATIONS),
        Value("\"none\""),
        "Highest level of secrecy that an isolated node may hold: none, confidential (Mật), secret (Tối mật), top_secret (Tuyệt mật).",
        "As the authority in charge has decided for this computer.",
    ),
    key(
        "node",
        "classification",
        Kind::Choice(CLASSIFICATIONS),
        Value("\"none\""),
        "Level of secrecy of the store in data_dir.",
        "Never by hand: `nqsync level prepare` writes it into the configuration of the store it makes.",
    ),
    key(
        "node",
        "time_zone",
        Kind::Zone,
        Value("\"Asia/Ho_Chi_Minh\""),
        "Zone in which schedules run and deadlines end.",
        "A deployment elsewhere, or tests.",
    ),
    key(
        "listen",
        "address",
        Kind::Address,
        Value("\"0.0.0.0:7457\""),
        "host:port to accept downstream nodes on. Port 0 lets the system choose.",
        "Several network cards, of which only the leased line should be served; or the port is taken.",
    ),
    key(
        "listen",
        "names",
        Kind::Names,
        Value("[\"localhost\"]"),
        "DNS names and IP addresses put into the server certificate: those by which children reach this node.",
        "So that other programs can check the name. Children do not: they trust the parent's key, pinned at enrolment.",
    ),
    key(
        "listen",
        "max_connections",
        Kind::Whole {
            min: 1,
            max: 100_000,
        },
        Value("4096"),
        "Open connections, over all children. A further one takes the place of the one that has longest not been a known child's; without such it waits.",
        "Less memory, or more children than this: each holds one connection, two for a moment when it reconnects.",
    ),
    key(
        "listen",
        "max_connections_per_child",
        Kind::Whole { min: 1, max: 1000 },
        Value("4"),
        "Open connections of one child. A further one replaces the oldest.",
        "Rarely. It keeps one broken child from taking the others' share.",
    ),
    key(
        "listen",
        "handshake_timeout_s",
        Kind::Seconds {
            min: 0.1,
            max: 600.0,
        },
        Value("15"),
        "Time for the TLS handshake of a new connection.",
        "Lines with seconds of delay.",
    ),
    key(
        "listen",
        "header_timeout_s",
        Kind::Seconds {
            min: 0.1,
            max: 600.0,
        },
        Value("30"),
        "Time for the header of the first request.",
        "Lines with seconds of delay.",
    ),
    key(
        "listen",
        "body_idle_timeout_s",
        Kind::Seconds {
            min: 0.1,
            max: 3600.0,
        },
        Value("30"),
        "Longest silence inside a request's body, and longest time in which a child takes nothing of an answer. A slow one that goes on is not cut off.",
        "Lines that stall for longer and then go on.",
    ),
    key(
        "listen",
        "request_timeout_s",
        Kind::Seconds {
            min: 0.1,
            max: DAY_S,
        },
        Value("120"),
        "Time for one whole request. Must be longer than the children's long_poll_s.",
        "Very slow lines; lower sync.blob_chunk_bytes first.",
    ),
    key(
        "listen",
        "max_concurrent_batches",
        Kind::Whole { min: 1, max: 1000 },
        Value("4"),
        "Batches taken in at the same time. Further children are told to come back a little later.",
        "More memory (each batch may hold sync.max_batch_bytes) and a disk that keeps up.",
    ),
    key(
        "upstream",
        "url",
        Kind::Url,
        Required,
        "Address of the parent node, https://host:port.",
        "The parent has moved. A foreign server at that address is refused: its key is pinned at enrolment.",
    ),
    key(
        "upstream",
        "kind",
        Kind::Choice(UPSTREAM_KINDS),
        Value("\"line\""),
        "How the parent is reached: over a line, or by bundles on media alone; then this node never dials.",
        "No line may join this network to the parent's: \"bundle\".",
    ),
    key(
        "upstream",
        "ceiling",
        Kind::Choice(CLASSIFICATIONS),
        Value("\"none\""),
        "Highest level of secrecy that the line to the parent carries. Lines carry nothing above none; higher levels go by bundle.",
        "Not in this version.",
    ),
    key(
        "upstream",
        "connect_timeout_s",
        Kind::Seconds {
            min: 0.1,
            max: 600.0,
        },
        Value("10"),
        "Time to connect, including TLS.",
        "Lines with seconds of delay.",
    ),
    key(
        "upstream",
        "request_timeout_s",
        Kind::Seconds {
            min: 0.1,
            max: DAY_S,
        },
        Value("120"),
        "Time for one whole request. Must be longer than long_poll_s.",
        "Very slow lines; lower sync.blob_chunk_bytes first.",
    ),
    key(
        "upstream",
        "long_poll_s",
        Kind::Seconds {
            min: 0.0,
            max: 3600.0,
        },
        Value("50"),
        "How long the parent may hold a question for news open. 0 turns it off: news then waits for the schedule.",
        "A firewall on the way that drops silent connections sooner.",
    ),
    key(
        "upstream",
        "probe_interval_s",
        Kind::Seconds {
            min: 0.1,
            max: 3600.0,
        },
        Value("5"),
        "While the line is down: a bare TCP connect this often, to notice its return.",
        "A line that is paid by the packet.",
    ),
    key(
        "upstream",
        "probe_jitter_s",
        Kind::Seconds {
            min: 0.0,
            max: 3600.0,
        },
        Value("1"),
        "Each probe comes earlier or later by up to this, so that many nodes do not knock together.",
        "Rarely.",
    ),
    key(
        "console",
        "address",
        Kind::Address,
        Value("\"127.0.0.1:7480\""),
        "host:port of the pages. Only this machine can open a loopback address; any other is refused. Port 0 lets the system choose.",
        "The port is taken. For the machines of an office put a web server with TLS in front, see docs/console.md.",
    ),
    key(
        "console",
        "names",
        Kind::Names,
        Value("[\"localhost\"]"),
        "Names by which browsers reach the pages, besides the address itself. A request under another name is refused.",
        "A web server in front of it, such as nqsync.province.example.",
    ),
    key(
        "console",
        "idle_logout_s",
        Kind::Seconds {
            min: 60.0,
            max: DAY_S,
        },
        Value("1800"),
        "Who does nothing for so long must log in again. Twelve hours after the login everybody must.",
        "Shorter where strangers pass the screen.",
    ),
    key(
        "api",
        "address",
        Kind::Address,
        Value("\"127.0.0.1:7482\""),
        "host:port of the local API: only a loopback address is taken. Port 0 lets the system choose.",
        "The port is taken. Programs on other machines come through a web server with TLS here.",
    ),
    key(
        "metrics",
        "address",
        Kind::Address,
        Value("\"127.0.0.1:7481\""),
        "host:port of the figures, without a login: only a loopback address is taken. Port 0 lets the system choose.",
        "The port is taken. A collector on another machine asks through a web server here that knows it.",
    ),
    key(
        "parse",
        "socket",
        Kind::Path,
        Value("\"/run/nqsync-parse.sock\""),
        "Unix socket behind which a process for each file is started: systemd/nqsync-parse.socket.",
        "Write the section where systemd runs the service: that process has no network and sees no file.",
    ),
    key(
        "sync",
        "schedule",
        Kind::Schedule,
        Value("[\"*/30 * * * *\"]"),
        "Cron expressions in node.time_zone: a round at these times even if nothing asked for one. [] for none.",
        "Set hours agreed with the parent. Changes are sent as they happen; this is the safety net.",
    ),
    key(
        "sync",
        "jitter_s",
        Kind::Seconds {
            min: 0.0,
            max: DAY_S,
        },
        Value("60"),
        "A scheduled round starts up to this much later, different at each node.",
        "More children than one parent can serve in a minute.",
    ),
    key(
        "sync",
        "debounce_ms",
        Kind::Whole {
            min: 0,
            max: 3_600_000,
        },
        Value("500"),
        "After a local change, wait this long for more before sending, in milliseconds.",
        "Higher where a program writes many records one by one and the line is paid by the connection.",
    ),
    key(
        "sync",
        "batch_records",
        Kind::Whole {
            min: 1,
            max: 100_000,
        },
        Value("2000"),
        "Most records in one batch sent.",
        "Smaller on lines that are cut often: what was not acknowledged is sent again.",
    ),
    key(
        "sync",
        "batch_bytes",
        Kind::Size {
            min: 64 * KIB,
            max: GIB,
        },
        Value("\"4 MiB\""),
        "Most bytes in one batch sent, before compression. One record larger than this goes alone.",
        "As batch_records.",
    ),
    key(
        "sync",
        "max_batch_bytes",
        Kind::Size {
            min: 64 * KIB,
            max: GIB,
        },
        Value("\"16 MiB\""),
        "A batch received that is larger, after decompression, is refused.",
        "Lower on a machine with little memory, not below what the neighbours send.",
    ),
    key(
        "sync",
        "blob_chunk_bytes",
        Kind::Size {
            min: 4 * KIB,
            max: MAX_FILE_PIECE as u64,
        },
        Value("\"512 KiB\""),
        "Evidence files travel in pieces of this size; a cut line loses at most one.",
        "Larger on fast lines with long delay, smaller on lines that are cut every few seconds.",
    ),
    key(
        "sync",
        "max_blob_bytes",
        Kind::Size {
            min: KIB,
            max: 1024 * GIB,
        },
        Value("\"1 GiB\""),
        "Largest evidence file.",
        "A small disk. The parent's limit holds as well.",
    ),
    key(
        "sync",
        "max_record_bytes",
        Kind::Size {
            min: 4 * KIB,
            max: 64 * MIB,
        },
        Value("\"1 MiB\""),
        "Largest record. A larger one received is quarantined, one written here is refused.",
        "Rarely. Long texts belong into evidence files.",
    ),
    key(
        "sync",
        "bandwidth_bytes_per_s",
        Kind::Size {
            min: 0,
            max: 1024 * GIB,
        },
        Value("0"),
        "Most bytes of files per second to and from the parent, on average; records are never slowed. 0 is no limit.",
        "A line shared with other work: 16 Mbit/s is about \"2 MiB\".",
    ),
    key(
        "sync",
        "backoff_min_s",
        Kind::Seconds {
            min: 0.01,
            max: 3600.0,
        },
        Value("1"),
        "First wait after a failed session; it grows from there, with jitter.",
        "Rarely.",
    ),
    key(
        "sync",
        "backoff_max_s",
        Kind::Seconds {
            min: 0.01,
            max: DAY_S,
        },
        Value("300"),
        "Longest wait between two tries.",
        "Lower where a return to service must be noticed sooner.",
    ),
    key(
        "store",
        "readers",
        Kind::Whole { min: 1, max: 64 },
        Value("4"),
        "Connections that read the store at the same time.",
        "Many people at the console at once.",
    ),
    key(
        "store",
        "group_commit_max",
        Kind::Whole {
            min: 1,
            max: 10_000,
        },
        Value("256"),
        "Most writes that share one commit, and so one fsync.",
        "Rarely. Lower shortens the wait of the first writer of a group.",
    ),
    key(
        "store",
        "wal_checkpoint_pages",
        Kind::Whole {
            min: 100,
            max: 1_000_000,
        },
        Value("16000"),
        "Pages (4 KiB) in the write-ahead log before they are copied into the database.",
        "Lower on a nearly full disk, higher for large first loads.",
    ),
    key(
        "store",
        "min_free_bytes",
        Kind::Size {
            min: 0,
            max: 1024 * GIB,
        },
        Value("\"256 MiB\""),
        "With less free disk than this, or less than 2 % of it, status says that the disk is nearly full, and evidence files and deposits of children wait: the rest is for records.",
        "A disk shared with other programs that fill it quickly.",
    ),
    key(
        "store",
        "scrub_interval_s",
        Kind::Seconds {
            min: 0.1,
            max: 365.0 * DAY_S,
        },
        Value("604800"),
        "How often the whole store is looked through: the database, the audit, the bytes of every file.",
        "Disks that are not trusted: more often. It costs reading everything once.",
    ),
    key(
        "reporting",
        "period",
        Kind::Choice(PERIOD_KINDS),
        Value("\"month\""),
        "Kind of period meant where a command or a sheet does not say it. The current one is counted in rollups beside the month.",
        "Units that mainly report by week or quarter; best the same at every node.",
    ),
    key(
        "reporting",
        "regimes",
        Kind::Regimes,
        Value("[]"),
        "When reports are due here. [] is the built-in regime of reporting.period. Built in: weekly (Thursday 10:00), monthly, quarterly, half_yearly, nine_months, yearly (before the 11th, consolidated before the 15th), ward_monthly (before the 20th), yearly_december (before 10 December); days are in node.time_zone.",
        "The regimes of this place, such as [\"weekly\", \"ward_monthly for 26548\", \"police: month before 11 after, consolidated before 15 after\"].",
    ),
    key(
        "reporting",
        "remind_before_days",
        Kind::Days,
        Value("[3, 1, 0]"),
        "Days before the last day of a deadline on which those who still owe something are named in status; 0 is that day itself. [] for none.",
        "Units that need longer to collect their reports.",
    ),
    key(
        "reporting",
        "remind_after_days",
        Kind::Days,
        Value("[1]"),
        "Days after that last day on which those who did not report are named again.",
        "Offices that chase late units more often.",
    ),
    key(
        "brake",
        "at_least",
        Kind::Whole {
            min: 1,
            max: 1_000_000,
        },
        Value("20"),
        "Fewer records deleted or overwritten at once than this are never held.",
        "Raise it at a small office that often clears its lists.",
    ),
    key(
        "brake",
        "removed_percent",
        Kind::Whole { min: 0, max: 100 },
        Value("20"),
        "Greatest share of a neighbour's or one's own records that may be deleted or taken back at once, in percent. 100 holds none.",
        "Lower where plans hardly ever change.",
    ),
    key(
        "brake",
        "overwritten_percent",
        Kind::Whole { min: 0, max: 100 },
        Value("50"),
        "The same for values replaced by others, together with what is deleted. Reports of the present period are meant to change and are not counted.",
        "Raise it before a reform that changes most of the plan.",
    ),
    key(
        "brake",
        "window_s",
        Kind::Seconds {
            min: 0.0,
            max: DAY_S,
        },
        Value("3600"),
        "Exchanges and verbs within this time count as one.",
        "Longer against scripts that delete slowly.",
    ),
    key(
        "approval",
        "acts",
        Kind::Words(APPROVAL_ACTS),
        Value("[]"),
        "Acts that one user asks for and another one has to approve: revocation (node revoke, also --undo), release (hold release), authority (node rotate-authority), lowering (task lower), ceiling (classification prepare).",
        "An office that does not leave them to one person. Needs two users, one of them an approver or administrator.",
    ),
    key(
        "approval",
        "lasts_s",
        Kind::Seconds {
            min: 60.0,
            max: 90.0 * DAY_S,
        },
        Value("604800"),
        "How long such an act waits for the second person; then it has to be asked for anew.",
        "Shorter where the second person is always there.",
    ),
    key(
        "deposit",
        "interval_s",
        Kind::Seconds {
            min: 0.0,
            max: 365.0 * DAY_S,
        },
        Value("86400"),
        "How often this node deposits its sealed backup at its parent, once it has a recovery key. 0 turns it off.",
        "More often where much is written that never goes up, less often on a line paid by the byte.",
    ),
    key(
        "deposit",
        "quota_bytes",
        Kind::Size {
            min: 0,
            max: 1024 * GIB,
        },
        Value("\"2 GiB\""),
        "Most bytes of sealed backups that one downstream node may keep here. 0 takes none.",
        "It has to hold what changes between two deposits twice. Mind the disk: so much for every node below.",
    ),
    key(
        "log",
        "level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        Value("\"info\""),
        "Least important message written. NQSYNC_LOG gives a finer filter, such as nqsync=debug,hyper=warn.",
        "debug while looking for a fault.",
    ),
    key(
        "log",
        "format",
        Kind::Choice(&["text", "json"]),
        Value("\"text\""),
        "text for people, json for programs.",
        "Logs that are collected centrally.",
    ),
];

/// The key of that section and name.
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.section == section && k.name == name)
}

/// Whether there is such a section.
pub fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|(s, _)| *s == name)
}

/// The candidate nearest to what was written, if any is near enough to be meant.
pub fn nearest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::damerau_levenshtein(written, c), c))
        .filter(|(distance, c)| *distance <= (c.len() / 3).max(1))
        .min()
        .map(|(_, c)| c)
}
