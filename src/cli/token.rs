//! `token`: programs that may use the local API.

use clap::Subcommand;
use serde_json::Value;

use super::list::{col, listed};
use super::node::seconds;
use super::output::written;
use super::screen::{Screen, at};
use super::user::RoleArg;
use super::{Job, job};
use crate::api::Command;

/// Verbs of `token`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List the programs that may use the local API, and those that might
    #[command(after_help = "Example:\n  nqsync token list")]
    List,
    /// Let a program use the local API
    ///
    /// Its secret is shown once. Only a hash of it is kept.
    #[command(
        after_help = "Examples:\n  nqsync token new bao-cao --role viewer\n  nqsync token new van-ban --role officer --expires 30d --json | jq -r .token > secret"
    )]
    New {
        /// What it is called in the audit and in what it writes: small letters, digits, `.`, `-` and `_`
        name: String,
        /// What the program may do, as for a user
        #[arg(long)]
        role: RoleArg,
        /// How long it may do so, such as 12h or 90d; at most 366d
        #[arg(long, default_value = "90d", value_parser = seconds)]
        expires: u64,
    },
    /// Take a token back at once
    #[command(after_help = "Example:\n  nqsync token revoke bao-cao")]
    Revoke {
        /// What the program is called
        name: String,
    },
}

impl Verb {
    pub(super) fn job(self) -> Job {
        match self {
            Verb::List => job(Command::TokenList, list),
            Verb::New {
                name,
                role,
                expires,
            } => {
                let command = Command::TokenNew {
                    name,
                    role: role.into(),
                    expires_s: expires,
                };
                job(command, made)
            }
            Verb::Revoke { name } => job(Command::TokenRevoke { name }, written),
        }
    }
}

/// The secret on a line of its own, to be copied.
fn made(data: &Value, screen: &Screen) -> String {
    let secret = screen.plain(at(data, "token"));
    format!("{}{secret}\n", written(data, screen))
}

fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            col("label-name", |t, s| s.plain(at(t, "name"))),
            col("label-role", |t, s| s.word("word-role-", at(t, "role"))),
            col("label-state", |t, s| s.word("word-token-", at(t, "state"))),
            col("label-added", |t, s| s.time(at(t, "added_at"))),
            col("label-expires", |t, s| s.time(at(t, "expires_at"))),
        ],
    )
}
