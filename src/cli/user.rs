//! `user`: who may log in at the console.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::list::{col, listed};
use super::output::written;
use super::screen::{Screen, at};
use super::{Job, failure, job};
use crate::api::{Asker, Command, Exit, Failure, Lang, Role, Secret};
use crate::t;
use crate::trust::password::{self, Unfit};

/// Greatest password file that is read.
const MAX_FILE_BYTES: u64 = 4096;

/// Verbs of `user`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub enum Verb {
    /// List who may log in at the console, and as what
    #[command(after_help = "Example:\n  nqsync user list")]
    List,
    /// Let somebody log in at the console
    ///
    /// The password is asked for at the terminal, or read from a file. Only a hash of it is kept.
    #[command(
        after_help = "Examples:\n  nqsync user add an.nguyen --role officer\n  nqsync user add binh --role administrator --password-file binh.txt"
    )]
    Add {
        /// Login name: small letters, digits, `.`, `-` and `_`
        name: String,
        /// What the user may do
        #[arg(long)]
        role: RoleArg,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Change what a user may do
    #[command(after_help = "Example:\n  nqsync user role an.nguyen operator")]
    Role {
        /// Login name
        name: String,
        /// What the user may do from now on
        role: RoleArg,
    },
    /// Give a user another password; open sessions of theirs end
    #[command(after_help = "Example:\n  nqsync user password an.nguyen")]
    Password {
        /// Login name
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Take a user away; what they wrote stays under their name
    #[command(after_help = "Example:\n  nqsync user remove an.nguyen")]
    Remove {
        /// Login name
        name: String,
    },
}

/// Where a password comes from.
#[derive(clap::Args, Debug)]
#[allow(missing_docs, reason = "the arguments' own comments are their help")]
pub struct PasswordArgs {
    /// File whose first line is the password, or - for standard input [default: asked for at the terminal]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// A role as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleArg {
    /// Looks at everything and changes nothing
    Viewer,
    /// Tasks, reports, evidence and its verdicts, indicators, periods
    Officer,
    /// An officer who is also the second person where an act needs two
    Approver,
    /// Also conflicts, what was set aside or held, adapters, exchanges
    Operator,
    /// Also nodes, units, keys and users
    Administrator,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Role {
        match role {
            RoleArg::Viewer => Role::Viewer,
            RoleArg::Officer => Role::Officer,
            RoleArg::Approver => Role::Approver,
            RoleArg::Operator => Role::Operator,
            RoleArg::Administrator => Role::Administrator,
        }
    }
}

impl Verb {
    pub(super) fn job(self, lang: Lang) -> Result<Job, Failure> {
        Ok(match self {
            Verb::List => job(Command::UserList, list),
            Verb::Add {
                name,
                role,
                password,
            } => {
                let secret = password.secret(&name, lang)?;
                let role = role.into();
                job(Command::UserAdd { name, role, secret }, written)
            }
            Verb::Role { name, role } => {
                let role = role.into();
                job(Command::UserRole { name, role }, written)
            }
            Verb::Password { name, password } => {
                let secret = password.secret(&name, lang)?;
                job(Command::UserPassword { name, secret }, written)
            }
            Verb::Remove { name } => job(Command::UserRemove { name }, written),
        })
    }
}

impl PasswordArgs {
    /// The hash of the password that is given. It is made here, so that the password itself goes nowhere.
    fn secret(&self, name: &str, lang: Lang) -> Result<String, Failure> {
        let password = match &self.password_file {
            Some(path) => from_file(path, lang)?,
            None => asked(name, lang)?,
        };
        password::hash(name, &password).map_err(|unfit| unfit_failure(lang, &unfit))
    }
}

/// Who comes with `--login`. Whether the password is right is for the node to say.
pub(super) fn login(name: &str, file: Option<&Path>, lang: Lang) -> Result<Asker, Failure> {
    let password = match file {
        Some(path) => from_file(path, lang)?,
        None => asked_once(t!(lang, "cli-password", name = name), lang)?,
    };
    Ok(Asker::Password(Secret::new(password)))
}

fn from_file(path: &Path, lang: Lang) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| {
        let message = t!(
            lang,
            "err-file-unreadable",
            path = path.display(),
            detail = error
        );
        failure(Exit::Usage, "file_unreadable", message)
    };
    let mut text = String::new();
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(unreadable)?),
    };
    source
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Asks twice: nobody sees what was typed.
fn asked(name: &str, lang: Lang) -> Result<String, Failure> {
    let first = asked_once(t!(lang, "cli-password", name = name), lang)?;
    let second = asked_once(t!(lang, "cli-password-again"), lang)?;
    match first == second {
        true => Ok(first),
        false => Err(usage(t!(lang, "err-password-differs"))),
    }
}

fn asked_once(prompt: String, lang: Lang) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(usage(t!(lang, "err-password-no-terminal")));
    }
    rpassword::prompt_password(prompt)
        .map_err(|error| usage(t!(lang, "err-password-not-read", detail = error)))
}

fn usage(message: String) -> Failure {
    failure(Exit::Usage, "password", message)
}

fn unfit_failure(lang: Lang, unfit: &Unfit) -> Failure {
    let message = match unfit {
        Unfit::Length => t!(lang, "err-password-length", least = password::MIN_CHARS),
        Unfit::Guessable => t!(lang, "err-password-guessable"),
        Unfit::System(detail) => t!(lang, "err-password-not-read", detail = detail),
    };
    failure(Exit::Usage, "password", message)
}

pub(super) fn list(data: &Value, screen: &Screen) -> String {
    listed(
        data,
        screen,
        None,
        &[
            col("label-login", |u, s| s.plain(at(u, "name"))),
            col("label-role", |u, s| s.word("word-role-", at(u, "role"))),
            col("label-added", |u, s| s.time(at(u, "added_at"))),
            col("label-changed", |u, s| s.time(at(u, "changed_at"))),
        ],
    )
}
