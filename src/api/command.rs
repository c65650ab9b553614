//! Every verb that is answered by a node.

use std::collections::BTreeMap;

use nqsync_core::model::{NodeId, UnitId};
use nqsync_core::period::Step;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Adopt, AuditFilter, ImportKind, LongList, Narrowed, ReportFields, ReportRef, ReportWait, Role,
    RollupBy, Secret, TaskFields,
};

#[allow(missing_docs)] // Fields carry the names of the flags; the command line documents each.
/// Every verb that is answered by a node. Verbs that need no node (`config`, `completions`) are not here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Command {
    /// Health of this node on one screen.
    Status,
    /// What a sync would do: records and bytes that would go, and what is withheld and why.
    SyncPreview,

    /// Whether this node and its parent hold the same, or with `local` whether this store is undamaged.
    Verify { local: bool, repair: bool },
    /// A verified copy of the store in a new folder, which the executing node writes.
    Backup { to: String },
    /// Seals backups for this recovery key from now on; `public` is its public part (SubjectPublicKeyInfo, hex).
    BackupKey { public: String, replace: bool },
    /// Deposits a sealed backup at the parent now; `anyway`: also in the place of one that this store does not know.
    BackupDeposit { anyway: bool },
    /// For which recovery key backups are sealed.
    BackupKeyShow,
    /// What became of this store, when it cannot know by itself.
    Adopt { how: Adopt },

    /// Downstream nodes and open tokens.
    NodeList,
    /// One downstream node.
    NodeShow { node: String },
    /// Children of which two machines have shown themselves, with what each shows.
    NodeClones,
    /// Which of two machines with one identity goes on.
    NodeAdopt { node: String, incarnation: String },
    /// A one-time token with which the server of `unit` enrols here.
    NodeToken {
        unit: String,
        expires_s: u64,
        url: Option<String>,
    },
    /// Has a downstream node take a new key at its next contact.
    NodeRenew { node: String, reason: String },
    /// Enrols a node whose request came as a file, and answers with one.
    NodeAdmit { request: String, answer: String },
    /// Throws away the sealed backup that a node which is cut off had deposited here.
    NodeDropDeposit { node: String, reason: String },
    /// Lets a node in whose key this node's authority certified and that is on no list here.
    NodeAccept { node: String, unit: Option<String> },
    /// Says that such a node stays a stranger.
    NodeRefuse { node: String, reason: String },
    /// Takes a new authority, which the old one signs for.
    NodeRotateAuthority { reason: String },
    /// Cuts a downstream node off, or takes that back.
    NodeRevoke {
        node: String,
        reason: String,
        undo: bool,
    },

    /// Units, all or those at and below one.
    UnitList { under: Option<String> },
    /// One unit.
    UnitShow { unit: String },
    /// Who this node is and the records of its units, for its own store of a higher level of secrecy.
    UnitsForAbove,
    /// Whether two persons have agreed that this computer holds a level of secrecy.
    LevelAllowed { level: String },
    /// Agrees that it does.
    LevelAllow { level: String, reason: String },
    /// The same units, in the store of that level.
    UnitsFromBelow {
        node: NodeId,
        unit: UnitId,
        units: Vec<String>,
    },
    /// A new unit under one that is owned here.
    UnitAdd {
        code: String,
        name: String,
        level: Option<String>,
        parent: Option<String>,
        aliases: Vec<String>,
    },
    /// Another name or code, from a date on.
    UnitRename {
        unit: String,
        code: Option<String>,
        name: Option<String>,
    },
    /// Another unit above, from a day on.
    UnitMove {
        unit: String,
        to: String,
        from: Option<String>,
    },
    /// Units that are continued by another one from a day on.
    UnitMerge {
        units: Vec<String>,
        into: String,
        from: Option<String>,
    },
    /// A unit that is continued by several; one of them inherits its records.
    UnitSplit {
        unit: String,
        into: Vec<String>,
        heir: String,
        from: Option<String>,
    },
    /// Another node that serves the unit; `None`: the one of the unit above.
    UnitServe { unit: String, node: Option<String> },
    /// A further name under which plans mention the unit; links tasks whose lead was unresolved.
    UnitAlias { unit: String, alias: String },

    /// Tasks held here.
    TaskList {
        unit: Option<String>,
        group: Option<String>,
        issuer: Option<String>,
        unresolved: bool,
        period: Option<String>,
        #[serde(default)]
        narrowed: Narrowed,
    },
    /// One task with its reports, receipts, the *6 rõ* and the history of every field.
    TaskShow { task: String },
    /// One task, and those of its reports and files that are of one period: the one named, else the latest with a report.
    TaskPage {
        task: String,
        period: Option<String>,
    },
    /// The ids of a list that may be long, in its order; its items are asked for in parts.
    LongIds {
        list: LongList,
        period: String,
        unit: Option<String>,
    },
    /// At most 1,000 items of such a list, as they stand at the end of a period; without those that have gone meanwhile.
    LongItems {
        list: LongList,
        period: String,
        ids: Vec<Uuid>,
    },
    /// A new task issued by the unit acted for.
    TaskAdd { fields: TaskFields },
    /// A task of this store at a lower level of secrecy: what its new record in the store of that level is to say.
    TaskLower {
        task: String,
        to: String,
        reason: String,
    },
    /// That new record, in the store of the lower level, under the id that was drawn for it.
    TaskLowered { id: Uuid, fields: TaskFields },
    /// Changes to a task owned here. `token` is the one shown by `task show`.
    TaskUpdate {
        task: String,
        fields: TaskFields,
        token: Option<String>,
    },
    /// Withdraws a task; it stays visible as withdrawn.
    TaskWithdraw { task: String, reason: String },

    /// Reports held here.
    ReportList {
        task: Option<String>,
        unit: Option<String>,
        period: Option<String>,
    },
    /// Reports that wait for somebody, the oldest period first.
    ReportWaiting {
        wait: ReportWait,
        offset: usize,
        limit: Option<usize>,
    },
    /// One report with siblings, submission, verdicts, arrival, history and its token.
    ReportShow { report: ReportRef },
    /// Writes values into the draft; with `submit`, submits it in the same transaction.
    ReportSet {
        report: ReportRef,
        fields: ReportFields,
        token: Option<String>,
        submit: bool,
    },
    /// Submits the present values as a version.
    ReportSubmit { report: ReportRef },
    /// Takes the submission back.
    ReportWithdraw { report: ReportRef, reason: String },

    /// Adds a file as evidence. The file is read by the node that executes the verb.
    EvidenceAdd {
        report: ReportRef,
        path: String,
        note: Option<String>,
    },
    /// Evidence held here.
    EvidenceList {
        task: Option<String>,
        unit: Option<String>,
        period: Option<String>,
    },
    /// One piece of evidence.
    EvidenceShow { evidence: String },
    /// Writes the bytes of an evidence file to a path.
    EvidenceGet { evidence: String, to: String },
    /// Takes evidence back.
    EvidenceRemove { evidence: String, reason: String },
    /// The reviewer's verdict on a report's latest submission; `token`: only while the report stands so.
    EvidenceVerdict {
        report: ReportRef,
        accepted: bool,
        reason: Option<String>,
        token: Option<String>,
    },

    /// Indicators and their values.
    IndicatorList {
        period: Option<String>,
        unit: Option<String>,
    },
    /// A new indicator for units below.
    IndicatorDefine {
        code: String,
        name: String,
        measure: Option<String>,
        over_time: String,
        aggregation: String,
        comparator: Option<String>,
        target: Option<String>,
        units: Vec<String>,
    },
    /// A unit's value in a period.
    IndicatorSet {
        indicator: String,
        unit: Option<String>,
        period: Option<String>,
        value: Option<String>,
        numerator: Option<String>,
        denominator: Option<String>,
        token: Option<String>,
    },

    /// Directive documents.
    DirectiveList,
    /// One directive.
    DirectiveShow { directive: String },
    /// A new directive, with its file if any.
    DirectiveAdd {
        number: String,
        date: Option<String>,
        kind: Option<String>,
        summary: String,
        units: Vec<String>,
        file: Option<String>,
    },

    /// Proposals made here or to be decided here.
    ProposalList { open_only: bool },
    /// A wish to change a register of a record owned elsewhere, such as a task's deadline.
    ProposalMake {
        task: String,
        field: String,
        value: String,
        reason: String,
    },
    /// Withdraws an own proposal.
    ProposalWithdraw {
        proposal: String,
        reason: Option<String>,
    },
    /// Answers a proposal; accepting also writes the value. `token`: only while the proposal stands so.
    ProposalDecide {
        proposal: String,
        accept: bool,
        reason: Option<String>,
        token: Option<String>,
    },

    /// Reporting periods of the units here and directly below.
    PeriodList {
        unit: Option<String>,
        period: Option<String>,
    },
    /// One unit's period with its history.
    PeriodShow {
        unit: Option<String>,
        period: Option<String>,
    },
    /// Says that the reports of the unit acted for are in.
    PeriodSubmit { period: Option<String> },
    /// What the unit above decides.
    PeriodDecide {
        step: Step,
        units: Vec<String>,
        all: bool,
        period: Option<String>,
        reason: Option<String>,
    },

    /// What is due from `from` to `to`, for whom, until when, and what of it came.
    CalendarShow {
        unit: Option<String>,
        from: Option<String>,
        to: Option<String>,
    },
    /// What a person is reminded of today.
    CalendarToday,

    /// How the units of this node and those directly below score in a period, with the numbers behind each point.
    ScoreShow {
        period: Option<String>,
        unit: Option<String>,
    },
    /// Red warnings about work whose reports pass this node.
    WarningList {
        unit: Option<String>,
        kind: Option<String>,
        all: bool,
        /// So many are passed over.
        #[serde(default)]
        offset: usize,
        #[serde(default)]
        limit: Option<usize>,
    },
    /// One of them, with where the work stands.
    WarningShow { warning: u64 },
    /// Says why warnings need no attention, and until when.
    WarningSilence {
        warnings: Vec<u64>,
        reason: String,
        until: String,
    },

    /// Takes in what came after a period was closed, as a new version of its figures; or says what that would move.
    PeriodRestate {
        period: String,
        unit: Option<String>,
        reason: String,
        preview: bool,
    },

    /// Counts of tasks and assignments with coverage and as-of. Without `unit`: everything this node sees.
    RollupShow {
        period: Option<String>,
        unit: Option<String>,
        by: RollupBy,
        recompute: bool,
        /// An earlier version of closed figures.
        #[serde(default)]
        version: Option<u32>,
    },

    /// Registers with two or more different values.
    ConflictList,
    /// One conflict: both values, who, when, from which unit, and what they were based on.
    ConflictShow { conflict: String },
    /// Settles it: `take` counts from 1 in the order shown. `token`: only while the record stands so.
    ConflictResolve {
        conflict: String,
        take: Option<usize>,
        value: Option<Value>,
        reason: Option<String>,
        token: Option<String>,
    },

    /// Records set aside, here or at a peer.
    QuarantineList,
    /// One of them with its content.
    QuarantineShow { item: u64 },
    /// Tries again.
    QuarantineRetry { item: u64 },
    /// Gives it up for good.
    QuarantineDrop { item: u64, reason: String },

    /// The adapters of this node.
    AdapterList,
    /// One adapter: its last runs, what both sides know, what could not be exchanged.
    AdapterShow { name: String },
    /// Reads a page, maps it and tells what would change; writes nothing on either side.
    AdapterCheck { name: String },
    /// Exchanges with an outside system now.
    AdapterRun {
        name: String,
        dry_run: bool,
        release: bool,
    },

    /// The systems that one begins with.
    AdapterTemplates,
    /// What a person is asked to connect one of them.
    AdapterTemplate { template: String },
    /// The same of an adapter that is there, with what was answered.
    AdapterSettings { name: String },
    /// Connects a system (`template`), or changes how it is: answers by the keys and the secrets that were asked for.
    AdapterSet {
        name: String,
        template: Option<String>,
        keys: BTreeMap<String, String>,
        secrets: BTreeMap<String, Secret>,
        enabled: Option<bool>,
    },

    /// People who may log in at the console of this node.
    UserList,
    /// A new one. `secret` is the hash of the password, never the password.
    UserAdd {
        name: String,
        role: Role,
        secret: String,
    },
    /// What a user is there for.
    UserRole { name: String, role: Role },
    /// Another password; as in `UserAdd`.
    UserPassword { name: String, secret: String },
    /// Takes a user away; what they wrote stays theirs.
    UserRemove { name: String },

    /// Programs that may use the local API.
    TokenList,
    /// A token for another one; its secret is in the answer and nowhere else.
    TokenNew {
        name: String,
        role: Role,
        expires_s: u64,
    },
    /// Takes a token back at once.
    TokenRevoke { name: String },

    /// Records as rows for a workbook, each with the mark of what it was made from.
    Export {
        kind: ImportKind,
        unit: Option<String>,
        period: Option<String>,
    },
    /// Edits of a workbook that came back.
    ImportEdits {
        source: String,
        rows: Value,
        dry_run: bool,
    },

    /// The newest entries of the audit that fit.
    AuditShow { filter: AuditFilter },
    /// Whether the audit is whole, and up to where neighbours have signed it.
    AuditVerify,
    /// The audit in a new file, which the executing node writes.
    AuditExport { to: String },
    /// A person has looked into a neighbour's audit that contradicted what was seen of it.
    AuditAccept { peer: String, reason: String },

    /// What waits for a neighbour, sealed on a medium. Without `to`: for the node above.
    BundleExport {
        to: Option<String>,
        folder: String,
        since: Option<u64>,
        one_way: bool,
        lasts_s: u64,
    },
    /// Takes in the bundles on a medium.
    BundleImport { folder: String, expired: bool },
    /// The bundles on a medium, or without one those that went and came.
    BundleShow { folder: Option<String> },

    /// Mass changes that wait for a person, and those that can be undone.
    HoldList,
    /// One of them with its records.
    HoldShow { hold: u64 },
    /// Lets it through.
    HoldRelease {
        hold: u64,
        #[serde(default)]
        reason: Option<String>,
    },
    /// Refuses it; nothing of it is taken in.
    HoldRefuse { hold: u64, reason: String },
    /// Takes it back.
    HoldUndo { hold: u64 },

    /// Acts that wait for a second person, and those that were decided lately.
    ApprovalList,
    /// One of them.
    ApprovalShow { approval: u64 },
    /// The second person's yes: the act is carried out as it was asked for.
    ApprovalApprove {
        approval: u64,
        reason: Option<String>,
    },
    /// The second person's no.
    ApprovalRefuse { approval: u64, reason: String },

    /// A table from a file, already read and understood row by row (`sheet` module) by the calling process.
    Import {
        kind: ImportKind,
        source: String,
        table: Value,
        dry_run: bool,
    },
}

impl Command {
    /// The name of the verb, as the audit and the control socket have it.
    pub fn verb(&self) -> String {
        let verb = serde_json::to_value(self).ok();
        let name = verb.as_ref().and_then(|v| v["verb"].as_str());
        name.unwrap_or_default().to_owned()
    }

    /// Whether executing it may write.
    pub fn writes(&self) -> bool {
        use Command::*;
        match self {
            Status
            | SyncPreview
            | BackupKeyShow
            | NodeList
            | NodeClones
            | NodeShow { .. }
            | UnitList { .. }
            | UnitsForAbove
            | LevelAllowed { .. }
            | UnitShow { .. } => false,
            TaskList { .. } | TaskShow { .. } | ReportList { .. } | ReportShow { .. } => false,
            TaskPage { .. } | ReportWaiting { .. } | EvidenceShow { .. } => false,
            ScoreShow { .. } | LongIds { .. } | LongItems { .. } => false,
            EvidenceList { .. } | EvidenceGet { .. } | IndicatorList { .. } | DirectiveList => {
                false
            }
            DirectiveShow { .. } | ProposalList { .. } | ConflictList | ConflictShow { .. } => {
                false
            }
            RollupShow { .. } | QuarantineList | QuarantineShow { .. } => false,
            HoldList | HoldShow { .. } | ApprovalList | ApprovalShow { .. } => false,
            PeriodList { .. } | PeriodShow { .. } => false,
            CalendarShow { .. } | CalendarToday => false,
            WarningList { .. } | WarningShow { .. } => false,
            AuditShow { .. } | AuditVerify | AuditExport { .. } | BundleShow { .. } => false,
            AdapterList | AdapterShow { .. } | AdapterCheck { .. } => false,
            AdapterTemplates | AdapterTemplate { .. } | AdapterSettings { .. } => false,
            AdapterRun { dry_run, .. } | ImportEdits { dry_run, .. } => !dry_run,
            Export { .. } | UserList | TokenList => false,
            Import { dry_run, .. } => !dry_run,
            PeriodRestate { preview, .. } => !preview,
            _ => true,
        }
    }

    /// Whether executing it may write into records. What does not is possible on a store that takes no new writes.
    pub fn authors(&self) -> bool {
        use Command::*;
        let keeps_house = matches!(
            self,
            Verify { .. }
                | Backup { .. }
                | BackupKey { .. }
                | BackupDeposit { .. }
                | BundleExport { .. }
                | BundleImport { .. }
                | Adopt { .. }
                | AuditAccept { .. }
                | ApprovalApprove { .. }
                | LevelAllow { .. }
                | UserAdd { .. }
                | UserRole { .. }
                | UserPassword { .. }
                | UserRemove { .. }
                | AdapterSet { .. }
                | TokenNew { .. }
                | TokenRevoke { .. }
                | NodeToken { .. }
                | NodeAdmit { .. }
                | NodeRevoke { .. }
                | NodeRefuse { .. }
                | NodeRotateAuthority { .. }
                | NodeDropDeposit { .. }
                | NodeRenew { .. }
                | NodeAdopt { .. }
                | QuarantineRetry { .. }
                | QuarantineDrop { .. }
                | HoldRefuse { .. }
                | ApprovalRefuse { .. }
                | WarningSilence { .. }
        );
        self.writes() && !keeps_house
    }
}
