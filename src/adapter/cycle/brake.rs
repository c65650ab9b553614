//! When a run stops and asks: pure.

use super::report::Held;
use crate::adapter::profile::Brake;

/// A listing that lost this few records is believed, unless it is empty.
const FEW: usize = 3;

/// Whether a full listing lost so many known records that it is not believed. An outside that is broken answers with an
/// empty or cut list more often than somebody deletes everything.
pub fn shrunken(brake: &Brake, known: usize, seen: usize, listed: usize) -> bool {
    let lost = known.saturating_sub(seen);
    let empty = listed == 0 && known > 0;
    empty || (lost >= FEW && lost as f64 > brake.shrink * known as f64)
}

/// Whether so many known records would change on one side that a person is asked first.
pub fn held(brake: &Brake, known: usize, here: usize, there: usize) -> Option<Held> {
    let too_many = |n: usize| n >= brake.at_least as usize && n as f64 > brake.share * known as f64;
    (too_many(here) || too_many(there)).then_some(Held { here, there, known })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_shrunken_listing_is_not_believed() {
        let brake = Brake::default();
        assert!(shrunken(&brake, 1, 0, 0));
        assert!(shrunken(&brake, 100, 79, 79));
        assert!(!shrunken(&brake, 100, 80, 80));
        assert!(!shrunken(&brake, 5, 3, 3), "a few may go");
        assert!(!shrunken(&brake, 0, 0, 0), "nothing was known");
    }

    #[test]
    fn many_changes_at_once_are_held_and_few_are_not() {
        let brake = Brake::default();
        assert_eq!(held(&brake, 100, 51, 0).map(|h| h.here), Some(51));
        assert_eq!(held(&brake, 100, 0, 51).map(|h| h.there), Some(51));
        assert_eq!(held(&brake, 100, 50, 50), None);
        assert_eq!(held(&brake, 19, 19, 0), None, "fewer than are ever held");
    }
}
