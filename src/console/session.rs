//! Who is logged in. Sessions live in memory only: after a restart everybody logs in again.
//!
//! A browser holds a random token, this process its hash. Every form carries a second token of the session, so that
//! another site cannot make a browser send one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::api::Lang;

/// After so long everybody logs in again.
pub const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Sessions at the same time; beyond it the one that was idle longest ends.
const MOST: usize = 1000;

/// One login.
#[derive(Clone, Debug)]
pub struct Session {
    /// Login name.
    pub user: String,
    /// What every form must carry.
    pub form_token: String,
    /// Language of the pages.
    pub lang: Lang,
    /// When the user's role or password last changed as this login saw it: another one ends the session.
    pub user_changed_at: i64,
    began_ms: i64,
    seen_ms: i64,
    flash: Vec<Flash>,
}

/// What the last form led to, shown once on the next page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Flash {
    /// `done`, `partly` or `failed`.
    pub kind: &'static str,
    /// The sentence.
    pub text: String,
}

/// All logins.
pub struct Sessions {
    idle: Duration,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<[u8; 32], Session>,
}

/// 256 bits nobody can guess, as text for a cookie or a form.
fn secret() -> String {
    let bytes: [u8; 32] = rand::random();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Sessions {
    /// None yet; who is idle for longer is logged out.
    pub fn new(idle: Duration) -> Sessions {
        Sessions {
            idle,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A panic while holding it leaves whole values behind.
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lets a user in. Answers the token for the browser.
    pub fn begin(&self, user: &str, user_changed_at: i64, lang: Lang, now_ms: i64) -> String {
        let token = secret();
        let mut inner = self.inner();
        if inner.sessions.len() >= MOST {
            let idlest = inner.sessions.iter().min_by_key(|(_, s)| s.seen_ms);
            if let Some(idlest) = idlest.map(|(hash, _)| *hash) {
                inner.sessions.remove(&idlest);
            }
        }
        inner.sessions.insert(
            hash(&token),
            Session {
                user: user.to_owned(),
                form_token: secret(),
                lang,
                user_changed_at,
                began_ms: now_ms,
                seen_ms: now_ms,
                flash: Vec::new(),
            },
        );
        token
    }

    /// The session of a token, if it is still one.
    pub fn of(&self, token: &str, now_ms: i64) -> Option<Session> {
        let mut inner = self.inner();
        let key = hash(token);
        let session = inner.sessions.get_mut(&key)?;
        // A clock that was set back must not make a session longer.
        let idle = (now_ms - session.seen_ms).abs();
        let age = (now_ms - session.began_ms).abs();
        if idle > millis(self.idle) || age > millis(LONGEST) {
            inner.sessions.remove(&key);
            return None;
        }
        session.seen_ms = now_ms;
        Some(session.clone())
    }

    /// Logs out.
    pub fn end(&self, token: &str) {
        self.inner().sessions.remove(&hash(token));
    }

    /// Another language for this login.
    pub fn speak(&self, token: &str, lang: Lang) {
        if let Some(session) = self.inner().sessions.get_mut(&hash(token)) {
            session.lang = lang;
        }
    }

    /// Keeps what the next page will say.
    pub fn tell(&self, token: &str, flash: Flash) {
        if let Some(session) = self.inner().sessions.get_mut(&hash(token)) {
            session.flash.push(flash);
        }
    }

    /// What is to be said, once.
    pub fn told(&self, token: &str) -> Vec<Flash> {
        let mut inner = self.inner();
        let session = inner.sessions.get_mut(&hash(token));
        session
            .map(|s| std::mem::take(&mut s.flash))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(1800);

    #[test]
    fn a_session_ends_when_idle_when_old_and_when_asked() {
        let sessions = Sessions::new(IDLE);
        let token = sessions.begin("an", 1, Lang::Vi, 0);
        assert_eq!(sessions.of(&token, 1000).expect("fresh").user, "an");
        assert!(sessions.of(&token, 1000 + 1_800_000).is_some());
        assert!(sessions.of(&token, 1000 + 2 * 1_800_000 + 1).is_none());
        assert!(sessions.of(&token, 1001).is_none(), "it was removed");

        let token = sessions.begin("an", 1, Lang::Vi, 0);
        for minute in 0..=12 * 60 {
            assert!(sessions.of(&token, minute * 60_000).is_some(), "{minute}");
        }
        assert!(sessions.of(&token, 12 * 3_600_000 + 1).is_none());

        let token = sessions.begin("an", 1, Lang::Vi, 0);
        sessions.end(&token);
        assert!(sessions.of(&token, 1).is_none());
        assert!(sessions.of("", 1).is_none());
    }

    #[test]
    fn what_is_told_is_told_once() {
        let sessions = Sessions::new(IDLE);
        let token = sessions.begin("an", 1, Lang::Vi, 0);
        let flash = Flash {
            kind: "done",
            text: "submitted".into(),
        };
        sessions.tell(&token, flash.clone());
        assert_eq!(sessions.told(&token), [flash]);
        assert!(sessions.told(&token).is_empty());
    }
}
