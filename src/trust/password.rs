//! Passwords of people who log in at the console.
//!
//! Only a salted hash (Argon2id, with OWASP's costs) is kept. Length is what makes a password hard to guess, so that is
//! what is asked for (NIST SP 800-63B), and that nobody guesses it early; no mixture of characters is demanded.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use zxcvbn::{Score, zxcvbn};

/// Shortest password, in characters.
pub const MIN_CHARS: usize = 12;
/// Longest password, in bytes: hashing more would only cost time.
pub const MAX_BYTES: usize = 1024;
/// Words that whoever guesses tries first here, beside the common passwords that the estimate knows.
const LOCAL_WORDS: [&str; 3] = ["nqsync", "matkhau", "mat khau"];
/// Memory of one hash, in blocks of 1 KiB.
const BLOCKS: u32 = 19 * 1024;
/// How often that memory is gone through.
const PASSES: u32 = 2;
/// Passwords hashed at the same time: each takes 19 MiB.
const AT_ONCE: usize = 2;
/// Passwords that wait for these. On a slow machine the last of them waits three seconds; whoever comes then is sent away
/// at once, or a crowd of strangers would keep everybody waiting for minutes.
const WAITING: usize = 32;

/// Why a password is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    /// Fewer than [`MIN_CHARS`] characters, or more than [`MAX_BYTES`] bytes.
    #[error("a password has at least {MIN_CHARS} characters")]
    Length,
    /// A common password, the name, a row of the keyboard, a few characters again and again.
    #[error("this password can be guessed")]
    Guessable,
    /// The system has no randomness, or no memory.
    #[error("cannot hash the password: {0}")]
    System(String),
}

/// Where a service hashes passwords: two at a time, in memory that is kept for the next ones.
///
/// Taken anew for each password, that memory stayed with whichever thread had hashed it: 1.3 GB after strangers had typed
/// passwords for a while.
#[derive(Debug)]
pub struct Line {
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

/// A place in the [`Line`], for one password.
pub struct Place<'a> {
    line: &'a Line,
    _place: OwnedSemaphorePermit,
}

impl Default for Line {
    fn default() -> Line {
        Line::of(AT_ONCE, WAITING)
    }
}

impl Line {
    fn of(at_once: usize, waiting: usize) -> Line {
        Line {
            places: Arc::new(Semaphore::new(at_once + waiting)),
            running: Arc::new(Semaphore::new(at_once)),
            memory: Arc::default(),
        }
    }

    /// A place; `None` when so many wait that one more would only wait in vain.
    pub fn enter(&self) -> Option<Place<'_>> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        Some(Place {
            line: self,
            _place: place,
        })
    }
}

impl Place<'_> {
    /// Whether this is the password of the hash. Without a hash the same time is spent, so that nobody learns which names
    /// exist.
    pub async fn matches(
        self,
        secret: Option<String>,
        password: String,
    ) -> Result<bool, JoinError> {
        self.run(move |memory| matches(memory, secret.as_deref(), &password))
            .await
    }

    /// The hash of a new password, as PHC text.
    pub async fn hash(
        self,
        name: String,
        password: String,
    ) -> Result<Result<String, Unfit>, JoinError> {
        self.run(move |memory| hash_in(memory, &name, &password))
            .await
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut [Block]) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let running = self.line.running.clone().acquire_owned().await;
        let memory = self.line.memory.clone();
        tokio::task::spawn_blocking(move || {
            // The work itself holds this, not who waits for it: who hangs up leaves the work behind, and others would
            // begin beside it.
            let _running = running;
            let kept = held(&memory).pop();
            let mut blocks = kept.unwrap_or_else(blocks);
            let done = work(&mut blocks);
            held(&memory).push(blocks);
            done
        })
        .await
    }
}

fn held(memory: &Mutex<Vec<Vec<Block>>>) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
    // Nothing that could panic is done while holding it.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn blocks() -> Vec<Block> {
    vec![Block::new(); BLOCKS as usize]
}

/// The crate's defaults are the same today, and must not change under us. One lane.
fn params() -> Params {
    Params::new(BLOCKS, PASSES, 1, None).unwrap_or_default()
}

/// The hash of a new password, as PHC text. Takes some tens of milliseconds; a service does it in its [`Line`].
pub fn hash(name: &str, password: &str) -> Result<String, Unfit> {
    hash_in(&mut blocks(), name, password)
}

fn hash_in(memory: &mut [Block], name: &str, password: &str) -> Result<String, Unfit> {
    if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
        return Err(Unfit::Length);
    }
    let known = [&[name][..], &LOCAL_WORDS].concat();
    if zxcvbn(password, &known).score() < Score::Three {
        return Err(Unfit::Guessable);
    }
    let hashed = hashed(memory, password, Salt::generate());
    hashed.map_err(Unfit::System)
}

fn hashed(memory: &mut [Block], password: &str, salt: Salt) -> Result<String, String> {
    let (algorithm, version, params) = (Algorithm::Argon2id, Version::V0x13, params());
    let written = ParamsString::try_from(&params).map_err(|error| error.to_string())?;
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, memory)
        .map_err(|error| error.to_string())?;
    let output = Output::new(&output).map_err(|error| error.to_string())?;
    let hash = PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: written,
        salt: Some(salt),
        hash: Some(output),
    };
    Ok(hash.to_string())
}

fn matches(memory: &mut [Block], secret: Option<&str>, password: &str) -> bool {
    if password.len() > MAX_BYTES {
        return false;
    }
    match secret.and_then(known) {
        Some(known) => known.is_of(memory, password),
        None => {
            // The result is thrown away; only its time counts.
            let _ = hashed(memory, password, Salt::generate());
            false
        }
    }
}

/// A hash that was read.
struct Known {
    argon2: Argon2<'static>,
    salt: Salt,
    output: Output,
}

/// Reads a hash. One that costs more than ours is none: it could ask for any memory, and for days.
fn known(secret: &str) -> Option<Known> {
    let hash = PasswordHash::new(secret).ok()?;
    let algorithm = Algorithm::new(hash.algorithm).ok()?;
    let version = hash.version.map_or(Ok(Version::V0x13), Version::try_from);
    let params = Params::try_from(&hash).ok()?;
    let dear = params.block_count() > BLOCKS as usize || params.t_cost() > PASSES;
    if dear {
        return None;
    }
    Some(Known {
        argon2: Argon2::new(algorithm, version.ok()?, params),
        salt: hash.salt?,
        output: hash.hash?,
    })
}

impl Known {
    fn is_of(&self, memory: &mut [Block], password: &str) -> bool {
        let mut output = [0; Output::MAX_LENGTH];
        let output = &mut output[..self.output.len()];
        let hashed = self.argon2.hash_password_into_with_memory(
            password.as_bytes(),
            &self.salt,
            output,
            memory,
        );
        // This comparison takes the same time wherever the two differ.
        hashed.is_ok() && Output::new(output).is_ok_and(|output| output == self.output)
    }
}

/// Whether a text is a hash that a password can be checked against.
pub fn is_hash(secret: &str) -> bool {
    known(secret).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_opens_its_own_hash_only() {
        let secret = hash("an", "một con vịt xoè ra").expect("long enough");
        assert!(
            secret.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{secret}"
        );
        assert!(is_hash(&secret));
        // The memory is not emptied between two passwords.
        let memory = &mut blocks();
        for _ in 0..2 {
            assert!(matches(memory, Some(&secret), "một con vịt xoè ra"));
            assert!(!matches(memory, Some(&secret), "một con vịt xoè re"));
            assert!(!matches(memory, None, "một con vịt xoè ra"));
        }
        assert_ne!(secret, hash("an", "một con vịt xoè ra").expect("again"));
    }

    #[test]
    fn a_hash_that_another_argon2_made_is_known_and_one_that_costs_more_is_none() {
        use argon2::password_hash::PasswordHasher;

        let theirs = |blocks, passes| {
            let params = Params::new(blocks, passes, 1, None).expect("in range");
            let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash = hasher.hash_password(b"a duck on a pond");
            hash.expect("hashed").to_string()
        };
        for secret in [theirs(BLOCKS, PASSES), theirs(64, 1)] {
            assert!(is_hash(&secret));
            assert!(matches(&mut blocks(), Some(&secret), "a duck on a pond"));
            assert!(!matches(&mut blocks(), Some(&secret), "a duck on a bond"));
        }
        for secret in [theirs(BLOCKS + 4, 1), theirs(64, PASSES + 1)] {
            assert!(!is_hash(&secret), "{secret}");
            assert!(!matches(&mut blocks(), Some(&secret), "a duck on a pond"));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crowd_is_hashed_in_the_same_memory_and_most_of_it_is_sent_away() {
        let line = Line::of(2, 3);
        let typed = || ("an".to_owned(), "một con vịt xoè ra".to_owned());
        let mut places: Vec<_> = (0..5).filter_map(|_| line.enter()).collect();
        assert_eq!((places.len(), line.enter().is_none()), (5, true));
        // Some hang up while theirs is hashed: that goes on, and counts.
        for place in places.drain(..2) {
            let ((name, password), patience) = (typed(), std::time::Duration::from_millis(1));
            let hashed = tokio::time::timeout(patience, place.hash(name, password)).await;
            assert!(hashed.is_err(), "hashed in a millisecond");
        }
        let ((name, password), place) = (typed(), line.enter().expect("a place was given back"));
        let last = place.hash(name, password).await.expect("no panic");
        assert!(last.is_ok());
        for place in places {
            let right = place.matches(None, typed().1).await.expect("no panic");
            assert!(!right);
        }
        assert!(held(&line.memory).len() <= 2);
        assert!(line.enter().is_some());
    }

    #[test]
    fn what_is_short_or_guessable_is_not_taken() {
        assert_eq!(hash("an", "ngắn quá"), Err(Unfit::Length));
        assert_eq!(hash("an", &"dài ".repeat(400)), Err(Unfit::Length));
        for common in [
            "aaaaaaaaaaaaaaaa",
            "123456789012",
            "1q2w3e4r5t6y",
            "qwertyuiopasdf",
            "password1234",
            "MatKhau123456",
        ] {
            assert_eq!(hash("an", common), Err(Unfit::Guessable), "{common}");
        }
        assert_eq!(hash("nguyenvana", "NguyenVanA123"), Err(Unfit::Guessable));
    }
}
