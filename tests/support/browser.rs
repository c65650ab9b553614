//! A browser without a window: one login, its cookie, and the forms of the pages it was given.

use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::multipart;
use reqwest::redirect::Policy;

pub struct Browser {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    base: String,
    pub cookie: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    /// Where it leads.
    pub to: Option<String>,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Seen {
    pub fn expect(self, status: u16) -> Seen {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// What the page says of the last form.
    pub fn flashes(&self) -> Vec<String> {
        let parts = self.text.split("class=\"flash ").skip(1);
        parts
            .map(|part| part.split_once("</p>").map_or(part, |(p, _)| p).to_owned())
            .collect()
    }

    /// The first value of a hidden field.
    pub fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let (_, rest) = self
            .text
            .split_once(&mark)
            .unwrap_or_else(|| panic!("no field {name} in {}", self.text));
        let (value, _) = rest.split_once('"').expect("a value ends");
        value.to_owned()
    }
}

impl Browser {
    /// At the console of this address, such as `http://127.0.0.1:7480/`.
    pub fn at(url: &str) -> Browser {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        Browser {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            client,
            base: url.trim_end_matches('/').to_owned(),
            cookie: None,
        }
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    pub fn send(&self, request: reqwest::RequestBuilder) -> Seen {
        self.runtime.block_on(async {
            let response = request.send().await.expect("an answer");
            let headers = response.headers().clone();
            let to = headers
                .get(LOCATION)
                .map(|to| to.to_str().expect("text").to_owned());
            Seen {
                status: response.status().as_u16(),
                to,
                headers,
                text: response.text().await.expect("a body"),
            }
        })
    }

    /// The body of an answer that is no text.
    pub fn bytes(&self, request: reqwest::RequestBuilder) -> Vec<u8> {
        self.runtime.block_on(async {
            let response = request.send().await.expect("an answer");
            assert!(response.status().is_success(), "{response:?}");
            response.bytes().await.expect("a body").to_vec()
        })
    }

    pub fn get(&self, path: &str) -> Seen {
        self.send(self.request(reqwest::Method::GET, path))
    }

    /// Sends a form with the token of a page of this session.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let token = self.form_token();
        let mut all = vec![("form", token.as_str())];
        all.extend(fields);
        self.send(self.request(reqwest::Method::POST, path).form(&all))
    }

    /// Sends a form and follows it to the page that tells what came of it.
    pub fn post_and_look(&self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let sent = self.post(path, fields).expect(303);
        self.get(&sent.to.expect("it leads somewhere")).expect(200)
    }

    /// Hands a file in.
    pub fn upload(&self, path: &str, name: &str, bytes: &[u8]) -> Seen {
        let part = multipart::Part::bytes(bytes.to_vec()).file_name(name.to_owned());
        let form = multipart::Form::new()
            .text("form", self.form_token())
            .text("note", "")
            .part("file", part);
        self.send(self.request(reqwest::Method::POST, path).multipart(form))
    }

    pub fn form_token(&self) -> String {
        self.get("/password").expect(200).hidden("form")
    }

    /// Logs in; whether it worked.
    pub fn login(&mut self, name: &str, password: &str, lang: &str) -> Seen {
        let fields = [("name", name), ("password", password), ("lang", lang)];
        let request = self.request(reqwest::Method::POST, "/login").form(&fields);
        let seen = self.send(request);
        if let Some(cookie) = seen.headers.get(SET_COOKIE) {
            let text = cookie.to_str().expect("text");
            let (pair, _) = text.split_once(';').expect("attributes");
            self.cookie = Some(pair.to_owned());
        }
        seen
    }
}
