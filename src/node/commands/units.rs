//! Org units: the tree grows only under units that this node serves.

use nqsync_core::calendar::fold;
use nqsync_core::model::values::{Assigned, OrgLevel, ParentSince};
use nqsync_core::model::{Facts, Kind, Tree, UnitId, folded};
use serde_json::{Value, json};

use super::tasks::meant;
use super::views::{listed, maybe, typed, unit_item};
use super::{Reading, Said, Values, Writing, resolve};
use crate::api::Command;
use crate::node::Refusal;
use crate::node::write::Acting;
use crate::store::{StoreError, Stored, records};

/// Longest code, in characters.
const MAX_CODE: usize = 64;

/// `unit list`.
pub fn list(on: &Reading<'_>, under: Option<&str>) -> Result<Said, Refusal> {
    let mut units: Vec<UnitId> = match under {
        Some(text) => on.tree.subtree(resolve(&on.tree, text, on.home)?),
        None => on.tree.iter().map(|info| info.id).collect(),
    };
    units.sort_by_cached_key(|unit| on.tree.path(*unit));
    let view = on.view();
    Ok(Said::done(listed(
        units
            .into_iter()
            .map(|unit| unit_item(&view, unit))
            .collect(),
    )))
}

/// `unit show`.
pub fn show(on: &Reading<'_>, unit: &str) -> Result<Said, Refusal> {
    let unit = resolve(&on.tree, unit, on.home)?;
    let mut item = unit_item(&on.view(), unit);
    if let Some(stored) = records::load(on.connection, unit.0)? {
        item["token"] = json!(stored.record.token().to_string());
    }
    let children: Vec<String> = on
        .tree
        .children(unit)
        .iter()
        .map(|c| on.tree.code(*c))
        .collect();
    item["children"] = json!(children);
    Ok(Said::done(item))
}

/// A unit as it is to be born.
#[derive(Clone, Debug)]
pub struct NewUnit {
    /// Short code.
    pub code: String,
    /// Name in full.
    pub name: String,
    /// Its level.
    pub level: OrgLevel,
    /// Other names.
    pub aliases: Vec<String>,
}

impl NewUnit {
    /// The registers of its record.
    pub fn values(&self, parent: UnitId) -> Values {
        let since = [ParentSince {
            from: None,
            unit: Some(parent),
        }];
        let aliases = if self.aliases.is_empty() {
            Value::Null
        } else {
            json!(self.aliases)
        };
        Values::from([
            ("code".to_owned(), json!(self.code)),
            ("name".to_owned(), json!(self.name)),
            ("level".to_owned(), json!(self.level)),
            ("parent".to_owned(), json!(since)),
            ("aliases".to_owned(), aliases),
        ])
    }
}

/// `unit add`.
pub fn add(on: &mut Writing<'_, '_>) -> Result<Said, Refusal> {
    let Command::UnitAdd {
        code,
        name,
        level,
        parent,
        aliases,
    } = &on.request.command
    else {
        return Err(super::unknown_verb(on.request));
    };
    let (tree, home) = (on.tx.tree(), on.tx.unit()?);
    let parent = match parent {
        Some(text) => resolve(&tree, text, home)?,
        None => home,
    };
    if !on.tx.serves(parent) {
        return Err(Refusal::usage(
            "unit-elsewhere",
            [("unit", tree.code(parent))],
        ));
    }
    let above = tree
        .get(parent)
        .map_or(OrgLevel::Ministry, |info| info.level);
    let level = match level.as_deref() {
        Some(text) => parse_level(text)
            .ok_or_else(|| Refusal::usage("bad-level", [("level", text.to_owned())]))?,
        None => below(above),
    };
    let unit = NewUnit {
        code: checked_code(code)?,
        name: checked_name(name)?,
        level,
        aliases: aliases
            .iter()
            .map(|a| squeeze(a))
            .filter(|a| !a.is_empty())
            .collect(),
    };
    check_level(level, above)?;
    check_free(&tree, &unit.code, level, parent, None)?;
    for alias in &unit.aliases {
        check_alias(&tree, alias, None)?;
    }
    let acting = on.acting(Some(parent))?;
    let saved = on.begin(&acting, Facts::Unit { owner: parent }, unit.values(parent))?;
    on.tx.settle_tree()?;
    let linked = link(on)?;
    answer(on, &saved.stored, linked)
}

/// `unit rename`.
pub fn rename(
    on: &mut Writing<'_, '_>,
    unit: &str,
    code: Option<&str>,
    name: Option<&str>,
) -> Result<Said, Refusal> {
    let (stored, id) = load(on, unit)?;
    let tree = on.tx.tree();
    let mut values = Values::new();
    if let Some(code) = code {
        let code = checked_code(code)?;
        if let Some(info) = tree.get(id) {
            check_free(
                &tree,
                &code,
                info.level,
                info.parent.unwrap_or(id),
                Some(id),
            )?;
        }
        values.insert("code".to_owned(), json!(code));
    }
    if let Some(name) = name {
        values.insert("name".to_owned(), json!(checked_name(name)?));
    }
    if values.is_empty() {
        return Err(Refusal::usage("nothing-given", []));
    }
    let saved = save(on, stored, values)?;
    on.tx.settle_tree()?;
    let linked = link(on)?;
    answer(on, &saved, linked)
}

/// `unit alias`.
pub fn alias(on: &mut Writing<'_, '_>, unit: &str, alias: &str) -> Result<Said, Refusal> {
    let (stored, id) = load(on, unit)?;
    let alias = squeeze(alias);
    if alias.is_empty() {
        return Err(Refusal::usage("empty-name", []));
    }
    check_alias(&on.tx.tree(), &alias, Some(id))?;
    let mut aliases: Vec<String> = typed(&stored.record, "aliases");
    if !aliases.iter().any(|known| folded(known) == folded(&alias)) {
        aliases.push(alias);
    }
    let saved = save(
        on,
        stored,
        Values::from([("aliases".to_owned(), json!(aliases))]),
    )?;
    on.tx.settle_tree()?;
    let linked = link(on)?;
    answer(on, &saved, linked)
}

pub(super) fn load(on: &Writing<'_, '_>, unit: &str) -> Result<(Stored, UnitId), Refusal> {
    let id = resolve(&on.tx.tree(), unit, on.tx.unit()?)?;
    let stored = on.tx.load(id.0)?;
    let stored = stored.ok_or_else(|| StoreError::Damaged(format!("unit {id} has no record")))?;
    Ok((stored, id))
}

pub(super) fn save(
    on: &mut Writing<'_, '_>,
    stored: Stored,
    values: Values,
) -> Result<Stored, Refusal> {
    let writer = on.tx.tree().writer(&stored.record);
    let acting = match writer {
        Some(owner) => on.acting_as(owner)?,
        None => on.acting(None)?,
    };
    Ok(on.change(&acting, stored, values, None)?.stored)
}

pub(super) fn answer(
    on: &Writing<'_, '_>,
    stored: &Stored,
    linked: usize,
) -> Result<Said, Refusal> {
    let tree = on.tx.tree();
    let mut item = unit_item(&on.view(&tree)?, UnitId(stored.record.key().id));
    item["token"] = json!(stored.record.token().to_string());
    item["linked_tasks"] = json!(linked);
    let said = Said::done(item);
    Ok(match linked {
        0 => said,
        _ => said.note("note-tasks-linked", [("count", linked.to_string())]),
    })
}

/// Links the tasks issued here whose lead or coordinating names were unknown and now name a unit. Answers how many.
pub fn link(on: &mut Writing<'_, '_>) -> Result<usize, Refusal> {
    let tree = on.tx.tree();
    let mut linked = 0;
    for stored in records::of_kind(on.tx.connection(), Kind::Task)? {
        let Some(issuer) = stored
            .record
            .facts()
            .owner()
            .filter(|issuer| on.tx.serves(*issuer))
        else {
            continue;
        };
        let mut values = Values::new();
        let conflicts = stored.record.conflicts();
        for register in ["lead", "coordinating"] {
            // Which of two values holds is a person's decision; it is not made in passing.
            let assigned: Option<Assigned> =
                maybe(&stored.record, register).filter(|_| !conflicts.contains(&register));
            if let Some(value) = assigned.and_then(|a| relinked(&tree, issuer, a)) {
                values.insert(register.to_owned(), json!(value));
            }
        }
        if !values.is_empty() {
            let acting = Acting {
                unit: issuer,
                person: on.request.person.clone(),
                now_ms: on.now_ms,
            };
            on.change(&acting, stored, values, None)?;
            linked += 1;
        }
    }
    Ok(linked)
}

/// The assignment with the names that now mean a unit understood; `None` when none does.
fn relinked(tree: &Tree, near: UnitId, mut assigned: Assigned) -> Option<Assigned> {
    let before = assigned.unresolved.len();
    let names = std::mem::take(&mut assigned.unresolved);
    for name in names {
        match meant(tree, near, &name, &[]) {
            Some(unit) if !assigned.units.contains(&unit) => assigned.units.push(unit),
            Some(_) => {}
            None => assigned.unresolved.push(name),
        }
    }
    (assigned.unresolved.len() < before).then_some(assigned)
}

/// A unit's level in the program's words or in Vietnamese.
pub fn parse_level(text: &str) -> Option<OrgLevel> {
    const WORDS: [(&str, OrgLevel); 19] = [
        ("ministry", OrgLevel::Ministry),
        ("province", OrgLevel::Province),
        ("commune", OrgLevel::Commune),
        ("ward", OrgLevel::Commune),
        ("special zone", OrgLevel::Commune),
        ("department", OrgLevel::Department),
        ("dac khu", OrgLevel::Commune),
        ("trung uong", OrgLevel::Ministry),
        ("thanh pho", OrgLevel::Province),
        ("tinh", OrgLevel::Province),
        ("phuong", OrgLevel::Commune),
        ("xa", OrgLevel::Commune),
        ("bo", OrgLevel::Ministry),
        ("phong", OrgLevel::Department),
        ("so", OrgLevel::Department),
        ("ban", OrgLevel::Department),
        ("cuc", OrgLevel::Department),
        ("vu", OrgLevel::Department),
        ("trung tam", OrgLevel::Department),
    ];
    let folded = fold(text);
    let bare = folded.strip_prefix("cap ").unwrap_or(&folded);
    let begins = |word: &str| {
        bare.strip_prefix(word)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    WORDS
        .iter()
        .find(|(word, _)| begins(word))
        .map(|(_, level)| *level)
}

/// The level that usually stands below another.
pub fn below(level: OrgLevel) -> OrgLevel {
    match level {
        OrgLevel::Ministry => OrgLevel::Province,
        OrgLevel::Province => OrgLevel::Commune,
        OrgLevel::Commune | OrgLevel::Department => OrgLevel::Department,
    }
}

/// A code is one word without `/`, which joins codes to paths.
pub fn checked_code(code: &str) -> Result<String, Refusal> {
    let code = squeeze(code);
    let bad = code.is_empty() || code.chars().count() > MAX_CODE || code.contains(['/', ' ']);
    if bad || code.chars().any(char::is_control) {
        return Err(Refusal::usage("bad-code", [("code", code)]));
    }
    Ok(code)
}

fn checked_name(name: &str) -> Result<String, Refusal> {
    let name = squeeze(name);
    if name.is_empty() {
        return Err(Refusal::usage("empty-name", []));
    }
    Ok(name)
}

/// No unit stands above the level of the one it belongs to.
pub fn check_level(level: OrgLevel, above: OrgLevel) -> Result<(), Refusal> {
    if level >= above {
        return Ok(());
    }
    let word = |level: OrgLevel| json!(level).as_str().unwrap_or_default().to_owned();
    Err(Refusal::usage(
        "level-order",
        [("level", word(level)), ("parent", word(above))],
    ))
}

/// Codes are unique; only departments of different units may share one (every commune has its own office).
pub fn check_free(
    tree: &Tree,
    code: &str,
    level: OrgLevel,
    parent: UnitId,
    own: Option<UnitId>,
) -> Result<(), Refusal> {
    let mut others = tree.with_code(code).filter(|info| Some(info.id) != own);
    let taken = others.find(|info| {
        let both = level == OrgLevel::Department && info.level == OrgLevel::Department;
        !both || info.parent == Some(parent)
    });
    match taken {
        None => Ok(()),
        Some(info) => {
            let args = [
                ("code", code.to_owned()),
                ("unit", info.name.clone()),
                ("path", tree.path(info.id)),
            ];
            Err(Refusal::usage("duplicate-code", args))
        }
    }
}

/// A name that already means another unit would make every later mention ambiguous.
fn check_alias(tree: &Tree, alias: &str, own: Option<UnitId>) -> Result<(), Refusal> {
    use nqsync_core::model::TreeError;
    let other = match tree.resolve(alias, own) {
        Ok(info) if Some(info.id) == own => None,
        Ok(info) => Some(tree.path(info.id)),
        Err(TreeError::Ambiguous { paths, .. }) => Some(paths.join(", ")),
        Err(TreeError::Unknown(_)) => None,
    };
    match other {
        None => Ok(()),
        Some(unit) => Err(Refusal::usage(
            "alias-taken",
            [("alias", alias.to_owned()), ("unit", unit)],
        )),
    }
}

fn squeeze(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfc()
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
