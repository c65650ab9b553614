//! Properties of the merge: a record's state follows from the set of edits that reached it, whatever the order,
//! grouping and repetition, and nothing disappears that nobody present has seen.
//!
//! The seeds are fixed, so a run is the same everywhere; more than 20,000 histories are lived through in total, and so many
//! times as many as `NQSYNC_LAWS` says.

#[path = "join/reference.rs"]
mod reference;
#[path = "join/world.rs"]
mod world;

use nqsync_core::model::Facts;
use nqsync_core::sync::{Context, Edit, LIFE, Record, Token, Write};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};
use world::*;

/// For each property of a block; `.ci/proof` adds up what is printed.
fn cases(cases: u32) -> Config {
    let times = std::env::var("NQSYNC_LAWS").map_or(1, |text| text.parse().expect("a number"));
    let cases = cases * times;
    println!("{cases} cases");
    Config {
        cases,
        rng_seed: RngSeed::Fixed(20_261_122),
        ..Config::default()
    }
}

/// All copies joined into one by any tree of joins: at each turn two of them are picked, and sometimes one of
/// them is kept as well, as a repeated delivery would.
fn joined_by(mut copies: Vec<Record>, picks: &[(Index, Index, bool)]) -> Record {
    for (a, b, again) in picks {
        if copies.len() == 1 {
            break;
        }
        let a = copies.swap_remove(a.index(copies.len()));
        let b = copies.swap_remove(b.index(copies.len()));
        copies.push(joined(&a, &b));
        if *again {
            copies.push(b);
        }
    }
    let last = copies.pop().expect("at least one copy");
    copies.iter().fold(last, |all, copy| joined(&all, copy))
}

fn writes(record: &Record) -> impl Iterator<Item = &Write> {
    record.edits().iter().flat_map(Edit::writes)
}

fn write(record: &mut Record, by: u8, register: &str, value: Value, token: Option<&Token>) {
    record
        .write(
            author(by),
            1_763_000_000_000,
            values([(register, value)]),
            token,
        )
        .expect("a small edit");
}

/// A record in which nothing is left to decide, after any history.
fn settled(steps: &[Step]) -> Record {
    let world = World::after(steps);
    let mut record = world.places[0].record.clone();
    let mut all = values([]);
    for register in record.registers().map(str::to_owned).collect::<Vec<_>>() {
        all.insert(register, Value::Null);
    }
    all.insert("result".to_owned(), json!("settled"));
    record
        .write(author(200), 0, all, None)
        .expect("a small edit");
    record
}

proptest! {
    #![proptest_config(cases(7_000))]

    #[test]
    fn every_copy_holds_the_siblings_the_design_says_it_holds(steps in history(16)) {
        let mut world = World::after(&[]);
        for step in &steps {
            world.step(step);
            for place in &world.places {
                place.agrees()?;
            }
        }
    }

    #[test]
    fn all_orders_and_groupings_of_joins_give_the_same_bytes(
        steps in history(16),
        picks in prop::collection::vec(any::<(Index, Index, bool)>(), 6),
    ) {
        let places = World::after(&steps).places;
        let copies: Vec<Record> = places.iter().map(|p| p.record.clone()).collect();
        let plain = copies.iter().fold(blank(), |all, copy| joined(&all, copy));
        let other = joined_by(copies, &picks);
        prop_assert_eq!(bytes(&plain), bytes(&other));
        let mut reference = reference::Reference::default();
        places.iter().for_each(|p| reference.join(&p.reference));
        for register in REGISTERS.into_iter().chain([LIFE]) {
            prop_assert_eq!(present(&plain, register), reference.present(register));
        }
    }
}

proptest! {
    #![proptest_config(cases(2_500))]

    #[test]
    fn a_join_is_commutative_idempotent_and_says_truly_whether_it_changed_anything(steps in history(16)) {
        let places = World::after(&steps).places;
        let (a, b) = (&places[0].record, &places[1].record);
        prop_assert_eq!(bytes(&joined(a, b)), bytes(&joined(b, a)));
        prop_assert_eq!(bytes(&joined(a, a)), bytes(a));
        let mut both = a.clone();
        let replaced = both.join(b).expect("the same record");
        prop_assert_eq!(replaced.changed, bytes(&both) != bytes(a));
        prop_assert!(!both.join(a).expect("the same record").changed);
        if !both.edits().is_empty() {
            let received: Vec<Edit> = both.edits().iter().rev().cloned().collect();
            let stored = Record::new(both.key(), both.facts_raw(), received).expect("readable");
            prop_assert_eq!(bytes(&stored), bytes(&both));
        }
    }

    #[test]
    fn no_context_removes_what_no_present_write_has_seen(steps in history(16)) {
        let places = World::after(&steps).places;
        let (a, b) = (&places[0].record, &places[1].record);
        let both = joined(a, b);
        for register in REGISTERS.into_iter().chain([LIFE]) {
            let after = both.register(register);
            for view in [a.register(register), b.register(register)] {
                for gone in view.siblings.iter().filter(|w| !after.dots().contains(&w.dot)) {
                    prop_assert!(after.siblings.iter().any(|w| w.seen.contains(gone.dot)));
                }
            }
            for (i, kept) in after.siblings.iter().enumerate() {
                let others = after.siblings.iter().enumerate().filter(|(j, _)| *j != i);
                prop_assert!(others.clone().all(|(_, w)| !w.seen.contains(kept.dot)));
            }
        }
    }

    #[test]
    fn who_has_seen_a_write_has_seen_all_that_it_had_seen(steps in history(16)) {
        let places = World::after(&steps).places;
        let all: Vec<&Write> = places.iter().flat_map(|p| writes(&p.record)).collect();
        for (later, earlier) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
            if later.register == earlier.register && later.seen.contains(earlier.dot) {
                prop_assert!(later.seen.covers(&earlier.seen));
            }
        }
    }

    #[test]
    fn a_form_opened_before_a_change_arrived_and_saved_after_it_gives_a_conflict(
        steps in history(12),
        at in 0..REGISTERS.len(),
    ) {
        let mut here = settled(&steps);
        let mut elsewhere = here.clone();
        let form: Token = here.token().to_string().parse().expect("what was given out");
        write(&mut elsewhere, 201, REGISTERS[at], json!("theirs"), None);
        here.join(&elsewhere).expect("the same record");
        write(&mut here, 202, REGISTERS[at], json!("mine"), Some(&form));
        prop_assert_eq!(here.conflicts(), vec![REGISTERS[at]]);
        let mut shown: Vec<Value> =
            here.register(REGISTERS[at]).siblings.iter().map(|w| w.json()).collect();
        shown.sort_by_key(Value::to_string);
        prop_assert_eq!(shown, vec![json!("mine"), json!("theirs")]);
    }

    #[test]
    fn parallel_edits_of_different_registers_never_conflict(steps in history(12), split in 0u8..8) {
        let before = settled(&steps);
        let (mut left, mut right) = (before.clone(), before);
        for (i, register) in REGISTERS.into_iter().enumerate() {
            let (side, by) = if split & (1 << i) == 0 { (&mut left, 201) } else { (&mut right, 202) };
            write(side, by, register, json!(register), None);
        }
        let both = joined(&left, &right);
        prop_assert!(both.conflicts().is_empty());
        for register in REGISTERS {
            prop_assert_eq!(both.shown(register), Some(json!(register)));
        }
    }

    #[test]
    fn resolving_is_a_write_that_saw_them_all_and_it_holds_everywhere(
        steps in history(14),
        picks in prop::collection::vec(any::<(Index, Index, bool)>(), 6),
    ) {
        let places = World::after(&steps).places;
        let copies: Vec<Record> = places.iter().map(|p| p.record.clone()).collect();
        let mut resolved = joined_by(copies.clone(), &picks);
        for register in resolved.registers().map(str::to_owned).collect::<Vec<_>>() {
            write(&mut resolved, 203, &register, Value::Null, None);
        }
        prop_assert!(resolved.conflicts().is_empty());
        // Every copy from before the decision gives way to it.
        for copy in &copies {
            prop_assert_eq!(bytes(&joined(copy, &resolved)), bytes(&resolved));
        }
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn equal_siblings_are_no_conflict_but_each_keeps_its_dot(steps in history(10), at in 0..REGISTERS.len()) {
        let before = settled(&steps);
        let (mut left, mut right) = (before.clone(), before);
        write(&mut left, 201, REGISTERS[at], json!({ "a": 1, "b": 2 }), None);
        write(&mut right, 202, REGISTERS[at], json!({ "b": 2, "a": 1 }), None);
        let both = joined(&left, &right);
        prop_assert!(both.conflicts().is_empty());
        prop_assert_eq!(both.register(REGISTERS[at]).dots().len(), 2);
    }

    #[test]
    fn two_writes_under_one_dot_are_both_kept_in_the_order_of_their_hashes(
        steps in history(10),
        first in 0u8..9,
        second in 10u8..19,
    ) {
        // The machine was cloned while it ran: both go on with the same incarnation and counter.
        let before = settled(&steps);
        let (mut left, mut right) = (before.clone(), before);
        write(&mut left, 200, "note", json!(first), None);
        write(&mut right, 200, "note", json!(second), None);
        let both = joined(&left, &right);
        prop_assert_eq!(bytes(&both), bytes(&joined(&right, &left)));
        prop_assert_eq!(bytes(&both), bytes(&joined(&both, &left)));
        let view = both.register("note");
        prop_assert_eq!(view.siblings.len(), 2);
        prop_assert_eq!(view.siblings[0].dot, view.siblings[1].dot);
        prop_assert!(view.edits[0].hash() < view.edits[1].hash());
        prop_assert_eq!(both.conflicts(), vec!["note"]);
    }

    #[test]
    fn nothing_deleted_returns_from_an_old_copy(steps in history(14), later in history(8)) {
        let old = World::after(&steps).places;
        let mut stub = old.iter().fold(blank(), |all, place| joined(&all, &place.record));
        let values = stub.deletion("entered twice");
        stub.write(author(204), 0, values, None).expect("a small edit");
        prop_assert!(stub.is_deleted());
        for place in &old {
            prop_assert_eq!(bytes(&joined(&place.record, &stub)), bytes(&stub));
        }
        prop_assert!(writes(&stub).all(|w| w.is_empty() || *w.register == *LIFE));
        // Whoever went on without knowing is heard: what they wrote stands beside the deletion, as a conflict.
        let mut world = World::after(&steps);
        later.iter().for_each(|step| world.step(step));
        let late = &world.places[0].record;
        let both = joined(&stub, late);
        for register in REGISTERS {
            let view = both.register(register);
            let unseen = |w: &&Write| !w.is_empty() && !stub.extent().contains(w.dot);
            if both.is_deleted() && view.siblings.iter().copied().any(|w| unseen(&w)) {
                prop_assert!(both.conflicts().contains(&register));
            }
        }
    }

    #[test]
    fn unknown_fields_survive_joins_byte_for_byte(steps in history(10), extra in "[a-z ]{0,8}", seed: u8) {
        let future = future_edit(&extra, seed);
        let facts_raw = format!(r#"{{"issuer":"{OWNER}" , "classified":"{extra}"}}"#);
        let edit = Edit::parse(&future).expect("readable");
        let theirs = Record::new(blank().key(), &facts_raw, vec![edit]).expect("readable");
        let ours = World::after(&steps).places[0].record.clone();
        let both = joined(&joined(&ours, &theirs), &ours);
        prop_assert_eq!(bytes(&both), bytes(&joined(&theirs, &ours)));
        prop_assert!(both.edits().iter().any(|e| e.raw() == future));
        prop_assert_eq!(both.facts_raw(), facts_raw.as_str().min(ours.facts_raw()));
        let mut learned = ours.clone();
        prop_assert!(learned.join(&theirs).expect("the same record").changed);
    }
}

fn future_edit(extra: &str, seed: u8) -> String {
    format!(
        r#"{{ "by":"x","urgency":"{extra}", "i":"{}","n":1,"t":"00000000000000{seed:02x}","u":"{OWNER}",
            "w":{{"note":{{"v":{{"k" : [1.50, "{extra}"]}}, "why":"{extra}"}}}} }}"#,
        incarnation(99)
    )
}

#[test]
fn a_spelling_of_the_facts_that_wins_counts_as_a_change() {
    let mut ours = blank();
    write(&mut ours, 1, "note", json!(1), None);
    let spaced = format!(r#"{{ "issuer":"{OWNER}"}}"#);
    let theirs = Record::new(ours.key(), &spaced, ours.edits().to_vec()).unwrap();
    let before = ours.digest();
    let changed = ours.join(&theirs).unwrap().changed;
    assert_eq!((changed, ours.digest() == before), (true, false));
}

#[test]
fn two_tasks_of_one_issuer_are_not_one_record() {
    let mut other_key = blank().key();
    other_key.id = uuid::Uuid::from_u128(2);
    let facts = Facts::Task {
        issuer: OWNER,
        parent: None,
    };
    assert!(blank().join(&Record::begin(facts, other_key)).is_err());
}

#[test]
fn forged_writes_that_claim_to_have_seen_each_other_do_not_erase_each_other() {
    let edit = |own: u8, other: u8| {
        let (own, other) = (incarnation(own), incarnation(other));
        Edit::parse(&format!(
            r#"{{"i":"{own}","n":1,"t":"0000000000000001","u":"{OWNER}","by":"x","w":{{"note":{{"v":1,"s":{{"{other}":9}}}}}}}}"#
        ))
        .unwrap()
    };
    let facts_raw = blank().facts_raw().to_owned();
    let record = Record::new(blank().key(), &facts_raw, vec![edit(1, 2), edit(2, 1)]).unwrap();
    assert_eq!(record.register("note").siblings.len(), 2);
}

#[test]
fn a_token_is_good_for_its_own_record_only_and_one_that_names_none_is_still_read() {
    let mut record = blank();
    write(&mut record, 1, "note", json!(1), None);
    let form = record.token();
    let elsewhere = Token {
        of: Some(uuid::Uuid::from_u128(2)),
        seen: form.seen.clone(),
    };
    let unchanged = record.digest();
    let note = || values([("note", json!(2))]);
    assert!(
        record
            .write(author(2), 0, note(), Some(&elsewhere))
            .is_err()
    );
    assert_eq!(record.digest(), unchanged);
    let former = Token {
        of: None,
        seen: form.seen,
    };
    let former: Token = former.to_string().parse().expect("as 0.1 handed them out");
    record
        .write(author(2), 0, note(), Some(&former))
        .expect("what was shown of this record");
    assert!(record.conflicts().is_empty());
}

#[test]
fn a_forged_counter_at_the_limit_is_an_error_for_the_next_writer_and_not_a_panic() {
    let seen = Context::from_iter([nqsync_core::sync::Dot {
        incarnation: incarnation(1),
        counter: u32::MAX,
    }]);
    let token = Token {
        of: None,
        seen: [("note".to_owned(), seen)].into(),
    };
    let mut record = blank();
    write(&mut record, 2, "note", json!(1), Some(&token));
    let next = record.write(author(1), 0, values([("note", json!(2))]), None);
    assert!(next.is_err());
}
