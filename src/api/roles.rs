//! Who may ask for what: the one table of roles and verbs.
//!
//! It binds everybody who comes by name and password (at the console, or on the command line with `--login`) or by token
//! (the local API). Who can open the control socket owns the files of the node, and could do all of it without asking.

use serde::{Deserialize, Serialize};

use super::Command;

/// What a local user is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks, and changes nothing: leaders, inspectors.
    Viewer,
    /// The day's work: tasks, reports, evidence and its verdicts, indicators, periods.
    Officer,
    /// An officer who is also the second person where an act needs two.
    Approver,
    /// The machine's day: conflicts, what was set aside or held, adapters, exchanges.
    Operator,
    /// Nodes, units, keys, users.
    Administrator,
}

impl Role {
    /// Every role, from the least to the most.
    pub const ALL: [Role; 5] = [
        Role::Viewer,
        Role::Officer,
        Role::Approver,
        Role::Operator,
        Role::Administrator,
    ];

    /// Its name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Officer => "officer",
            Role::Approver => "approver",
            Role::Operator => "operator",
            Role::Administrator => "administrator",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether a user with this role may do what the duty covers.
    pub fn may(self, duty: Duty) -> bool {
        use Duty::*;
        match duty {
            Look => true,
            Work => self >= Role::Officer,
            Operate => self >= Role::Operator,
            // Not the operator, whose own acts are among those that need a second person.
            Approve => matches!(self, Role::Approver | Role::Administrator),
            Administer => self == Role::Administrator,
            Host => false,
        }
    }
}

/// What a verb is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Reading.
    Look,
    /// The day's work with tasks and reports.
    Work,
    /// Keeping the exchange going.
    Operate,
    /// Being the second person of an act that needs two.
    Approve,
    /// Who and what belongs to this node.
    Administer,
    /// Reads or writes a file that the asker names on this machine: for those who have the machine, never for a browser.
    Host,
}

/// The duty a verb is part of. Every verb is listed, so that a new one cannot be open to everybody by being forgotten.
pub fn duty(command: &Command) -> Duty {
    use Command::*;
    match command {
        Status | SyncPreview | BackupKeyShow => Duty::Look,
        UnitList { .. } | UnitShow { .. } => Duty::Look,
        TaskList { .. } | TaskShow { .. } | ReportList { .. } | ReportShow { .. } => Duty::Look,
        TaskPage { .. } | ReportWaiting { .. } | EvidenceShow { .. } => Duty::Look,
        ScoreShow { .. } | LongIds { .. } | LongItems { .. } => Duty::Look,
        EvidenceList { .. } | IndicatorList { .. } => Duty::Look,
        DirectiveList | DirectiveShow { .. } | ProposalList { .. } => Duty::Look,
        PeriodList { .. } | PeriodShow { .. } | RollupShow { .. } => Duty::Look,
        PeriodRestate { preview: true, .. } => Duty::Look,
        CalendarShow { .. } | CalendarToday => Duty::Look,
        WarningList { .. } | WarningShow { .. } => Duty::Look,
        ConflictList | ConflictShow { .. } | HoldList | HoldShow { .. } => Duty::Look,
        NodeList | NodeShow { .. } | NodeClones | AdapterList | AdapterShow { .. } => Duty::Look,
        QuarantineList | QuarantineShow { .. } => Duty::Look,
        ApprovalList | ApprovalShow { .. } => Duty::Look,
        AuditShow { .. } | AuditVerify => Duty::Look,
        BundleShow { folder: None } | Export { .. } => Duty::Look,

        // They go between two stores of one machine, and through the hands of who has that machine.
        UnitsForAbove | UnitsFromBelow { .. } | TaskLowered { .. } => Duty::Host,
        LevelAllowed { .. } => Duty::Host,
        TaskLower { .. } | LevelAllow { .. } => Duty::Administer,
        TaskAdd { .. } | TaskUpdate { .. } | TaskWithdraw { .. } => Duty::Work,
        ReportSet { .. } | ReportSubmit { .. } | ReportWithdraw { .. } => Duty::Work,
        EvidenceRemove { .. } | EvidenceVerdict { .. } => Duty::Work,
        IndicatorDefine { .. } | IndicatorSet { .. } => Duty::Work,
        ProposalMake { .. } | ProposalWithdraw { .. } | ProposalDecide { .. } => Duty::Work,
        PeriodSubmit { .. } | PeriodDecide { .. } | PeriodRestate { .. } => Duty::Work,
        WarningSilence { .. } | Import { .. } | ImportEdits { .. } => Duty::Work,

        ConflictResolve { .. } | QuarantineRetry { .. } | QuarantineDrop { .. } => Duty::Operate,
        HoldRelease { .. } | HoldRefuse { .. } | HoldUndo { .. } => Duty::Operate,
        AdapterCheck { .. } | AdapterRun { .. } | Verify { .. } => Duty::Operate,
        BackupDeposit { .. } => Duty::Operate,

        ApprovalApprove { .. } | ApprovalRefuse { .. } => Duty::Approve,

        NodeAdopt { .. } | NodeToken { .. } | NodeRenew { .. } | NodeRevoke { .. } => {
            Duty::Administer
        }
        NodeAccept { .. } | NodeRefuse { .. } | NodeRotateAuthority { .. } => Duty::Administer,
        UnitAdd { .. } | UnitRename { .. } | UnitMove { .. } | UnitMerge { .. } => Duty::Administer,
        UnitSplit { .. } | UnitServe { .. } | UnitAlias { .. } => Duty::Administer,
        UserList | UserAdd { .. } | UserRole { .. } | UserPassword { .. } | UserRemove { .. } => {
            Duty::Administer
        }
        TokenList | TokenNew { .. } | TokenRevoke { .. } => Duty::Administer,
        AdapterTemplates | AdapterTemplate { .. } => Duty::Administer,
        AdapterSettings { .. } | AdapterSet { .. } => Duty::Administer,
        AuditAccept { .. } | Adopt { .. } | NodeDropDeposit { .. } => Duty::Administer,

        // Who can choose the recovery key can read every backup from then on.
        Backup { .. } | BackupKey { .. } => Duty::Host,
        AuditExport { .. } | NodeAdmit { .. } => Duty::Host,
        EvidenceAdd { .. } | EvidenceGet { .. } | DirectiveAdd { .. } => Duty::Host,
        BundleExport { .. } | BundleImport { .. } | BundleShow { folder: Some(_) } => Duty::Host,
    }
}
