//! Programs that may use the local API: `token new|list|revoke`.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::shared::time;
use super::users::is_name;
use super::{Reading, Said, Writing};
use crate::api::Role;
use crate::node::Refusal;
use crate::store::tokens::{self, TokenRow};

/// What every secret begins with, so that one which is left lying about is known for what it is.
pub const PREFIX: &str = "nqsync_";
/// A token lives at least a minute and at most a year: somebody must look at it again.
const LIFE_S: std::ops::RangeInclusive<u64> = 60..=366 * 24 * 3600;

/// What is kept of a secret. It has 256 random bits, so that a plain hash cannot be turned back.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// All tokens, those that ended among them.
pub fn list(on: &Reading<'_>) -> Result<Said, Refusal> {
    let rows = tokens::all(on.connection)?;
    let items = rows.iter().map(|row| item(row, on.now_ms)).collect();
    Ok(Said::done(super::views::listed(items)))
}

fn item(row: &TokenRow, now_ms: i64) -> Value {
    let state = match row.revoked_at {
        Some(_) => "revoked",
        None if row.is_good(now_ms) => "valid",
        None => "expired",
    };
    json!({
        "id": row.name,
        "name": row.name,
        "role": row.role,
        "state": state,
        "added_at": time(row.added_at),
        "expires_at": time(row.expires_at),
        "revoked_at": row.revoked_at.map(time),
    })
}

/// A token for a program. One that ended makes room for another of its name.
pub fn new(
    on: &mut Writing<'_, '_>,
    name: &str,
    role: Role,
    expires_s: u64,
) -> Result<Said, Refusal> {
    if !is_name(name) {
        return Err(Refusal::usage("user-name", [("name", name.to_owned())]));
    }
    if !LIFE_S.contains(&expires_s) {
        let most = (LIFE_S.end() / 86_400).to_string();
        return Err(Refusal::usage(
            "bad-token-life",
            [("seconds", expires_s.to_string()), ("most", most)],
        ));
    }
    let known = tokens::named(on.tx.connection(), name)?;
    if known.is_some_and(|known| known.is_good(on.now_ms)) {
        return Err(Refusal::usage("token-exists", [("name", name.to_owned())]));
    }
    let secret: [u8; 32] = rand::random();
    let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
    let row = TokenRow {
        name: name.to_owned(),
        hash: hash(&secret),
        role: role.as_str().to_owned(),
        added_at: on.now_ms,
        expires_at: on.now_ms.saturating_add(expires_s as i64 * 1000),
        revoked_at: None,
    };
    tokens::put(on.tx.connection(), &row)?;
    let mut data = item(&row, on.now_ms);
    data["token"] = json!(secret);
    Ok(Said::done(data).note("note-api-token", []))
}

/// Takes a token back: the next request with it is refused, and what it listens to ends.
pub fn revoke(on: &mut Writing<'_, '_>, name: &str) -> Result<Said, Refusal> {
    let unknown = || Refusal::usage("token-unknown", [("name", name.to_owned())]);
    let mut row = tokens::named(on.tx.connection(), name)?.ok_or_else(unknown)?;
    row.revoked_at = row.revoked_at.or(Some(on.now_ms));
    tokens::put(on.tx.connection(), &row)?;
    Ok(Said::done(item(&row, on.now_ms)))
}
