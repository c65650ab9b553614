//! Reports by mail: once for each content, protected, with a journal, and never a password in an error.

mod support;

use std::os::unix::fs::PermissionsExt;

use nqsync::adapter::simulate::{MailFault, Mailbox};
use nqsync::api::{Command, Lang};
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use support::folders::Office;
use support::stopping::run_until_wait;
use tokio_util::sync::{CancellationToken, DropGuard};

const PASSWORD: &str = "mat-khau-rieng";

struct Post {
    office: Office,
    mailbox: Mailbox,
    _stop: DropGuard,
}

async fn post() -> Post {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let tls = Some((made.cert.der().clone(), key));
    let mailbox = Mailbox::new("baocao", PASSWORD, tls).expect("a mailbox");
    let stop = CancellationToken::new();
    let address = mailbox.serve(0, stop.clone()).await.expect("a port");
    let port = address.port().to_string();
    let set = [
        ("email.host", "localhost"),
        ("email.port", port.as_str()),
        ("email.user", "baocao"),
        ("email.ca_file", "ca.pem"),
        ("email.timeout_s", "2"),
    ];
    let office = Office::new("email-report", 2, &set).await;
    let adapters = &office.place.node.settings.adapters_dir;
    std::fs::write(adapters.join("ca.pem"), made.cert.pem()).expect("a certificate");
    let secret = adapters.join("email-report.password");
    std::fs::write(&secret, PASSWORD).expect("a secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    office.report(1, "40", "đã lắp 3 cái").await;
    Post {
        office,
        mailbox,
        _stop: stop.drop_guard(),
    }
}

impl Post {
    async fn deliveries(&self) -> Vec<Value> {
        let name = "email-report".to_owned();
        let shown = self.office.ask(Command::AdapterShow { name }).await;
        let all = shown["streams"][0]["deliveries"].as_array();
        all.cloned().unwrap_or_default()
    }

    /// Runs, and says how it failed.
    async fn fails(&self) -> String {
        let outcome = self.office.run().await;
        let error = outcome.error.as_ref().expect("an error");
        nqsync::adapter::run::said(Lang::En, error)
    }
}

#[tokio::test]
async fn a_workbook_is_sent_once_for_each_content_with_a_receipt() {
    let post = post().await;
    post.office.ran("done").await;
    post.office.ran("done").await;
    let mails = post.mailbox.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert!(mail.protected, "never in the clear");
    assert_eq!(mail.to, ["tonghop@tinh.example.vn"]);
    assert!(
        mail.text.contains("bao-cao-24001-2026-03.xlsx"),
        "{}",
        mail.text
    );
    let sent = post.deliveries().await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(
        sent[0]["receipt"]
            .as_str()
            .is_some_and(|said| said.contains("taken as 1"))
    );

    post.office.report(2, "10", "mới bắt đầu").await;
    post.office.ran("done").await;
    assert_eq!(post.mailbox.mails().len(), 2);
    assert_eq!(post.deliveries().await.len(), 2);
}

#[tokio::test]
async fn a_message_without_an_answer_is_sent_again_under_the_same_id_and_noted_as_in_doubt() {
    let post = post().await;
    post.mailbox.fail(MailFault::BreaksAfter);
    post.fails().await;
    let doubt = post.deliveries().await;
    assert_eq!((doubt.len(), &doubt[0]["receipt"]), (1, &Value::Null));
    post.mailbox.fail(MailFault::None);
    post.office.ran("done").await;
    let ids: Vec<String> = post
        .mailbox
        .mails()
        .iter()
        .flat_map(|mail| mail.text.lines())
        .filter(|line| line.starts_with("Message-ID:"))
        .map(str::to_owned)
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "by this a second copy is known as one");
    let sent = post.deliveries().await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0]["receipt"].is_string());
}

impl Post {
    /// The ids under which mails came, without repetition.
    fn ids(&self) -> std::collections::BTreeSet<String> {
        let mails = self.mailbox.mails();
        let lines = mails.iter().flat_map(|mail| mail.text.lines());
        let ids = lines.filter(|line| line.starts_with("Message-ID:"));
        ids.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn email_report_cut_at_any_wait_sends_each_content_and_none_under_two_ids() {
    let post = post().await;
    post.office.ran("done").await;
    let mut wait = 1;
    loop {
        post.office.report(1, "45", &format!("lần {wait}")).await;
        let node = &post.office.place.node;
        let reached = run_until_wait(node, "email-report", wait).await;
        post.office.ran("done").await;
        assert_eq!(post.ids().len(), 1 + wait, "wait {wait}");
        let sent = post.deliveries().await;
        assert!(sent[0]["receipt"].is_string(), "wait {wait}: {sent:?}");
        let mails = post.mailbox.mails().len();
        post.office.ran("done").await;
        assert_eq!(post.mailbox.mails().len(), mails, "wait {wait}: at rest");
        if !reached {
            break;
        }
        wait += 1;
    }
    assert!(wait > 5, "a workbook, its note, a conversation, was {wait}");
}

#[tokio::test]
async fn a_wrong_password_a_silent_server_and_a_refusal_are_told_and_nothing_is_noted_as_sent() {
    let post = post().await;
    let secret = post
        .office
        .place
        .node
        .settings
        .adapters_dir
        .join("email-report.password");
    std::fs::write(&secret, "sai-mat-khau").expect("a secret");
    let said = post.fails().await;
    assert!(!said.contains("sai-mat-khau"), "{said}");
    std::fs::write(&secret, PASSWORD).expect("a secret");
    post.mailbox.fail(MailFault::Refuses);
    assert!(
        post.fails().await.contains("550"),
        "told as the server said it"
    );
    assert!(post.deliveries().await.is_empty());
    post.mailbox.fail(MailFault::Silent);
    assert!(
        post.fails().await.contains("localhost"),
        "told with the server"
    );
    post.mailbox.fail(MailFault::None);
    post.office.ran("done").await;
    assert_eq!(post.mailbox.mails().len(), 1);
}

#[tokio::test]
async fn a_server_with_another_certificate_is_told_nothing() {
    let post = post().await;
    let other =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let ca = post.office.place.node.settings.adapters_dir.join("ca.pem");
    std::fs::write(ca, other.cert.pem()).expect("a certificate");
    post.fails().await;
    assert!(post.mailbox.mails().is_empty());
}
