//! Files: as a part of a form, as the body, inside JSON, or in two steps.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::client::Again;
use super::settings::{Method, UploadKind};
use super::{Extra, Http, Purpose, Vars, filled};
use crate::adapter::engine::{EngineError, Upload};
use crate::adapter::profile::Stream;

/// Largest file that is put into JSON, in bytes: it is held in memory one and a third times.
const LARGEST_IN_JSON: u64 = 32 << 20;

impl Http {
    pub(super) async fn upload_file(
        &mut self,
        stream: &Stream,
        id: &str,
        file: &Upload,
    ) -> Result<Option<String>, EngineError> {
        let http = Self::of(stream)?;
        let Some(upload) = http.upload.clone() else {
            let text = format!(
                "stream {} hands over files and needs a table [stream.http.upload]",
                stream.name
            );
            return Err(EngineError::NotAllowed(text));
        };
        let mut vars = self.place.clone();
        vars.extend(Vars::from([
            ("id", id.to_owned()),
            ("name", file.name.clone()),
            ("sha256", file.sha256.clone()),
            ("size", file.size.to_string()),
        ]));
        let purpose = Purpose {
            stream,
            name: "upload",
            method: Method::Post,
            again: Again::NotCarriedOut,
        };
        let mut renewed = false;
        let good = loop {
            self.login.ensure(&mut self.client, &self.mapper).await?;
            let url = self.client.url(&filled(&upload.path, &vars, true))?;
            let mut request = self
                .client
                .request(upload.method.unwrap_or(Method::Post), url);
            for (name, text) in self.settings.headers.iter().chain(&upload.headers) {
                request = request.header(name, filled(text, &vars, false));
            }
            if let Some(header) = &http.idempotency_header {
                request = request.header(header, &file.idempotency_key);
            }
            request = match upload.kind {
                UploadKind::Multipart => {
                    let part = Part::stream_with_length(stream_of(file).await?, file.size);
                    let mut form =
                        Form::new().part(upload.part.clone(), part.file_name(file.name.clone()));
                    for (name, text) in &upload.fields {
                        form = form.text(name.clone(), filled(text, &vars, false));
                    }
                    request.multipart(form)
                }
                UploadKind::Raw => request
                    .header("Content-Length", file.size)
                    .body(stream_of(file).await?),
                UploadKind::Base64 => request.json(&self.in_json(stream, &vars, file).await?),
            };
            let answer = self
                .client
                .send(self.login.sign(request), purpose.again)
                .await?;
            match self.judge(&purpose, answer).await {
                Err(EngineError::Authentication(_)) if self.login.can_renew() && !renewed => {
                    self.login.forget();
                    renewed = true;
                }
                other => break other?,
            }
        };
        let token = match &upload.token {
            Some(_) => {
                self.select(&format!("{}.http.upload.token", stream.name), good.json)
                    .await?
            }
            None => Value::Null,
        };
        let token = super::super::cycle::text_of(&token);
        if let Some(attach) = &upload.attach {
            let mut vars = vars;
            vars.extend(token.clone().map(|token| ("token", token)));
            let purpose = Purpose {
                name: "attach",
                ..purpose
            };
            self.call(&purpose, attach, &vars, Extra::default()).await?;
        }
        Ok(token)
    }

    async fn in_json(
        &self,
        stream: &Stream,
        vars: &Vars,
        file: &Upload,
    ) -> Result<Value, EngineError> {
        if file.size > LARGEST_IN_JSON {
            let text = format!(
                "{} has {} bytes, too many to be put into JSON",
                file.name, file.size
            );
            return Err(EngineError::Refused(text));
        }
        let bytes = tokio::fs::read(&file.path)
            .await
            .map_err(|e| unreadable(file, &e))?;
        let mut input = json!(vars);
        input["base64"] = Value::String(STANDARD.encode(bytes));
        let set = format!("{}.http.upload.body", stream.name);
        // The input holds the file, so the mapping's error is not shown.
        let mapped = self.mapper.one(&set, input).await;
        mapped.map_err(|_| EngineError::Unexpected(format!("{set} cannot be evaluated")))
    }
}

async fn stream_of(file: &Upload) -> Result<reqwest::Body, EngineError> {
    let open = tokio::fs::File::open(&file.path).await;
    Ok(reqwest::Body::from(open.map_err(|e| unreadable(file, &e))?))
}

fn unreadable(file: &Upload, error: &std::io::Error) -> EngineError {
    EngineError::Refused(format!("{}: {error}", file.name))
}
