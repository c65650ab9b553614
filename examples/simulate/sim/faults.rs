//! The faults that can be asked for.

use std::str::FromStr;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Requests and answers vanish; an answer does so after the request was worked on.
    Loss,
    /// A request arrives twice.
    Dup,
    /// A copy of a request arrives once more, days later.
    Delay,
    /// No line for days, or one that carries in one direction only.
    Partition,
    /// A node is killed, idle or in the middle of a session, and starts again from its disk.
    Crash,
    /// A node goes back to an old copy of its disk.
    Restore,
    /// A clock is ten years ahead, at 1970, or steps back.
    Clock,
    /// A node is off for a long time.
    Away,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 8] = [
        Fault::Loss,
        Fault::Dup,
        Fault::Delay,
        Fault::Partition,
        Fault::Crash,
        Fault::Restore,
        Fault::Clock,
        Fault::Away,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Loss => "loss",
            Fault::Dup => "dup",
            Fault::Delay => "delay",
            Fault::Partition => "partition",
            Fault::Crash => "crash",
            Fault::Restore => "restore",
            Fault::Clock => "clock",
            Fault::Away => "away",
        }
    }

    /// Reads a list such as `loss,dup`; `all` and `none` are words for the longest and the shortest.
    pub fn list(text: &str) -> Result<Vec<Fault>, String> {
        match text {
            "all" => Ok(Fault::ALL.to_vec()),
            "none" => Ok(Vec::new()),
            _ => text.split(',').map(str::parse).collect(),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let known = Fault::ALL
            .into_iter()
            .find(|fault| fault.name() == text.trim());
        known.ok_or_else(|| {
            let names = Fault::ALL.map(Fault::name).join(", ");
            format!("unknown fault {text:?}; there are {names}, and the words all and none")
        })
    }
}
