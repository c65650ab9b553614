//! The org units as a tree, and which node serves which unit.
//!
//! A unit without its own `served_by` is served where the unit above it is served: departments need no server.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::civil::Date;

use super::facts::Facts;
use super::ids::{NodeId, UnitId};
use super::loops;
use super::values::{OrgLevel, ParentSince, Succession};
use crate::sync::Record;

/// Longest chain of units above one another that is followed.
const MAX_DEPTH: usize = 16;

/// One org unit on one day.
#[derive(Clone, Debug)]
pub struct UnitInfo {
    /// The unit.
    pub id: UnitId,
    /// Who writes its record.
    pub owner: UnitId,
    /// Short code as text: `00123` is not 123.
    pub code: String,
    /// Name in full.
    pub name: String,
    /// Ministry, province, commune or department.
    pub level: OrgLevel,
    /// The unit above; `None` for the root.
    pub parent: Option<UnitId>,
    /// The node that serves it, when it is not simply the one that serves the unit above.
    pub served_by: Option<NodeId>,
    /// Other names under which plans mention it.
    pub aliases: Vec<String>,
    /// Nodes that served it before.
    pub served_before: Vec<NodeId>,
    /// What became of it, when it was merged or split; also when that day is still to come.
    pub succession: Option<Succession>,
    /// Who continues, once it is gone: the one heir of its records.
    pub heir: Option<UnitId>,
    /// Every unit that it is or was said to stand below.
    pub places: Vec<UnitId>,
    /// The first day of its place; `None` when it was always there.
    pub placed: Option<Date>,
    /// The unit above or the heir that its record names, and that is not in force because it would then stand below itself.
    pub undone: Option<UnitId>,
}

/// All units known to a node.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    units: BTreeMap<UnitId, UnitInfo>,
    children: HashMap<UnitId, Vec<UnitId>>,
    by_code: HashMap<String, Vec<UnitId>>,
    by_name: HashMap<String, Vec<UnitId>>,
    /// What each node served before, itself.
    formerly: HashMap<NodeId, Vec<UnitId>>,
}

/// A unit that cannot be told from what was typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// No unit has this code, name or alias.
    #[error("no unit is called {0:?}")]
    Unknown(String),
    /// Several units have it; write the path instead.
    #[error("{text:?} can mean {}; write one of these", paths.join(", "))]
    Ambiguous {
        /// What was typed.
        text: String,
        /// The codes with those above them.
        paths: Vec<String>,
    },
}

impl UnitInfo {
    /// Reads a unit's record as it is on a day; `None` when it has no code (deleted).
    pub fn read(record: &Record, on: Date) -> Option<UnitInfo> {
        let text = |name: &str| {
            record
                .shown(name)
                .and_then(|v| v.as_str().map(str::to_owned))
        };
        let parents: Vec<ParentSince> = record
            .shown("parent")
            .and_then(|v| serde_json::from_value(v).ok())
            .unwrap_or_default();
        let parent = parents
            .iter()
            .rfind(|p| p.from.is_none_or(|from| from <= on));
        let id = UnitId(record.key().id);
        let succession: Option<Succession> = record
            .shown("succession")
            .and_then(|v| serde_json::from_value(v).ok());
        let heir = succession.as_ref().and_then(|s| s.heir_on(id, on));
        Some(UnitInfo {
            id,
            owner: record.facts().owner()?,
            code: text("code")?,
            name: text("name").unwrap_or_default(),
            level: record
                .shown("level")
                .and_then(|v| serde_json::from_value(v).ok())
                .unwrap_or(OrgLevel::Department),
            parent: parent.and_then(|p| p.unit),
            served_by: text("served_by").and_then(|id| id.parse().ok()),
            aliases: record
                .shown("aliases")
                .and_then(|v| serde_json::from_value(v).ok())
                .unwrap_or_default(),
            served_before: record
                .shown("served_before")
                .and_then(|v| serde_json::from_value(v).ok())
                .unwrap_or_default(),
            succession,
            heir,
            placed: parent.and_then(|place| place.from),
            places: parents.iter().filter_map(|place| place.unit).collect(),
            undone: None,
        })
    }
}

/// How codes, names and aliases are compared: case, spaces and the way accents are encoded do not matter.
pub fn folded(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    let lower: String = text.nfc().flat_map(char::to_lowercase).collect();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Tree {
    /// Whether every unit is below the same one, and continued by the same heir, as in `other`.
    pub fn stands_like(&self, other: &Tree) -> bool {
        let place = |unit: &UnitInfo| (unit.id, unit.parent, unit.heir);
        let others = other.units.values().map(place);
        self.units.values().map(place).eq(others)
    }

    /// A tree of these units. What would put a unit below itself is undone.
    pub fn new(units: impl IntoIterator<Item = UnitInfo>) -> Tree {
        let mut tree = Tree::default();
        let mut units = units.into_iter().map(|unit| (unit.id, unit)).collect();
        loops::undo(&mut units);
        for mut unit in units.into_values() {
            if let Some(heir) = unit.heir {
                // What is gone stands below whoever continues it: who serves it, who is above it and what belongs to a
                // branch follow from there.
                unit.parent = Some(heir);
                unit.served_before.extend(unit.served_by.take());
            }
            for node in &unit.served_before {
                tree.formerly.entry(*node).or_default().push(unit.id);
            }
            if let Some(parent) = unit.parent {
                tree.children.entry(parent).or_default().push(unit.id);
            }
            tree.by_code
                .entry(folded(&unit.code))
                .or_default()
                .push(unit.id);
            for name in std::iter::once(&unit.name)
                .chain(&unit.aliases)
                .filter(|name| !name.is_empty())
            {
                tree.by_name.entry(folded(name)).or_default().push(unit.id);
            }
            tree.units.insert(unit.id, unit);
        }
        tree
    }

    /// One unit.
    pub fn get(&self, unit: UnitId) -> Option<&UnitInfo> {
        self.units.get(&unit)
    }

    /// All units, by id.
    pub fn iter(&self) -> impl Iterator<Item = &UnitInfo> {
        self.units.values()
    }

    /// Number of units.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether no unit is known yet.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The code to show for a unit; its id when the unit is unknown here.
    pub fn code(&self, unit: UnitId) -> String {
        self.get(unit)
            .map_or_else(|| unit.to_string(), |info| info.code.clone())
    }

    /// The units that have a code: departments of different units may share one.
    pub fn with_code(&self, code: &str) -> impl Iterator<Item = &UnitInfo> {
        let found = self.by_code.get(&folded(code)).into_iter().flatten();
        found.filter_map(|unit| self.get(*unit))
    }

    /// The unit without one above it. It owns its own record, which nobody below can claim: a stray unit without a
    /// place, made or left over below, never passes for the root.
    pub fn root(&self) -> Option<UnitId> {
        self.units
            .values()
            .find(|unit| unit.parent.is_none() && unit.owner == unit.id)
            .map(|unit| unit.id)
    }

    /// The unit itself and those above it, nearest first.
    pub fn line(&self, unit: UnitId) -> impl Iterator<Item = &UnitInfo> {
        std::iter::successors(self.get(unit), |info| self.get(info.parent?)).take(MAX_DEPTH)
    }

    /// Whether `unit` is `above` or stands below it.
    pub fn is_within(&self, unit: UnitId, above: UnitId) -> bool {
        self.line(unit).any(|info| info.id == above)
    }

    /// Whether a unit stands above another, or ever did: above itself, or above one that it continues. Who decided while it
    /// stood there has decided.
    pub fn ever_above(&self, above: UnitId, unit: UnitId) -> bool {
        let knew = |info: &UnitInfo| info.owner == above || info.places.contains(&above);
        let heirs = std::iter::successors(self.get(unit), |info| self.get(info.heir?));
        self.line(unit).skip(1).any(|info| info.id == above) || heirs.take(MAX_DEPTH).any(knew)
    }

    /// In whose name a unit gives work: an office speaks for the unit that it belongs to, all others for themselves. Whoever
    /// stands above an office has written down that it is one.
    pub fn body_of(&self, unit: UnitId) -> UnitId {
        let mut line = self.line(unit);
        let body = line.find(|info| info.level != OrgLevel::Department);
        body.map_or(unit, |info| info.id)
    }

    /// Whether work passes from a unit, or from who continues it, down to another: today, before the other one moved, or when what
    /// is planned for that one comes.
    pub fn ever_directs(&self, unit: UnitId, other: UnitId) -> bool {
        let body = self.body_of(unit);
        let bodies = [body, self.present(body)];
        let (mut seen, mut next) = (HashSet::new(), vec![other]);
        while let Some(current) = next.pop() {
            if bodies.contains(&current) {
                return true;
            }
            let Some(info) = self.get(current).filter(|info| seen.insert(info.id)) else {
                continue;
            };
            let planned = info
                .succession
                .iter()
                .flat_map(|planned| &planned.successors);
            next.extend(info.parent.iter().chain(&info.places).chain(planned));
            next.push(info.owner);
        }
        false
    }

    /// The units that one stands for or continues, at any time: itself and those of which it is a successor.
    pub fn predecessors(&self, unit: UnitId) -> Vec<UnitId> {
        let ended = self.units.values().filter(|info| info.succession.is_some());
        let mut found: Vec<UnitId> = ended
            .filter(|info| {
                self.successors(info.id)
                    .iter()
                    .any(|(heir, _)| *heir == unit)
            })
            .map(|info| info.id)
            .collect();
        found.push(unit);
        found
    }

    /// The unit and everything below it, the unit first.
    pub fn subtree(&self, unit: UnitId) -> Vec<UnitId> {
        let mut found = vec![unit];
        let mut seen = HashSet::from([unit]);
        let mut next = 0;
        while let Some(current) = found.get(next).copied() {
            next += 1;
            for child in self.children.get(&current).into_iter().flatten() {
                if seen.insert(*child) {
                    found.push(*child);
                }
            }
        }
        found
    }

    /// The units directly below.
    pub fn children(&self, unit: UnitId) -> &[UnitId] {
        self.children.get(&unit).map_or(&[], Vec::as_slice)
    }

    /// The node that serves a unit.
    pub fn server_of(&self, unit: UnitId) -> Option<NodeId> {
        self.line(unit).find_map(|info| info.served_by)
    }

    /// The units a node serves, itself or through the nodes below it.
    pub fn served_at_or_below(&self, node: NodeId) -> HashSet<UnitId> {
        self.units
            .values()
            .filter(|unit| unit.served_by == Some(node))
            .flat_map(|unit| self.subtree(unit.id))
            .collect()
    }

    /// Who continues a unit today: itself, or the last of its heirs.
    pub fn present(&self, unit: UnitId) -> UnitId {
        let heirs = std::iter::successors(Some(unit), |unit| self.get(*unit)?.heir);
        heirs.take(MAX_DEPTH).last().unwrap_or(unit)
    }

    /// Who continues a unit that ends, at any time, each with the first day on which it does; after a split several.
    pub fn successors(&self, unit: UnitId) -> Vec<(UnitId, Date)> {
        let mut found: Vec<(UnitId, Date)> = Vec::new();
        let mut seen = HashSet::from([unit]);
        let mut ends = vec![(unit, Date::MIN)];
        while let Some((unit, since)) = ends.pop() {
            let planned = self.get(unit).and_then(|info| info.succession.as_ref());
            let Some(planned) = planned.filter(|planned| planned.ends(unit)) else {
                continue;
            };
            for successor in &planned.successors {
                if seen.insert(*successor) {
                    let from = since.max(planned.from);
                    found.push((*successor, from));
                    ends.push((*successor, from));
                }
            }
        }
        found
    }

    /// The unit whose writes enter a record today. Ids and facts stay; succession and, for a unit's own record, its
    /// place in the tree move the pen.
    pub fn writer(&self, record: &Record) -> Option<UnitId> {
        let owner = record.facts().owner()?;
        let above = match record.facts() {
            Facts::Unit { .. } => self.above(UnitId(record.key().id)),
            _ => None,
        };
        Some(self.present(above.unwrap_or(owner)))
    }

    /// The unit above the one whose record it is; of a unit that is gone, the one above its heir.
    fn above(&self, unit: UnitId) -> Option<UnitId> {
        self.get(self.present(unit))?.parent
    }

    /// The units that a node, or one below it, served before and serves no more.
    pub fn served_before(&self, node: NodeId) -> HashSet<UnitId> {
        let now = self.served_at_or_below(node);
        let nodes = now.iter().filter_map(|unit| self.get(*unit)?.served_by);
        let nodes: HashSet<NodeId> = nodes.chain([node]).collect();
        let before = nodes.iter().filter_map(|node| self.formerly.get(node));
        let before = before.flatten().flat_map(|unit| self.subtree(*unit));
        before.filter(|unit| !now.contains(unit)).collect()
    }

    /// The unit of which the code, `above/code` path, name or alias was typed. Of several, those within `near` come first, and
    /// then the one that stands highest.
    pub fn resolve(&self, text: &str, near: Option<UnitId>) -> Result<&UnitInfo, TreeError> {
        let wanted = folded(text);
        if let Ok(id) = wanted.parse::<UnitId>()
            && let Some(unit) = self.get(id)
        {
            return Ok(unit);
        }
        let mut found = match wanted.rsplit_once('/') {
            Some((above, code)) => self.by_path(above, code),
            None => Vec::new(),
        };
        if found.is_empty() {
            let called = [self.by_code.get(&wanted), self.by_name.get(&wanted)];
            found = called.into_iter().flatten().flatten().copied().collect();
        }
        if found.len() > 1
            && let Some(near) = near
            && found.iter().any(|unit| self.is_within(*unit, near))
        {
            found.retain(|unit| self.is_within(*unit, near));
        }
        found.sort_unstable();
        found.dedup();
        if found.len() > 1 {
            // Who gives a unit of its own the code or the name of another one does not take it away from that: the highest is meant.
            // One that hangs below nothing stands nowhere.
            let root = self.root();
            let levels = |unit: &UnitId| {
                let (levels, top) = self
                    .line(*unit)
                    .fold((0, None), |(n, _), info| (n + 1, Some(info.id)));
                (top != root, levels)
            };
            let least = found.iter().map(levels).min();
            let highest: Vec<UnitId> = found
                .iter()
                .copied()
                .filter(|unit| Some(levels(unit)) == least)
                .collect();
            found = highest;
        }
        match found.as_slice() {
            [] => Err(TreeError::Unknown(text.to_owned())),
            [unit] => self
                .get(*unit)
                .ok_or_else(|| TreeError::Unknown(text.to_owned())),
            several => Err(TreeError::Ambiguous {
                text: text.to_owned(),
                paths: several.iter().map(|unit| self.path(*unit)).collect(),
            }),
        }
    }

    /// Codes from the top down to the unit, joined by `/`.
    pub fn path(&self, unit: UnitId) -> String {
        let mut codes: Vec<&str> = self.line(unit).map(|info| info.code.as_str()).collect();
        codes.reverse();
        codes.join("/")
    }

    fn by_path(&self, above: &str, code: &str) -> Vec<UnitId> {
        let candidates = self
            .by_code
            .get(code)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let last_above = above.rsplit('/').next().unwrap_or(above);
        let under = |unit: &UnitId| {
            self.get(*unit)
                .and_then(|u| self.get(u.parent?))
                .is_some_and(|p| folded(&p.code) == last_above)
        };
        candidates.iter().copied().filter(under).collect()
    }
}
