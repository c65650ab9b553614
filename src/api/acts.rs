//! The acts that may need two persons: the one table of them and of the verbs that carry them out.

use serde::{Deserialize, Serialize};

use super::Command;

/// An act of one person that another one may have to approve, where `[approval]` of the configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A downstream node is cut off, or let in again.
    Revocation,
    /// A mass change that the brake held is let through.
    Release,
    /// The node certifies its children with another key.
    Authority,
    /// The level of secrecy of a task is lowered.
    Lowering,
    /// This computer gets a store of a level that `node.ceiling` was raised to.
    Ceiling,
}

impl Act {
    /// Every act.
    pub const ALL: [Act; 5] = [
        Act::Revocation,
        Act::Release,
        Act::Authority,
        Act::Lowering,
        Act::Ceiling,
    ];

    /// Its name in the configuration and in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Act::Revocation => "revocation",
            Act::Release => "release",
            Act::Authority => "authority",
            Act::Lowering => "lowering",
            Act::Ceiling => "ceiling",
        }
    }

    /// The act of this name.
    pub fn named(name: &str) -> Option<Act> {
        Act::ALL.into_iter().find(|act| act.as_str() == name)
    }

    /// The act that a verb carries out; `None`: one person is enough for it everywhere.
    pub fn of(command: &Command) -> Option<Act> {
        match command {
            Command::NodeRevoke { .. } => Some(Act::Revocation),
            Command::HoldRelease { .. } => Some(Act::Release),
            Command::NodeRotateAuthority { .. } => Some(Act::Authority),
            Command::TaskLower { .. } => Some(Act::Lowering),
            Command::LevelAllow { .. } => Some(Act::Ceiling),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_found_by_its_name_and_by_its_verb_alone() {
        for act in Act::ALL {
            assert_eq!(Act::named(act.as_str()), Some(act));
        }
        assert_eq!(Act::named("revoke"), None);
        let (node, reason) = ("24001".to_owned(), "x".to_owned());
        let hold = Command::HoldRefuse {
            hold: 1,
            reason: reason.clone(),
        };
        assert_eq!(Act::of(&hold), None);
        let release = Command::HoldRelease {
            hold: 1,
            reason: None,
        };
        assert_eq!(Act::of(&release), Some(Act::Release));
        let lower = Command::TaskLower {
            task: "III/12".to_owned(),
            to: "none".to_owned(),
            reason: reason.clone(),
        };
        assert_eq!(Act::of(&lower), Some(Act::Lowering));
        let level = "confidential".to_owned();
        let looked = Command::LevelAllowed {
            level: level.clone(),
        };
        assert_eq!(Act::of(&looked), None);
        let allow = Command::LevelAllow {
            level,
            reason: reason.clone(),
        };
        assert_eq!(Act::of(&allow), Some(Act::Ceiling));
        for undo in [false, true] {
            let revoke = Command::NodeRevoke {
                node: node.clone(),
                reason: reason.clone(),
                undo,
            };
            assert_eq!(Act::of(&revoke), Some(Act::Revocation));
        }
        let rotate = Command::NodeRotateAuthority {
            reason: reason.clone(),
        };
        assert_eq!(Act::of(&rotate), Some(Act::Authority));
        let renew = Command::NodeRenew { node, reason };
        assert_eq!(Act::of(&renew), None);
    }
}
