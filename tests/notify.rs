//! Warnings told by mail and by a webhook: protected, each once, also where the line breaks or the service ends.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use nqsync::adapter::simulate::{self, MailFault, Mailbox};
use nqsync::api::{Command, TaskFields};
use nqsync::daemon::notify;
use nqsync::node::warnings;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use support::Place;
use support::machine::{Machine, until};
use tokio_util::sync::{CancellationToken, DropGuard};

const PASSWORD: &str = "mat-khau-rieng";
const TOKEN: &str = "ma-rieng-cua-don-vi";
const HOUR_MS: i64 = 3_600_000;

/// What a webhook got, and the status it answers.
type Hook = Arc<Mutex<(Vec<(HeaderMap, Value)>, u16)>>;

struct Post {
    place: Place,
    mailbox: Mailbox,
    hook: Hook,
    _stop: DropGuard,
}

async fn take(State(hook): State<Hook>, headers: HeaderMap, body: String) -> StatusCode {
    let mut hook = hook.lock().expect("not poisoned");
    let body = serde_json::from_str(&body).expect("JSON");
    hook.0.push((headers, body));
    StatusCode::from_u16(hook.1).expect("a status")
}

/// A node with one overdue task, and whom it tells.
async fn post_office() -> Post {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let tls = Some((made.cert.der().clone(), key));
    let mailbox = Mailbox::new("nqsync", PASSWORD, tls).expect("a mailbox");
    let stop = CancellationToken::new();
    let mail = mailbox.serve(0, stop.clone()).await.expect("a port");
    let hook: Hook = Arc::new(Mutex::new((Vec::new(), 204)));
    let router = Router::new()
        .route("/hooks/nq", post(take))
        .with_state(hook.clone());
    let web = simulate::serve(router, 0, stop.clone())
        .await
        .expect("a port");

    let place = Place::ministry("24001").await;
    let dir = place.dir.path();
    std::fs::write(dir.join("ca.pem"), made.cert.pem()).expect("a certificate");
    for (name, secret) in [("password", PASSWORD), ("token", TOKEN)] {
        let file = dir.join(name);
        std::fs::write(&file, secret).expect("a secret");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    let text = format!(
        "[email]\nhost = \"localhost\"\nport = {}\nuser = \"nqsync\"\npassword = {{ file = \"password\" }}\n\
         ca_file = \"ca.pem\"\ntimeout_s = 2\nfrom = \"nqsync@example.vn\"\nto = [\"truc@example.vn\"]\n\
         subject = \"Nhac viec {{unit}}\"\n\
         [webhook]\nurl = \"http://127.0.0.1:{}/hooks/nq\"\ntoken = {{ file = \"token\" }}\n",
        mail.port(),
        web.port()
    );
    std::fs::write(dir.join("notify.toml"), text).expect("a file");
    let fields = TaskFields {
        group: Some("I".into()),
        number: Some("1".into()),
        title: Some("So hoa".into()),
        lead: Some(vec!["24001".into()]),
        deadline: Some("01/03/2026".into()),
        ..TaskFields::default()
    };
    place.data(Command::TaskAdd { fields }).await;
    warnings::refresh(&place.node).await.expect("looked at");
    let post = Post {
        place,
        mailbox,
        hook,
        _stop: stop.drop_guard(),
    };
    post.wait(HOUR_MS);
    post
}

impl Post {
    fn wait(&self, ms: i64) {
        let clock = &self.place.clock_ms;
        clock.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }

    async fn round(&self) {
        notify::round(&self.place.node).await.expect("a round");
    }

    fn posted(&self) -> Vec<(HeaderMap, Value)> {
        self.hook.lock().expect("not poisoned").0.clone()
    }

    /// The names under which mails came.
    fn names(&self) -> Vec<String> {
        let mails = self.mailbox.mails();
        let lines = mails.iter().flat_map(|mail| mail.text.lines());
        let names = lines.filter(|line| line.starts_with("Message-ID:"));
        names.map(str::to_owned).collect()
    }

    async fn restart(&mut self) {
        self.place.shut().await;
        self.place.start().await;
    }
}

#[tokio::test]
async fn a_warning_is_told_once_by_mail_and_once_by_webhook_also_over_a_restart() {
    let mut post = post_office().await;
    post.round().await;
    post.round().await;
    post.restart().await;
    post.round().await;
    let mails = post.mailbox.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].protected, "never in the clear");
    assert_eq!(mails[0].to, ["truc@example.vn"]);
    assert!(
        mails[0].text.contains("Subject: Nhac viec 24001"),
        "{}",
        mails[0].text
    );
    let posted = post.posted();
    assert_eq!(posted.len(), 1);
    let (headers, body) = &posted[0];
    assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(body["entries"][0]["warning"]["kind"], "overdue");
    assert_eq!(body["entries"][0]["warning"]["due"], "2026-03-01");
    assert!(!post.place.has_problem("notice").await);
}

#[tokio::test]
async fn a_channel_that_fails_is_told_in_status_delays_no_other_and_gets_the_same_message_later() {
    let mut post = post_office().await;
    post.mailbox.fail(MailFault::BreaksAfter);
    post.round().await;
    assert_eq!(
        post.posted().len(),
        1,
        "the webhook does not wait for the mail"
    );
    assert!(post.place.has_problem("notice").await);
    // It is too early for another try, and a restart is no reason for one.
    post.restart().await;
    post.round().await;
    assert_eq!(post.names().len(), 1);
    post.mailbox.fail(MailFault::None);
    post.wait(60_000);
    post.round().await;
    post.wait(24 * HOUR_MS);
    post.round().await;
    let names = post.names();
    assert_eq!(names.len(), 2);
    assert_eq!(names[0], names[1], "by this a second copy is known as one");
    assert!(!post.place.has_problem("notice").await);
    assert_eq!(post.posted().len(), 1);
}

#[tokio::test]
async fn a_webhook_that_refuses_is_named_without_its_token_and_gets_the_same_name_again() {
    let post = post_office().await;
    post.hook.lock().expect("not poisoned").1 = 403;
    post.round().await;
    let status = post.place.data(Command::Status).await;
    let problems = status["problems"].to_string();
    assert!(
        problems.contains("webhook") && problems.contains("403"),
        "{problems}"
    );
    assert!(!status.to_string().contains(TOKEN) && !status.to_string().contains(PASSWORD));
    post.hook.lock().expect("not poisoned").1 = 200;
    post.wait(60_000);
    post.round().await;
    let posted = post.posted();
    assert_eq!(posted.len(), 2);
    assert_eq!(
        posted[0].0["idempotency-key"],
        posted[1].0["idempotency-key"]
    );
    assert_eq!(posted[0].1, posted[1].1);
    assert!(!post.place.has_problem("notice").await);
}

#[tokio::test]
async fn a_message_cut_before_its_answer_is_sent_again_under_the_same_name_and_then_never() {
    let mut post = post_office().await;
    post.mailbox.fail(MailFault::Silent);
    // The service ends while the mail server says nothing.
    let cut = notify::round(&post.place.node);
    let cut = tokio::time::timeout(std::time::Duration::from_millis(500), cut).await;
    assert!(cut.is_err(), "the round waits for the mail server");
    post.restart().await;
    post.mailbox.fail(MailFault::None);
    post.round().await;
    post.wait(HOUR_MS);
    post.round().await;
    assert_eq!(post.names().len(), 1);
    let posted = post.posted();
    let key = |n: usize| posted[n].0["idempotency-key"].clone();
    // The webhook had answered; nobody heard it, and its second copy carries the same name.
    assert!(posted.len() <= 2 && key(0) == key(posted.len() - 1));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_a_problem_until_it_is_mended() {
    let post = post_office().await;
    let file = post.place.dir.path().join("notify.toml");
    let good = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, good.replace("[email]", "[mail]")).expect("a file");
    post.round().await;
    assert!(post.place.has_problem("notify_file").await);
    assert_eq!(post.mailbox.mails().len(), 0);
    std::fs::write(&file, good).expect("a file");
    post.round().await;
    assert!(!post.place.has_problem("notify_file").await);
    assert_eq!(post.mailbox.mails().len(), 1);
}

/// The service with this configuration; deadlines are near enough to remind of at any time.
const NEAR: [&str; 2] = [
    "reporting.remind_before_days=60",
    "reporting.regimes=monthly",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_service_sees_what_is_overdue_and_tells_what_is_due_once_also_when_it_is_killed() {
    let hook: Hook = Arc::new(Mutex::new((Vec::new(), 200)));
    let stop = CancellationToken::new();
    let router = Router::new()
        .route("/hooks/nq", post(take))
        .with_state(hook.clone());
    let web = simulate::serve(router, 0, stop.clone())
        .await
        .expect("a port");
    let told = move || hook.lock().expect("not poisoned").0.clone();
    let machine = tokio::task::spawn_blocking(move || {
        let machine = Machine::ministry("24001");
        let add = ["task", "add", "--title", "So hoa", "--lead", "24001"];
        let due = ["--deadline", "01/03/2026"];
        machine.run(&[&add[..], &due].concat()).expect(0);
        let file = machine.at("notify.toml");
        let text =
            format!("lang = \"en\"\nfrom_hour = 0\n[webhook]\nurl = \"http://{web}/hooks/nq\"\n");
        std::fs::write(&file, &text).expect("a file");
        let service = machine.serve_with(&NEAR);
        until("a warning", || {
            let list = machine.run(&["warning", "list", "--json"]).expect(0).json();
            (list["counts"]["open"] == 1 && list["items"][0]["kind"] == "overdue").then_some(())
        });
        // Killed sooner, it could not know that the message was taken, and would send it again under the same name.
        until("a receipt", || {
            let status = machine.run(&["status", "--json"]).json();
            status["notices"][0]["sent_at"].is_string().then_some(())
        });
        assert_eq!(told().len(), 1);
        service.kill();
        let service = machine.serve_with(&NEAR);
        // A file that cannot be used is noticed at the next look; until then nothing was told again.
        std::fs::write(&file, "[web]\n").expect("a file");
        let noticed = || {
            let status = machine.run(&["status", "--json"]);
            status.out.contains("\"notify_file\"").then_some(())
        };
        until("a look", noticed);
        std::fs::write(&file, &text).expect("a file");
        until("another look", || noticed().is_none().then_some(()));
        let (_, body) = &told()[0];
        assert_eq!(body["entries"][0]["reminder"]["owing"][0]["unit"], "24001");
        assert_eq!(told().len(), 1);
        service.stop();
        machine
    });
    machine.await.expect("no panic");
    stop.cancel();
}
