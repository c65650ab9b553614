//! Evidence files, handed over once each with the outside record they belong to.

use std::collections::HashMap;

use nqsync_core::model::values::FileRef;

use super::report::Report;
use super::{Cycle, RunError};
use crate::adapter::engine::{Engine, EngineError, Upload};
use crate::adapter::profile::Stream;
use crate::store::adapters;
use crate::store::blobs;

impl<E: Engine> Cycle<'_, E> {
    /// Hands over the files that the outside does not have yet, of records that are there.
    pub(super) async fn hand_over(
        &mut self,
        stream: &Stream,
        files: Vec<(String, FileRef)>,
        report: &mut Report,
    ) -> Result<(), RunError> {
        if files.is_empty() {
            return Ok(());
        }
        let (adapter, name) = (self.name.to_owned(), stream.name.clone());
        let read = self.read(move |view| {
            let of = adapters::Of {
                adapter: &adapter,
                stream: &name,
            };
            let mut there = HashMap::new();
            adapters::each_shadow(view.connection, of, |shadow| {
                if shadow.missing_since.is_none() {
                    there.insert(shadow.key, shadow.id);
                }
            })?;
            Ok((adapters::files(view.connection, of)?, there))
        });
        let (known, there) = read.await?;
        for (key, file) in files {
            let id = there
                .get(&key)
                .filter(|_| !known.contains(&(key.clone(), file.sha256.clone())));
            let Some(id) = id.cloned() else { continue };
            if let Some(upload) = self.upload_of(&key, &file).await? {
                self.hand_over_one(stream, &key, &id, &upload, report)
                    .await?;
            }
        }
        Ok(())
    }

    /// The file as the engine takes it; `None` while its bytes have not arrived here.
    async fn upload_of(&self, key: &str, file: &FileRef) -> Result<Option<Upload>, RunError> {
        let Some(id) = blobs::parse_hex(&file.sha256) else {
            return Ok(None);
        };
        let state = self
            .read(move |view| Ok(blobs::state(view.connection, &id)?))
            .await?;
        let upload = || Upload {
            path: blobs::path(self.node.store.dir(), &id),
            size: file.size,
            name: safe_name(&file.name),
            sha256: file.sha256.clone(),
            idempotency_key: format!("{}-{key}", &file.sha256[..16]),
        };
        Ok(state.filter(|(_, present)| *present).map(|_| upload()))
    }

    async fn hand_over_one(
        &mut self,
        stream: &Stream,
        key: &str,
        id: &str,
        upload: &Upload,
        report: &mut Report,
    ) -> Result<(), RunError> {
        match self.engine.upload(stream, id, upload).await {
            Ok(theirs) => {
                report.files += 1;
                let (key, sha256, at) = (key.to_owned(), upload.sha256.clone(), self.now_ms());
                self.keep(stream, move |tx, of| {
                    adapters::save_file(tx.connection(), of, &key, &sha256, theirs.as_deref(), at)
                })
                .await
            }
            Err(EngineError::Refused(text) | EngineError::Moved(text)) => {
                report.problem(key, "file_refused_there", text, self.now_ms());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A name that is only a name: the outside may make a path of it.
fn safe_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_control() || matches!(c, '/' | '\\' | '"') {
            '_'
        } else {
            c
        }
    };
    let text: String = name.chars().map(safe).take(150).collect();
    let text = text.trim_start_matches('.').trim();
    if text.is_empty() {
        "file".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_of_a_file_is_never_a_path() {
        assert_eq!(super::safe_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(super::safe_name("biên bản.pdf"), "biên bản.pdf");
        assert_eq!(super::safe_name("..\n"), "_");
        assert_eq!(super::safe_name(""), "file");
    }
}
