//! Which module answers which verb.

use super::backup;
use super::{
    Reading, Said, Writing, adopt, approvals, audits, authority, bundles, calendar, clones,
    conflicts, directives, evidence, holds, import, indicators, long_lists, nodes, periods,
    proposals, quarantine, reports, rollup, scores, secrecy, status, succession, tasks, tokens,
    units, unknown_verb, users, waiting, warnings,
};
use crate::api::Command;
use crate::node::Refusal;

/// Answers a reading verb.
pub(super) fn read_verb(on: &Reading<'_>) -> Result<Said, Refusal> {
    match &on.request.command {
        Command::UnitList { under } => units::list(on, under.as_deref()),
        Command::UnitShow { unit } => units::show(on, unit),
        Command::UnitsForAbove => secrecy::units_for_above(on),
        Command::LevelAllowed { level } => secrecy::allowed(on, level),
        Command::TaskList { .. } => tasks::list(on),
        Command::TaskShow { task } => tasks::show(on, task),
        Command::LongIds { list, period, unit } => {
            long_lists::ids(on, *list, period, unit.as_deref())
        }
        Command::LongItems { list, period, ids } => long_lists::items(on, *list, period, ids),
        Command::TaskPage { task, period } => tasks::page(on, task, period.as_deref()),
        Command::ReportWaiting {
            wait,
            offset,
            limit,
        } => reports::waiting(on, *wait, *offset, *limit),
        Command::EvidenceShow { evidence } => evidence::show(on, evidence),
        Command::ReportList { task, unit, period } => {
            reports::list(on, task.as_deref(), unit.as_deref(), period.as_deref())
        }
        Command::ReportShow { report } => reports::show(on, report),
        Command::EvidenceList { task, unit, period } => {
            evidence::list(on, task.as_deref(), unit.as_deref(), period.as_deref())
        }
        Command::EvidenceGet { evidence, to } => evidence::get(on, evidence, to),
        Command::Import {
            kind,
            source,
            table,
            ..
        } => import::preview(on, *kind, source, table),
        Command::Status => status::show(on),
        Command::BackupKeyShow => backup::show_key(on),
        Command::SyncPreview => status::preview(on),
        Command::NodeList => nodes::list(on),
        Command::NodeClones => clones::list(on),
        Command::NodeShow { node } => nodes::show(on, node),
        Command::IndicatorList { period, unit } => {
            indicators::list(on, period.as_deref(), unit.as_deref())
        }
        Command::DirectiveList => directives::list(on),
        Command::DirectiveShow { directive } => directives::show(on, directive),
        Command::ProposalList { open_only } => proposals::list(on, *open_only),
        Command::PeriodList { unit, period } => {
            periods::list(on, period.as_deref(), unit.as_deref())
        }
        Command::PeriodShow { unit, period } => {
            periods::show(on, unit.as_deref(), period.as_deref())
        }
        Command::CalendarShow { unit, from, to } => {
            calendar::show(on, unit.as_deref(), from.as_deref(), to.as_deref())
        }
        Command::CalendarToday => calendar::today(on),
        Command::WarningList { .. } => warnings::list(on),
        Command::WarningShow { warning } => warnings::show(on, *warning),
        Command::RollupShow {
            period,
            unit,
            by,
            recompute,
            version,
        } => rollup::show(
            on,
            period.as_deref(),
            unit.as_deref(),
            *by,
            *recompute,
            *version,
        ),
        Command::PeriodRestate { period, unit, .. } => {
            periods::preview(on, period, unit.as_deref())
        }
        Command::ScoreShow { period, unit } => scores::show(on, period.as_deref(), unit.as_deref()),
        Command::ConflictList => conflicts::list(on),
        Command::ConflictShow { conflict } => conflicts::show(on, conflict),
        Command::QuarantineList => quarantine::list(on),
        Command::QuarantineShow { item } => quarantine::show(on, *item),
        Command::BundleShow { folder } => bundles::show(on, folder.as_deref()),
        Command::AuditShow { filter } => audits::show(on, filter),
        Command::AuditVerify => audits::verify(on),
        Command::AuditExport { to } => audits::file::export(on, to),
        Command::HoldList => holds::list(on),
        Command::TokenList => tokens::list(on),
        Command::HoldShow { hold } => holds::show(on, *hold),
        Command::ApprovalList => approvals::list(on),
        Command::ApprovalShow { approval } => approvals::show(on, *approval),
        _ => Err(unknown_verb(on.request)),
    }
}

/// Carries out a writing verb.
pub(crate) fn write_verb(on: &mut Writing<'_, '_>) -> Result<Said, Refusal> {
    let request = on.request;
    match &request.command {
        Command::UnitAdd { .. } => units::add(on),
        Command::AuditAccept { peer, reason } => audits::accept(on, peer, reason),
        Command::UnitRename { unit, code, name } => {
            units::rename(on, unit, code.as_deref(), name.as_deref())
        }
        Command::UnitMove { unit, to, from } => {
            succession::change_place(on, unit, to, from.as_deref())
        }
        Command::UnitMerge { units, into, from } => {
            succession::merge(on, units, into, from.as_deref())
        }
        Command::UnitSplit {
            unit,
            into,
            heir,
            from,
        } => succession::split(on, unit, into, heir, from.as_deref()),
        Command::UnitServe { unit, node } => succession::serve(on, unit, node.as_deref()),
        Command::UnitAlias { unit, alias } => units::alias(on, unit, alias),
        Command::UnitsFromBelow { node, unit, units } => {
            secrecy::take_units(on, *node, *unit, units)
        }
        Command::LevelAllow { level, .. } => secrecy::allow(on, level),
        Command::TaskAdd { fields } => tasks::add(on, fields),
        Command::TaskLower { task, to, reason } => secrecy::lower(on, task, to, reason),
        Command::TaskLowered { id, fields } => secrecy::take_lowered(on, *id, fields),
        Command::TaskUpdate {
            task,
            fields,
            token,
        } => tasks::update(on, task, fields, token.as_deref()),
        Command::TaskWithdraw { task, reason } => tasks::withdraw(on, task, reason),
        Command::ReportSet {
            report,
            fields,
            token,
            submit,
        } => reports::set(on, report, fields, token.as_deref(), *submit),
        Command::ReportSubmit { report } => reports::submit(on, report),
        Command::ReportWithdraw { report, reason } => reports::withdraw(on, report, reason),
        Command::EvidenceAdd { report, note, .. } => evidence::add(on, report, note.as_deref()),
        Command::EvidenceRemove { evidence, reason } => evidence::remove(on, evidence, reason),
        Command::EvidenceVerdict {
            report,
            accepted,
            reason,
            token,
        } => evidence::judge(on, report, *accepted, reason.as_deref(), token.as_deref()),
        Command::Import {
            kind,
            source,
            table,
            ..
        } => import::import(on, *kind, source, table),
        Command::NodeToken {
            unit,
            expires_s,
            url,
        } => nodes::token(on, unit, *expires_s, url.as_deref()),
        Command::NodeAdopt { node, incarnation } => clones::adopt(on, node, incarnation),
        Command::Adopt { how } => adopt::adopt(on, *how),
        Command::BackupDeposit { anyway } => backup::deposit(on, *anyway),
        Command::BackupKey { public, replace } => backup::set_key(on, public, *replace),
        Command::NodeRotateAuthority { reason } => authority::rotate(on, reason),
        Command::NodeAccept { node, unit } => waiting::accept(on, node, unit.as_deref()),
        Command::NodeRefuse { node, reason } => waiting::refuse(on, node, reason),
        Command::NodeRenew { node, reason } => nodes::renew(on, node, reason),
        Command::NodeDropDeposit { node, reason } => nodes::drop_deposit(on, node, reason),
        Command::NodeRevoke { node, reason, undo } => nodes::revoke(on, node, reason, *undo),
        Command::IndicatorDefine { .. } => indicators::define(on, &request.command),
        Command::IndicatorSet { .. } => indicators::set(on, &request.command),
        Command::DirectiveAdd { .. } => directives::add(on, &request.command),
        Command::ProposalMake {
            task,
            field,
            value,
            reason,
        } => proposals::make(on, task, field, value, reason),
        Command::ProposalWithdraw { proposal, reason } => {
            proposals::withdraw(on, proposal, reason.as_deref())
        }
        Command::ProposalDecide {
            proposal,
            accept,
            reason,
            token,
        } => proposals::decide(on, proposal, *accept, reason.as_deref(), token.as_deref()),
        Command::PeriodSubmit { period } => periods::submit(on, period.as_deref()),
        Command::PeriodDecide {
            step,
            units,
            all,
            period,
            reason,
        } => periods::decide(on, *step, units, *all, period.as_deref(), reason.as_deref()),
        Command::WarningSilence {
            warnings,
            reason,
            until,
        } => warnings::silence(on, warnings, reason, until),
        Command::PeriodRestate {
            period,
            unit,
            reason,
            ..
        } => periods::restate(on, period, unit.as_deref(), reason),
        Command::ConflictResolve {
            conflict,
            take,
            value,
            reason,
            token,
        } => {
            let settled = (*take, value.as_ref());
            conflicts::resolve(on, conflict, settled, reason.as_deref(), token.as_deref())
        }
        Command::QuarantineRetry { item } => quarantine::retry(on, *item),
        Command::QuarantineDrop { item, reason } => quarantine::drop_item(on, *item, reason),
        Command::HoldRelease { hold, .. } => holds::release(on, *hold),
        Command::HoldRefuse { hold, reason } => holds::refuse(on, *hold, reason),
        Command::HoldUndo { hold } => holds::undo(on, *hold),
        Command::ApprovalApprove { approval, reason } => {
            approvals::approve(on, *approval, reason.as_deref())
        }
        Command::ApprovalRefuse { approval, reason } => approvals::refuse(on, *approval, reason),
        Command::UserAdd { name, role, secret } => users::add(on, name, *role, secret),
        Command::UserRole { name, role } => users::set_role(on, name, *role),
        Command::UserPassword { name, secret } => users::set_secret(on, name, secret),
        Command::UserRemove { name } => users::remove(on, name),
        Command::TokenNew {
            name,
            role,
            expires_s,
        } => tokens::new(on, name, *role, *expires_s),
        Command::TokenRevoke { name } => tokens::revoke(on, name),
        _ => Err(unknown_verb(request)),
    }
}
