//! What a simulator can be told to do wrong.

use serde::{Deserialize, Serialize};

/// A fault. It stays until another one is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Everything works.
    #[default]
    None,
    /// Lists are empty.
    Empty,
    /// Lists lack their second half.
    Shrunken,
    /// The second page is left out.
    PageMissing,
    /// Every page is the first one.
    PageTwice,
    /// Records come in another order on every page.
    Reordered,
    /// Two records have one id.
    IdTwice,
    /// The second page answers 500.
    ErrorInTheMiddle,
    /// Every other request is told to come back later.
    RateLimit,
    /// Answers 200 with an error inside.
    ErrorInside,
    /// Answers a web page.
    Html,
    /// Answers without end.
    Endless,
    /// Sends one byte and then nothing.
    Silent,
    /// Redirects to another host.
    Redirect,
    /// Echoes the login in its errors.
    EchoSecret,
    /// Tokens run out after a few requests.
    TokenExpires,
    /// Fields have other names.
    SchemaChanged,
    /// Writes are carried out, and the connection is cut before the answer.
    CutAfterWrite,
    /// Does not answer at all.
    Down,
}
