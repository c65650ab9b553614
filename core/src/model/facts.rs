//! The facts a record is born with. They never change, so ownership and ids can rest on them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::UnitId;
use super::kind::{Key, Kind};

/// Namespace of all ids that follow from natural keys.
const NAMESPACE: Uuid = Uuid::from_u128(0x6e71_7379_6e63_4000_8000_0000_0000_0001);

/// Which of the two records of a reporting period this is: the unit's own, or its reviewer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodStage {
    /// Written by the unit: submitted.
    Submission,
    /// Written by the unit above: accepted, returned, locked.
    Review,
}

/// The immutable facts, by kind. On the wire a JSON object; fields this version does not know stay in its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Facts {
    /// An org unit; its owner is the unit above it at birth (the root owns itself).
    Unit {
        /// Who writes this unit's record.
        owner: UnitId,
    },
    /// A task or assignment; owned by its issuer.
    Task {
        /// Who gave the task.
        issuer: UnitId,
        /// The task this one is a part of.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent: Option<Uuid>,
    },
    /// A unit's progress on a task in a period; owned by the unit.
    Report {
        /// Who carries out.
        unit: UnitId,
        /// The task's issuer: where the report travels to.
        issuer: UnitId,
        /// The task.
        task: Uuid,
        /// Canonical text of the reporting period, such as `2026-03`.
        period: String,
    },
    /// A file that proves progress; owned by the unit. The bytes are a blob named by its SHA-256.
    Evidence {
        /// Who proves.
        unit: UnitId,
        /// The task's issuer.
        issuer: UnitId,
        /// The task.
        task: Uuid,
        /// The period it was handed in for.
        period: String,
        /// Who looks at the file: the issuer, or the unit above the executor.
        reviewer: UnitId,
    },
    /// A reviewer's judgement of one submission; owned by the reviewing unit.
    Verdict {
        /// Who judges.
        reviewer: UnitId,
        /// Whose submission.
        unit: UnitId,
        /// The task's issuer.
        issuer: UnitId,
        /// The report.
        report: Uuid,
        /// Hash of the submitted version, 32 hexadecimal digits.
        submission: String,
    },
    /// When a submission reached the first level above; written there, by any unit above the reporting one.
    Arrival {
        /// Whose submission.
        unit: UnitId,
        /// The task's issuer.
        issuer: UnitId,
        /// The report.
        report: Uuid,
        /// Hash of the submitted version.
        submission: String,
    },
    /// A wish to change a record one does not own; owned by the proposing unit.
    Proposal {
        /// Who wishes.
        proposer: UnitId,
        /// Who may decide.
        owner: UnitId,
        /// Kind of the record it is about.
        target_kind: Kind,
        /// Id of the record it is about.
        target: Uuid,
        /// The register to change.
        register: String,
    },
    /// The owner's answer to a proposal.
    Decision {
        /// Who decides: the owner of the target.
        decider: UnitId,
        /// Who is answered.
        proposer: UnitId,
        /// The proposal.
        proposal: Uuid,
    },
    /// A figure to be reached, defined by one unit for others.
    Indicator {
        /// Who defines.
        definer: UnitId,
    },
    /// One unit's value of an indicator in a period.
    Figure {
        /// Whose figure.
        unit: UnitId,
        /// Who defined the indicator.
        definer: UnitId,
        /// The indicator.
        indicator: Uuid,
        /// The reporting period.
        period: String,
    },
    /// A directive document that tasks rest on.
    Directive {
        /// Who issued it.
        issuer: UnitId,
    },
    /// The state of a unit's reporting period, one record per side.
    Period {
        /// Who reports.
        unit: UnitId,
        /// The unit above, that accepts, returns and locks.
        reviewer: UnitId,
        /// The reporting period.
        period: String,
        /// Whose side.
        stage: PeriodStage,
    },
    /// Counts of one issuer's tasks, by group, in a period; computed at the node that serves the issuer.
    Rollup {
        /// Whose tasks.
        issuer: UnitId,
        /// The reporting period.
        period: String,
        /// The group (section or programme) of the tasks.
        group: String,
    },
}

/// Facts that do not fit the kind or the id.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// Not the object this kind needs.
    #[error("facts of a {kind} cannot be read: {source}")]
    Shape {
        /// The kind of record.
        kind: Kind,
        /// What was wrong.
        source: serde_json::Error,
    },
    /// The id does not follow from the natural key.
    #[error("the id of this {kind} should be {expected}, because it follows from its facts")]
    Id {
        /// The kind of record.
        kind: Kind,
        /// What it should be.
        expected: Uuid,
    },
}

macro_rules! parse_as {
    ($raw:expr, $kind:ident { $($(#[$attr:meta])* $field:ident : $ty:ty),* }) => {{
        #[derive(Deserialize)]
        struct Shape { $($(#[$attr])* $field: $ty),* }
        serde_json::from_str::<Shape>($raw).map(|Shape { $($field),* }| Facts::$kind { $($field),* })
    }};
}

impl Facts {
    /// Reads facts and checks that the id follows from them where the kind has a natural key.
    pub fn parse(key: Key, raw: &str) -> Result<Facts, FactsError> {
        let facts = match key.kind {
            Kind::Unit => parse_as!(raw, Unit { owner: UnitId }),
            Kind::Task => {
                parse_as!(raw, Task { issuer: UnitId, #[serde(default)] parent: Option<Uuid> })
            }
            Kind::Report => {
                parse_as!(
                    raw,
                    Report {
                        unit: UnitId,
                        issuer: UnitId,
                        task: Uuid,
                        period: String
                    }
                )
            }
            Kind::Evidence => parse_as!(
                raw,
                Evidence {
                    unit: UnitId,
                    issuer: UnitId,
                    task: Uuid,
                    period: String,
                    reviewer: UnitId
                }
            ),
            Kind::Verdict => parse_as!(
                raw,
                Verdict {
                    reviewer: UnitId,
                    unit: UnitId,
                    issuer: UnitId,
                    report: Uuid,
                    submission: String
                }
            ),
            Kind::Arrival => {
                parse_as!(
                    raw,
                    Arrival {
                        unit: UnitId,
                        issuer: UnitId,
                        report: Uuid,
                        submission: String
                    }
                )
            }
            Kind::Proposal => parse_as!(
                raw,
                Proposal {
                    proposer: UnitId,
                    owner: UnitId,
                    target_kind: Kind,
                    target: Uuid,
                    register: String
                }
            ),
            Kind::Decision => {
                parse_as!(
                    raw,
                    Decision {
                        decider: UnitId,
                        proposer: UnitId,
                        proposal: Uuid
                    }
                )
            }
            Kind::Indicator => parse_as!(raw, Indicator { definer: UnitId }),
            Kind::Figure => {
                parse_as!(
                    raw,
                    Figure {
                        unit: UnitId,
                        definer: UnitId,
                        indicator: Uuid,
                        period: String
                    }
                )
            }
            Kind::Directive => parse_as!(raw, Directive { issuer: UnitId }),
            Kind::Period => {
                parse_as!(
                    raw,
                    Period {
                        unit: UnitId,
                        reviewer: UnitId,
                        period: String,
                        stage: PeriodStage
                    }
                )
            }
            Kind::Rollup => parse_as!(
                raw,
                Rollup {
                    issuer: UnitId,
                    period: String,
                    group: String
                }
            ),
        }
        .map_err(|source| FactsError::Shape {
            kind: key.kind,
            source,
        })?;
        match facts.natural_id() {
            Some(expected) if expected != key.id => Err(FactsError::Id {
                kind: key.kind,
                expected,
            }),
            _ => Ok(facts),
        }
    }

    /// The bytes to store and send.
    pub fn to_json(&self) -> String {
        // Plain strings and ids: there is nothing in them that JSON cannot hold.
        serde_json::to_string(self).expect("facts are strings and ids")
    }

    /// The kind these facts belong to.
    pub fn kind(&self) -> Kind {
        match self {
            Facts::Unit { .. } => Kind::Unit,
            Facts::Task { .. } => Kind::Task,
            Facts::Report { .. } => Kind::Report,
            Facts::Evidence { .. } => Kind::Evidence,
            Facts::Verdict { .. } => Kind::Verdict,
            Facts::Arrival { .. } => Kind::Arrival,
            Facts::Proposal { .. } => Kind::Proposal,
            Facts::Decision { .. } => Kind::Decision,
            Facts::Indicator { .. } => Kind::Indicator,
            Facts::Figure { .. } => Kind::Figure,
            Facts::Directive { .. } => Kind::Directive,
            Facts::Period { .. } => Kind::Period,
            Facts::Rollup { .. } => Kind::Rollup,
        }
    }

    /// The id that follows from the natural key, so that two places that create the same thing create one record;
    /// `None` for kinds whose ids are drawn at birth.
    pub fn natural_id(&self) -> Option<Uuid> {
        let natural_key = match self {
            Facts::Report {
                unit, task, period, ..
            } => format!("report|{task}|{unit}|{period}"),
            Facts::Verdict {
                reviewer,
                submission,
                ..
            } => format!("verdict|{submission}|{reviewer}"),
            Facts::Arrival { submission, .. } => format!("arrival|{submission}"),
            Facts::Proposal {
                proposer,
                target,
                register,
                ..
            } => {
                format!("proposal|{proposer}|{target}|{register}")
            }
            Facts::Decision { proposal, .. } => format!("decision|{proposal}"),
            Facts::Figure {
                unit,
                indicator,
                period,
                ..
            } => format!("figure|{indicator}|{unit}|{period}"),
            Facts::Period {
                unit,
                period,
                stage,
                ..
            } => format!("period|{unit}|{period}|{stage:?}"),
            Facts::Rollup {
                issuer,
                period,
                group,
            } => format!("rollup|{issuer}|{period}|{group}"),
            Facts::Unit { .. }
            | Facts::Task { .. }
            | Facts::Evidence { .. }
            | Facts::Indicator { .. }
            | Facts::Directive { .. } => return None,
        };
        Some(Uuid::new_v5(&NAMESPACE, natural_key.as_bytes()))
    }

    /// The key of a record with a natural id, or with the drawn one.
    pub fn key(&self, drawn: Uuid) -> Key {
        Key {
            kind: self.kind(),
            id: self.natural_id().unwrap_or(drawn),
        }
    }

    /// The unit whose writes alone enter the record. `None` for an arrival: any unit above the reporting one may
    /// note it, and the earliest counts.
    pub fn owner(&self) -> Option<UnitId> {
        Some(match self {
            Facts::Unit { owner } => *owner,
            Facts::Task { issuer, .. }
            | Facts::Directive { issuer }
            | Facts::Rollup { issuer, .. } => *issuer,
            Facts::Report { unit, .. }
            | Facts::Evidence { unit, .. }
            | Facts::Figure { unit, .. } => *unit,
            Facts::Verdict { reviewer, .. } => *reviewer,
            Facts::Arrival { .. } => return None,
            Facts::Proposal { proposer, .. } => *proposer,
            Facts::Decision { decider, .. } => *decider,
            Facts::Indicator { definer } => *definer,
            Facts::Period {
                unit,
                stage: PeriodStage::Submission,
                ..
            } => *unit,
            Facts::Period {
                reviewer,
                stage: PeriodStage::Review,
                ..
            } => *reviewer,
        })
    }

    /// The record this one is about, by which it is looked up: the task of a report, the report of a verdict, …
    pub fn about(&self) -> Option<Uuid> {
        match self {
            Facts::Task { parent, .. } => *parent,
            Facts::Report { task, .. } | Facts::Evidence { task, .. } => Some(*task),
            Facts::Verdict { report, .. } | Facts::Arrival { report, .. } => Some(*report),
            Facts::Proposal { target, .. } => Some(*target),
            Facts::Decision { proposal, .. } => Some(*proposal),
            Facts::Figure { indicator, .. } => Some(*indicator),
            Facts::Period { unit, .. } => Some(unit.0),
            Facts::Rollup { issuer, .. } => Some(issuer.0),
            Facts::Unit { .. } | Facts::Indicator { .. } | Facts::Directive { .. } => None,
        }
    }

    /// The reporting period, for the kinds that have one.
    pub fn period(&self) -> Option<&str> {
        match self {
            Facts::Report { period, .. }
            | Facts::Evidence { period, .. }
            | Facts::Figure { period, .. }
            | Facts::Period { period, .. }
            | Facts::Rollup { period, .. } => Some(period),
            _ => None,
        }
    }
}
