//! Why a verb was not carried out, in a form that can be said in any language.

use crate::api::Exit;
use crate::store::StoreError;
use crate::store::blobs::BlobError;

/// A refusal: nothing was changed. Its sentence is the catalogue entry `err-<code>` with these arguments.
#[derive(Debug)]
pub struct Refusal {
    /// Exit code of the process.
    pub exit: Exit,
    /// Stable code, words joined by `-`; the catalogue holds `err-<code>`.
    pub code: &'static str,
    /// Arguments of the sentence.
    pub args: Vec<(&'static str, String)>,
}

impl Refusal {
    /// Bad input: exit code 2.
    pub fn usage(
        code: &'static str,
        args: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Refusal {
        Refusal {
            exit: Exit::Usage,
            code,
            args: args.into_iter().collect(),
        }
    }

    /// Anything else.
    pub fn with(
        exit: Exit,
        code: &'static str,
        args: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Refusal {
        Refusal {
            exit,
            code,
            args: args.into_iter().collect(),
        }
    }
}

impl Refusal {
    /// How a verb ends that the store could not carry out, and the key of its sentence.
    pub fn of_store(error: &StoreError) -> (Exit, &'static str) {
        match error {
            StoreError::Locked { .. } => (Exit::Locked, "store-locked"),
            StoreError::OtherLevel { .. } => (Exit::Refused, "other-level-store"),
            StoreError::NotInitialised(_) => (Exit::NotInitialised, "not-initialised"),
            StoreError::NotEnrolled => (Exit::NotInitialised, "not-enrolled"),
            StoreError::HalfRestored(_) => (Exit::NotInitialised, "half-restored"),
            StoreError::Unsound(_) => (Exit::PersonNeeded, "store-damaged"),
            StoreError::ReadOnlyDisk(_) => (Exit::Failed, "disk-read-only"),
            StoreError::Full(_) => (Exit::Failed, "disk-full"),
            _ => (Exit::Failed, "store"),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (exit, code) = Refusal::of_store(&error);
        Refusal {
            exit,
            code,
            args: vec![("detail", error.to_string())],
        }
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Store(error) => error.into(),
            BlobError::Changed(_) => {
                Refusal::usage("file-changed", [("detail", error.to_string())])
            }
            _ => Refusal::usage("file-refused", [("detail", error.to_string())]),
        }
    }
}
