//! People who may log in at the console: `user list|add|role|password|remove`.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::shared::time;
use super::{Said, Writing};
use crate::api::Role;
use crate::node::Refusal;
use crate::store::users::{self, UserRow};
use crate::trust::password;

/// Longest login name.
const NAME_BYTES: usize = 64;

/// All users. Their hashes are nobody's business.
pub fn list(connection: &Connection) -> Result<Said, Refusal> {
    let items = users::all(connection)?.iter().map(item).collect();
    Ok(Said::done(super::views::listed(items)))
}

fn item(user: &UserRow) -> Value {
    json!({
        "id": user.name,
        "name": user.name,
        "role": user.role,
        "added_at": time(user.added_at),
        "changed_at": time(user.changed_at),
    })
}

/// A new user.
pub fn add(
    on: &mut Writing<'_, '_>,
    name: &str,
    role: Role,
    secret: &str,
) -> Result<Said, Refusal> {
    if !is_name(name) {
        return Err(Refusal::usage("user-name", [("name", name.to_owned())]));
    }
    if users::one(on.tx.connection(), name)?.is_some() {
        return Err(Refusal::usage("user-exists", [("name", name.to_owned())]));
    }
    let user = UserRow {
        name: name.to_owned(),
        role: role.as_str().to_owned(),
        secret: usable(secret)?,
        added_at: on.now_ms,
        changed_at: on.now_ms,
        hands: hands(on, name)?,
    };
    keep(on, user)
}

/// Another role.
pub fn set_role(on: &mut Writing<'_, '_>, name: &str, role: Role) -> Result<Said, Refusal> {
    let mut user = get(on, name)?;
    if role != Role::Administrator {
        needs_another_administrator(on, name)?;
    }
    user.role = role.as_str().to_owned();
    // Whoever set the password may still know it.
    let more = hands(on, name)?;
    more.into_iter().for_each(|one| note(&mut user.hands, one));
    keep(on, user)
}

/// Another password.
pub fn set_secret(on: &mut Writing<'_, '_>, name: &str, secret: &str) -> Result<Said, Refusal> {
    let mut user = get(on, name)?;
    user.secret = usable(secret)?;
    // One's own new password takes nobody's hand away: who knew the one before could have set it.
    if on.request.person != name {
        user.hands = hands(on, name)?;
    }
    keep(on, user)
}

/// Who has a user in hand that is added or changed now: the person who does it, proved or only said, and who has that person.
fn hands(on: &Writing<'_, '_>, name: &str) -> Result<Vec<String>, Refusal> {
    let person = &on.request.person;
    let mut all = Vec::new();
    note(&mut all, person.clone());
    let others = users::one(on.tx.connection(), person)?.map(|user| user.hands);
    let others = others.into_iter().flatten();
    others.for_each(|one| note(&mut all, one));
    all.retain(|one| one != name);
    Ok(all)
}

fn note(all: &mut Vec<String>, one: String) {
    if !all.contains(&one) {
        all.push(one);
    }
}

/// Takes a user away.
pub fn remove(on: &mut Writing<'_, '_>, name: &str) -> Result<Said, Refusal> {
    let user = get(on, name)?;
    needs_another_administrator(on, name)?;
    users::remove(on.tx.connection(), name)?;
    Ok(Said::done(item(&user)).note("note-user-removed", [("name", user.name)]))
}

fn keep(on: &mut Writing<'_, '_>, mut user: UserRow) -> Result<Said, Refusal> {
    user.changed_at = on.now_ms;
    users::put(on.tx.connection(), &user)?;
    Ok(Said::done(item(&user)))
}

fn get(on: &Writing<'_, '_>, name: &str) -> Result<UserRow, Refusal> {
    users::one(on.tx.connection(), name)?
        .ok_or_else(|| Refusal::usage("user-unknown", [("name", name.to_owned())]))
}

/// While there are users, one of them must be able to let the others in again. The last of all may go.
fn needs_another_administrator(on: &Writing<'_, '_>, name: &str) -> Result<(), Refusal> {
    let others: Vec<UserRow> = users::all(on.tx.connection())?
        .into_iter()
        .filter(|user| user.name != name)
        .collect();
    let ruled = others
        .iter()
        .any(|user| Role::named(&user.role) == Some(Role::Administrator));
    match ruled || others.is_empty() {
        true => Ok(()),
        false => Err(Refusal::usage(
            "user-last-administrator",
            [("name", name.to_owned())],
        )),
    }
}

/// Lower-case letters and digits, then also `.`, `-` and `_`: nothing that looks like another name, or like an adapter's.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= NAME_BYTES
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || ".-_".contains(c))
}

fn usable(secret: &str) -> Result<String, Refusal> {
    match password::is_hash(secret) {
        true => Ok(secret.to_owned()),
        false => Err(Refusal::usage("user-secret", [])),
    }
}
