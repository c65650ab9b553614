//! Passwords of people who log in at the console.
//!
//! Only a salted hash (Argon2id, with OWASP's costs) is kept. Length is what makes a password hard to guess, so that is
//! what is asked for (NIST SP 800-63B), and that nobody guesses it early; no mixture of characters is demanded.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use zxcvbn::{Score, zxcvbn};

/// Shortest password, in characters.
pub const MIN_CHARS: usize = 12;
/// Longest password, in bytes: hashing more would only cost time.
pub const MAX_BYTES: usize = 1024;
/// Words that whoever guesses tries first here, beside the common passwords that the estimate knows.
const LOCAL_WORDS: [&str; 3] = ["nqsync", "matkhau", "mat khau"];

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

fn argon2() -> Argon2<'static> {
    // 19 MiB, two passes, one lane; the crate's defaults are the same today, and must not change under us.
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The hash of a new password, as PHC text. Takes some tens of milliseconds: not on the runtime's threads.
pub fn hash(name: &str, password: &str) -> Result<String, Unfit> {
    if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
        return Err(Unfit::Length);
    }
    let known = [&[name][..], &LOCAL_WORDS].concat();
    if zxcvbn(password, &known).score() < Score::Three {
        return Err(Unfit::Guessable);
    }
    let hashed = argon2().hash_password(password.as_bytes());
    Ok(hashed
        .map_err(|error| Unfit::System(error.to_string()))?
        .to_string())
}

/// Whether this is the password of the hash. Without a hash the same time is spent, so that nobody learns which names
/// exist. Not on the runtime's threads.
pub fn matches(secret: Option<&str>, password: &str) -> bool {
    if password.len() > MAX_BYTES {
        return false;
    }
    let parsed = secret.and_then(|secret| PasswordHash::new(secret).ok());
    match parsed {
        Some(known) => argon2()
            .verify_password(password.as_bytes(), &known)
            .is_ok(),
        None => {
            // The result is thrown away; only its time counts.
            let _ = argon2().hash_password(password.as_bytes());
            false
        }
    }
}

/// Whether a text is a hash that [`matches`] can check.
pub fn is_hash(secret: &str) -> bool {
    PasswordHash::new(secret).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_opens_its_own_hash_only() {
        let secret = hash("an", "một con vịt xoè ra").expect("long enough");
        assert!(secret.starts_with("$argon2id$"), "{secret}");
        assert!(is_hash(&secret));
        assert!(matches(Some(&secret), "một con vịt xoè ra"));
        assert!(!matches(Some(&secret), "một con vịt xoè re"));
        assert!(!matches(None, "một con vịt xoè ra"));
        assert_ne!(secret, hash("an", "một con vịt xoè ra").expect("again"));
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
