//! What a record remembers grows with every opening that wrote into it. `NQSYNC_PROOF=growth` takes a whole year.

use nqsync::store::records;
use nqsync_core::protocol::render_record;

use super::{exchanged, holds, later, report, task, world};

#[tokio::test]
async fn a_context_grows_by_one_opening_a_day_and_no_more_when_a_node_restarts_daily() {
    let proof = std::env::var("NQSYNC_PROOF").as_deref() == Ok("growth");
    let days = if proof { 365 } else { 40 };
    let mut world = world(2).await;
    let task = task(&mut world, 0, 1).await;
    exchanged(&mut world, 1).await;
    let mut line_bytes = Vec::new();
    let mut openings = 0;
    for day in 0..days {
        later(&mut world, 1);
        world.crash(1).await;
        let written = report(&mut world, 1, task, &format!("ngày {day}")).await;
        let written = written.expect("written");
        exchanged(&mut world, 1).await;
        let read = world.places[0]
            .node
            .store
            .read(move |c| records::load(c, written));
        let stored = read.await.expect("a read").expect("the report above");
        openings = stored.record.extent().len();
        line_bytes.push(render_record(&stored.record).len());
    }
    let (first, last) = (line_bytes[0], line_bytes[line_bytes.len() - 1]);
    println!(
        "{days} days with a restart and a write a day: a context of {openings} openings, a record of {last} bytes \
         ({first} after the first day)"
    );
    assert!(openings <= days + 1, "{openings}");
    // Two registers, each with one opening more: 22 characters and their counter.
    assert!(last - first <= days * 2 * 32, "{first} {last}");
    holds(world).await;
}
