//! The one place where ids are drawn. As with the clock, everything else gets them from here, so that a test can have the
//! same ones twice and compare what two runs say byte by byte.
//!
//! Keys and secrets are not drawn here: they come from the cryptographic library, and nobody can have them twice.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::{Builder, Uuid};

/// A source of ids.
#[derive(Clone, Default)]
pub struct Chance(Option<Arc<Mutex<StdRng>>>);

impl Chance {
    /// The machine's randomness.
    pub fn system() -> Chance {
        Chance(None)
    }

    /// Ids that follow from a number.
    pub fn seeded(seed: u64) -> Chance {
        Chance(Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        match &self.0 {
            None => rand::rng().random(),
            Some(seeded) => seeded
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .random(),
        }
    }

    /// An id that says nothing (UUIDv4).
    pub fn id(&self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// An id that is ordered by birth (UUIDv7).
    pub fn id_at(&self, now_ms: i64) -> Uuid {
        let ms = now_ms.max(0) as u64;
        Builder::from_unix_timestamp_millis(ms, &self.bytes()).into_uuid()
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_ids_again_and_the_machine_does_not() {
        let drawn = |chance: Chance| (chance.id(), chance.id(), chance.id_at(1_774_148_400_000));
        assert_eq!(drawn(Chance::seeded(7)), drawn(Chance::seeded(7)));
        assert_ne!(drawn(Chance::seeded(7)), drawn(Chance::seeded(8)));
        assert_ne!(drawn(Chance::system()), drawn(Chance::system()));
    }

    #[test]
    fn ids_by_birth_say_when() {
        let id = Chance::system().id_at(1_774_148_400_123);
        let (seconds, nanos) = id.get_timestamp().expect("a time").to_unix();
        assert_eq!((seconds, nanos), (1_774_148_400, 123_000_000));
        assert_eq!(id.get_version_num(), 7);
    }
}
