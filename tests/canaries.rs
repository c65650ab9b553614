//! A test that cannot fail proves nothing. Here each promise is broken on purpose, and the very function that the
//! other tests rely on must say so. Only with the cargo feature `faults`.
#![cfg(feature = "faults")]

mod support;

use std::sync::{Mutex, PoisonError};

use nqsync::faults::{Canary, throw};
use support::promises::{self, Kept};

/// One switch at a time: it is thrown for the whole process.
static ONE: Mutex<()> = Mutex::new(());

/// The promise holds, and is seen to break when the switch is thrown.
fn sees<F: Future<Output = Kept>>(canary: Canary, promise: impl Fn() -> F) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    throw(None);
    assert_eq!(runtime.block_on(promise()), Ok(()), "it holds");
    throw(Some(canary));
    let broken = runtime.block_on(promise());
    throw(None);
    let words = broken.expect_err("the promise is broken, and nobody noticed");
    println!("{canary:?}: {words}");
}

#[test]
fn canary_an_acknowledgement_before_the_commit_is_noticed() {
    sees(
        Canary::AckBeforeCommit,
        promises::acknowledged_writes_are_on_disk,
    );
}

#[test]
fn canary_a_record_rejected_in_silence_is_noticed() {
    sees(
        Canary::SilentReject,
        promises::a_bad_record_is_set_aside_on_both_sides,
    );
}

#[test]
fn canary_a_silent_overwrite_is_noticed() {
    sees(Canary::ForgetSeen, promises::a_stale_form_makes_a_conflict);
}

#[test]
fn canary_an_echo_is_noticed() {
    sees(Canary::Echo, promises::an_idle_round_moves_nothing);
}

#[test]
fn canary_a_child_that_writes_for_others_is_noticed() {
    sees(
        Canary::TrustEverybody,
        promises::a_forged_record_changes_nothing,
    );
}

#[test]
fn canary_a_ceiling_that_leaks_is_noticed_in_a_pair_of_runs() {
    sees(Canary::LeakyCeiling, support::paired::Base::one);
}

#[test]
fn canary_a_record_above_the_level_of_a_line_that_leaves_is_noticed() {
    sees(
        Canary::LeakyCeiling,
        promises::what_is_above_the_line_does_not_leave,
    );
}

#[test]
fn canary_a_record_above_the_level_of_a_store_that_is_taken_in_is_noticed() {
    sees(
        Canary::BlindCeiling,
        promises::what_is_above_the_line_is_not_taken_in,
    );
}

#[test]
fn canary_a_mass_deletion_without_asking_is_noticed() {
    sees(
        Canary::NoBrake,
        promises::a_mass_deletion_waits_for_a_person,
    );
}

#[test]
fn canary_a_commit_that_does_not_wait_for_the_disk_is_noticed() {
    sees(Canary::NoSync, promises::every_commit_waits_for_the_disk);
}

#[test]
fn canary_a_mean_of_percents_is_noticed() {
    sees(
        Canary::AveragePercents,
        promises::percents_are_never_averaged,
    );
}

#[test]
fn canary_a_number_used_twice_is_noticed() {
    sees(Canary::ReuseDot, promises::no_number_is_used_twice);
}

#[test]
fn canary_a_record_sent_to_somebody_not_concerned_is_noticed() {
    sees(
        Canary::SendEverything,
        promises::a_commune_holds_only_what_concerns_it,
    );
}

#[test]
fn canary_a_deletion_by_absence_is_noticed() {
    sees(
        Canary::DeleteByAbsence,
        promises::nothing_is_deleted_by_absence,
    );
}

#[test]
fn canary_a_clock_that_decides_is_noticed() {
    sees(
        Canary::ClockDecides,
        promises::no_clock_decides_what_survives,
    );
}
