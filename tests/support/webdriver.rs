//! A real browser, driven over the WebDriver protocol (W3C): `chromedriver` and a Chromium without a window.
//!
//! The protocol is a handful of JSON requests; the client libraries bring old copies of half the link's crates with them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use super::machine::until;

/// Longest wait for a page that comes of a press.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name under which the protocol hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub struct Chromium {
    driver: Child,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    session: String,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It ends its browser with it; it may be gone already.
        let _ = self.send(Method::DELETE, "", None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Chromium {
    /// `None` where there is no browser and none is demanded.
    pub fn start() -> Option<Chromium> {
        let started = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = match started {
            Ok(driver) => driver,
            Err(error) => {
                // The gate says so when it has installed one.
                let must = std::env::var_os("NQSYNC_BROWSER").is_some();
                assert!(!must, "chromedriver: {error}");
                println!("not run: there is no chromedriver here ({error})");
                return None;
            }
        };
        let lines = BufReader::new(driver.stdout.take().expect("its output")).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("successfully on port ")?;
                Some(rest.trim_end_matches('.').to_owned())
            })
            .expect("it says its port");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        let mut browser = Chromium {
            driver,
            runtime,
            client,
            session: format!("http://127.0.0.1:{port}/session"),
        };
        // Root has no sandbox; the pages are ours.
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage"
        ]);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "unhandledPromptBehavior": "accept",
        } } });
        let begun = browser.send(Method::POST, "", Some(wanted));
        let id = begun["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.session);
        let mut request = self.client.request(method, &url);
        if let Some(body) = &body {
            request = request.json(body);
        }
        self.runtime.block_on(async {
            let response = request.send().await.expect("the driver answers");
            let mut answer: Value = response.json().await.expect("JSON");
            let value = answer["value"].take();
            assert!(value["error"].is_null(), "{path} {body:?}: {value}");
            value
        })
    }

    /// Opens an address.
    pub fn open(&self, url: &str) {
        self.send(Method::POST, "/url", Some(json!({ "url": url })));
    }

    /// Size of the window in CSS pixels.
    pub fn resize(&self, width: u32, height: u32) {
        let rect = json!({ "width": width, "height": height });
        self.send(Method::POST, "/window/rect", Some(rect));
    }

    /// What a script returns.
    pub fn script(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.send(Method::POST, "/execute/sync", Some(body))
    }

    /// What a script hands to its last argument.
    pub fn async_script(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.send(Method::POST, "/execute/async", Some(body))
    }

    fn element(&self, css: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.send(Method::POST, "/element", Some(wanted));
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// Presses something.
    pub fn press(&self, css: &str) {
        let path = format!("/element/{}/click", self.element(css));
        self.send(Method::POST, &path, Some(json!({})));
    }

    /// Types into a field that is emptied before; a file field takes a path.
    pub fn fill(&self, css: &str, text: &str) {
        let element = self.element(css);
        let kind = self.script(&format!("return document.querySelector({css:?}).type"));
        if kind != "file" && kind != "select-one" {
            let path = format!("/element/{element}/clear");
            self.send(Method::POST, &path, Some(json!({})));
        }
        let path = format!("/element/{element}/value");
        self.send(Method::POST, &path, Some(json!({ "text": text })));
    }

    /// Chooses from a list by the value behind it.
    pub fn choose(&self, css: &str, value: &str) {
        self.press(&format!("{css} option[value={value:?}]"));
    }

    /// What a reader sees.
    pub fn text(&self) -> String {
        let text = self.script("return document.body.innerText");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows the text: a press comes back before the page that it leads to.
    pub fn shows(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.text().contains(text) {
            assert!(Instant::now() < end, "{text:?} is not in\n{}", self.text());
        }
    }

    /// Opens the page again until it shows the text.
    pub fn wait_for(&self, text: &str) {
        until(text, || {
            self.send(Method::POST, "/refresh", Some(json!({})));
            self.text().contains(text).then_some(())
        });
    }

    /// Keeps what is seen, the whole length of the page.
    pub fn keep(&self, file: &Path, width: u32) {
        self.resize(width, 800);
        let height = self.script("return document.documentElement.scrollHeight");
        let height = height.as_u64().unwrap_or(800).clamp(400, 4000);
        self.resize(width, height as u32 + 160);
        let picture = self.send(Method::GET, "/screenshot", None);
        let picture = base64::prelude::BASE64_STANDARD.decode(picture.as_str().expect("text"));
        std::fs::write(file, picture.expect("base64")).expect("written");
    }
}
