//! *Rollup*: how many tasks stand where, with what is missing beside every total, down to single units.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::civil::Date;
use nqsync_core::calendar::Period;
use serde_json::{Value, json};

use crate::api::{Command, Failure, RollupBy};
use crate::console::Console;
use crate::console::ask::Person;
use crate::console::form::{Asked, Fields};

/// The rollup of a period.
pub async fn show(
    State(console): State<Arc<Console>>,
    person: Person,
    Asked(asked): Asked,
) -> Response {
    let data = data(&console, &person, &asked).await;
    console.page(&person, "rollup", "rollup.html", data).await
}

async fn data(console: &Console, person: &Person, asked: &Fields) -> Result<Value, Failure> {
    let by = match asked.get("by") {
        Some("unit") => RollupBy::Unit,
        Some("issuer") => RollupBy::Issuer,
        _ => RollupBy::Group,
    };
    let show = Command::RollupShow {
        period: asked.text("period"),
        unit: asked.text("unit"),
        by,
        recompute: false,
        version: asked.get("version").and_then(|n| n.parse().ok()),
    };
    let rollup = console.read(person, show).await?;
    let indicators = Command::IndicatorList {
        period: asked.text("period"),
        unit: asked.text("unit"),
    };
    let indicators = console.read(person, indicators).await?;
    let units = console.read(person, super::all_units()).await?;
    let elapsed = elapsed(&rollup);
    Ok(json!({
        "elapsed": elapsed.map(|(gone, of)| json!({ "days": gone, "of": of })),
        "rollup": rollup,
        "indicators": indicators["items"],
        "units": units["items"],
        "by": by,
        "asked": { "period": asked.get("period"), "unit": asked.get("unit") },
    }))
}

/// How many days of the period are over, the day of counting included, and how many it has.
fn elapsed(rollup: &Value) -> Option<(i32, i32)> {
    let period: Period = rollup["period"].as_str()?.parse().ok()?;
    let counted: Date = rollup["evaluated_on"].as_str()?.parse().ok()?;
    let days = |last: Date| (last - period.start()).get_days() + 1;
    let of = days(period.end());
    Some((days(counted).clamp(0, of), of))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(period: &str, counted: &str) -> Option<(i32, i32)> {
        elapsed(&json!({ "period": period, "evaluated_on": counted }))
    }

    #[test]
    fn the_day_of_counting_is_a_day_of_the_period() {
        assert_eq!(of("2026-11", "2026-11-01"), Some((1, 30)));
        assert_eq!(of("2026-11", "2026-11-28"), Some((28, 30)));
        assert_eq!(of("2028-02", "2028-02-29"), Some((29, 29)));
        assert_eq!(of("2026", "2026-12-31"), Some((365, 365)));
        assert_eq!(of("2026-12", "2026-11-28"), Some((0, 31)), "not begun");
        assert_eq!(of("?", "2026-11-28"), None);
    }
}
