//! Logging in: what a request has to carry, and how to get it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::SET_COOKIE;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::client::{Again, Answer, Client};
use super::settings::{Auth, Method};
use crate::adapter::engine::EngineError;
use crate::adapter::mapping::{Mapper, Programs};
use crate::adapter::secret::{Plain, Secret};

/// Whoever we are to the outside.
pub struct Login {
    auth: Auth,
    secrets: Vec<Plain>,
    /// Header and value that every request carries once we are logged in.
    carried: Vec<(String, String)>,
    logged_in: bool,
}

/// The expressions that logging in needs.
pub fn programs(auth: &Auth) -> Programs {
    let mut programs = Programs::new();
    if let Auth::Login { body, token, .. } = auth {
        for (name, jq) in [("http.login_body", body), ("http.token", token)] {
            if let Some(jq) = jq {
                programs.insert(name.to_owned(), [("jq".to_owned(), jq.clone())].into());
            }
        }
    }
    programs
}

impl Login {
    /// Reads the secrets; nothing is sent.
    pub fn new(auth: &Auth, profile: &Path, client: &mut Client) -> Result<Login, EngineError> {
        let named: Vec<&Secret> = match auth {
            Auth::None => vec![],
            Auth::Bearer { token, .. } => vec![token],
            Auth::Basic { password, .. } | Auth::Login { password, .. } => vec![password],
            Auth::ApiKey { key, .. } => vec![key],
            Auth::Oauth2 { client_secret, .. } => vec![client_secret],
            Auth::Lgsp {
                access_key,
                secret_key,
                ..
            } => vec![access_key, secret_key],
        };
        let read = named.into_iter().map(|secret| secret.read(profile));
        let secrets: Vec<Plain> = read
            .collect::<Result<_, _>>()
            .map_err(EngineError::Authentication)?;
        secrets
            .iter()
            .for_each(|secret| client.hide(secret.clone()));
        Ok(Login {
            auth: auth.clone(),
            secrets,
            carried: Vec::new(),
            logged_in: false,
        })
    }

    /// Whether a refused login can be tried once more with a fresh one.
    pub fn can_renew(&self) -> bool {
        matches!(
            self.auth,
            Auth::Login { .. } | Auth::Oauth2 { .. } | Auth::Lgsp { .. }
        )
    }

    /// Forgets a login that ran out.
    pub fn forget(&mut self) {
        self.carried.clear();
        self.logged_in = false;
    }

    /// Adds to a request what says who we are.
    pub fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        let secret = |n: usize| self.secrets.get(n).map(Plain::reveal).unwrap_or_default();
        let request = match &self.auth {
            Auth::Bearer { prefix, .. } => {
                request.header("Authorization", format!("{prefix}{}", secret(0)))
            }
            Auth::Basic { user, .. } => request.basic_auth(user, Some(secret(0))),
            Auth::ApiKey { header, query, .. } => {
                let request = match header {
                    Some(header) => request.header(header, secret(0)),
                    None => request,
                };
                match query {
                    Some(query) => request.query(&[(query, secret(0))]),
                    None => request,
                }
            }
            _ => request,
        };
        let carry =
            |request: RequestBuilder, (name, value): &(String, String)| request.header(name, value);
        self.carried.iter().fold(request, carry)
    }

    /// Logs in, unless that is done already.
    pub async fn ensure(
        &mut self,
        client: &mut Client,
        mapper: &Mapper,
    ) -> Result<(), EngineError> {
        if self.logged_in || !self.can_renew() {
            return Ok(());
        }
        let auth = self.auth.clone();
        match &auth {
            Auth::Login { .. } => self.log_in(&auth, client, mapper).await?,
            Auth::Oauth2 {
                token_url,
                client_id,
                scope,
                ..
            } => {
                let secret = self.secrets[0].clone();
                let mut form = vec![("grant_type", "client_credentials")];
                form.extend(scope.as_deref().map(|scope| ("scope", scope)));
                let request = client.request(Method::Post, client.url(token_url)?);
                let request = request
                    .basic_auth(client_id, Some(secret.reveal()))
                    .form(&form);
                let token = access_token(client, request).await?;
                self.carry(client, "Authorization", "Bearer ", &token);
            }
            Auth::Lgsp { token_url, .. } => {
                let scheme = STANDARD.encode(self.lgsp().to_string());
                client.hide(Plain::from(scheme.clone()));
                let request = client.request(Method::Post, client.url(token_url)?);
                let form = [("grant_type", "client_credentials")];
                let request = request.header("lgspaccesstoken", &scheme).form(&form);
                let token = access_token(client, request).await?;
                self.carried.push(("lgspaccesstoken".to_owned(), scheme));
                self.carry(client, "Authorization", "Bearer ", &token);
            }
            _ => {}
        }
        self.logged_in = true;
        Ok(())
    }

    fn lgsp(&self) -> Value {
        let Auth::Lgsp {
            app_name,
            partner_code,
            partner_code_cus,
            ..
        } = &self.auth
        else {
            return Value::Null;
        };
        json!({
            "AccessKey": self.secrets[0].reveal(), "SecretKey": self.secrets[1].reveal(),
            "AppName": app_name, "PartnerCode": partner_code, "PartnerCodeCus": partner_code_cus,
        })
    }

    async fn log_in(
        &mut self,
        auth: &Auth,
        client: &mut Client,
        mapper: &Mapper,
    ) -> Result<(), EngineError> {
        let Auth::Login {
            path,
            user,
            body,
            form,
            token,
            header,
            prefix,
            ..
        } = auth
        else {
            return Ok(());
        };
        let mut content = json!({ "user": user, "password": self.secrets[0].reveal() });
        if body.is_some() {
            // What the mapping was given holds the password, so its error is not shown.
            let mapped = mapper.one("http.login_body", content).await;
            content = mapped.map_err(|_| {
                EngineError::Unexpected(
                    "http.auth.body cannot be evaluated on {user, password}".to_owned(),
                )
            })?;
        }
        let request = client.request(Method::Post, client.url(path)?);
        let request = if *form {
            request.form(&content)
        } else {
            request.json(&content)
        };
        let answer = client.send(request, Again::Free).await?;
        good(client, &answer)?;
        if token.is_none() {
            let cookies = answer.headers.get_all(SET_COOKIE).iter();
            let pairs =
                cookies.filter_map(|c| Some(c.to_str().ok()?.split(';').next()?.to_owned()));
            let cookies = pairs.collect::<Vec<_>>().join("; ");
            if cookies.is_empty() {
                let text = format!("{}: the login sets no cookie", answer.at);
                return Err(EngineError::Authentication(text));
            }
            self.carry(client, "Cookie", "", &cookies);
            return Ok(());
        }
        let json = answer.json(client)?;
        let found = mapper.one("http.token", json).await.ok();
        let Some(found) = found
            .as_ref()
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
        else {
            let text = format!(
                "{}: the login's answer holds no token where http.auth.token looks",
                answer.at
            );
            return Err(EngineError::Authentication(text));
        };
        self.carry(client, header, prefix, found);
        Ok(())
    }

    fn carry(&mut self, client: &mut Client, header: &str, prefix: &str, value: &str) {
        client.hide(Plain::from(value.to_owned()));
        self.carried
            .push((header.to_owned(), format!("{prefix}{value}")));
    }
}

async fn access_token(client: &mut Client, request: RequestBuilder) -> Result<String, EngineError> {
    let answer = client.send(request, Again::Free).await?;
    good(client, &answer)?;
    let json = answer.json(client)?;
    let token = json["access_token"]
        .as_str()
        .filter(|token| !token.is_empty());
    token.map(str::to_owned).ok_or_else(|| {
        EngineError::Authentication(format!("{}: the answer holds no access_token", answer.at))
    })
}

fn good(client: &Client, answer: &Answer) -> Result<(), EngineError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let text = format!(
        "{}: answers {}: {}",
        answer.at,
        answer.status,
        client.excerpt(&answer.body)
    );
    match answer.status {
        StatusCode::NOT_FOUND => Err(EngineError::Unexpected(text)),
        _ => Err(EngineError::Authentication(text)),
    }
}
