use rcgen::KeyPair;
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::*;

fn now() -> Timestamp {
    "2026-11-22T05:00:00Z".parse().expect("a time")
}

fn node(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

fn authority(folder: &Path) -> Authority {
    Authority::create(folder, node(1), now()).expect("an authority")
}

#[test]
fn a_request_gets_its_key_certified_and_none_of_its_wishes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let child = KeyPair::generate().expect("a key");
    let wishes = vec!["tinh-79.example".to_owned(), "10.0.0.1".to_owned()];
    let mut params = CertificateParams::new(wishes).expect("names");
    params
        .subject_alt_names
        .push(SanType::URI(node_urn(node(99)).try_into().expect("ASCII")));
    params
        .distinguished_name
        .push(DnType::CommonName, "the ministry");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let csr = params
        .serialize_request(&child)
        .and_then(|csr| csr.pem())
        .expect("a request");

    let node = node(7);
    let issued = authority(folder.path())
        .sign_csr(&csr, node, now(), NODE_LIFETIME)
        .expect("issued");
    assert_eq!(issued.pin, Pin::of_spki(&child.subject_public_key_info()));
    assert_eq!(request_pin(&csr).ok(), Some(issued.pin));

    let chain = certificate::parse_chain(issued.pem.as_bytes()).expect("PEM");
    let (_, certificate) = X509Certificate::from_der(&chain[0]).expect("a certificate");
    let names = certificate
        .subject_alternative_name()
        .expect("readable")
        .expect("present");
    assert_eq!(
        names.value.general_names,
        [GeneralName::URI(&node_urn(node))]
    );
    assert_eq!(
        certificate.subject().to_string(),
        format!("CN=nqsync node {node}")
    );
    assert!(!certificate.is_ca());
    let usage = certificate
        .key_usage()
        .expect("readable")
        .expect("present")
        .value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
    let purposes = certificate
        .extended_key_usage()
        .expect("readable")
        .expect("present")
        .value;
    assert!(purposes.client_auth && !purposes.server_auth);
    let facts = certificate::read(&chain[0]).expect("facts");
    assert_eq!((facts.pin, facts.node), (issued.pin, Some(node)));
    assert_eq!(
        facts.not_after,
        "2027-02-20T05:00:00Z".parse().expect("a time")
    );
    assert_eq!(facts.not_after, issued.not_after);
    assert_eq!(
        facts.not_before,
        "2026-11-21T05:00:00Z".parse().expect("a time")
    );
}

#[test]
fn a_request_that_was_tampered_with_or_has_another_kind_of_key_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = authority(folder.path());
    let refusal = |csr: &str| {
        let error = authority
            .sign_csr(csr, node(7), now(), NODE_LIFETIME)
            .expect_err("refused");
        error.to_string()
    };
    let request = |pair: &KeyPair| {
        CertificateParams::default()
            .serialize_request(pair)
            .expect("a request")
    };

    let honest = request(&KeyPair::generate().expect("a key"));
    let mut bytes = honest.der().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let tampered = pem_of(&bytes);
    assert!(
        refusal(&tampered).contains("signature does not fit"),
        "{}",
        refusal(&tampered)
    );

    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    assert!(refusal(&request(&p384).pem().expect("PEM")).contains("not ECDSA P-256"));
    let mixed = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    assert!(refusal(&request(&mixed).pem().expect("PEM")).contains("not ECDSA P-256"));
    assert!(refusal("hello").contains("not a PEM certificate request"));
    assert!(refusal(&"x".repeat(9000)).contains("larger than 8 KiB"));
}

fn pem_of(der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        lines.join("\n")
    )
}

#[test]
fn an_authority_is_the_same_after_a_restart_and_a_crash_between_its_files_is_healed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = authority(folder.path());
    assert_eq!(
        Authority::load(folder.path()).expect("loaded").pin(),
        made.pin()
    );
    assert!(Authority::create(folder.path(), node(1), now()).is_err());
    std::fs::remove_file(folder.path().join(CA_CERTIFICATE_FILE)).expect("removed");
    assert_eq!(authority(folder.path()).pin(), made.pin());

    let other = tempfile::tempdir().expect("a temporary folder");
    authority(other.path());
    std::fs::copy(
        other.path().join(CA_CERTIFICATE_FILE),
        folder.path().join(CA_CERTIFICATE_FILE),
    )
    .expect("copied");
    let mixed_up = Authority::load(folder.path());
    assert!(
        matches!(mixed_up, Err(AuthorityError::Mismatch { .. })),
        "{mixed_up:?}"
    );
}

#[test]
fn a_clock_far_in_the_past_or_future_still_issues() {
    for clock in [
        "1901-01-01T00:00:00Z",
        "2079-06-01T00:00:00Z",
        "9999-12-30T00:00:00Z",
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let now = clock.parse().expect("a time");
        let authority = Authority::create(folder.path(), node(1), now).expect(clock);
        let csr = NodeKey::generate()
            .and_then(|key| key.csr_pem())
            .expect("a request");
        authority
            .sign_csr(&csr, node(2), now, NODE_LIFETIME)
            .expect(clock);
    }
}

#[test]
fn a_server_certificate_has_its_names_and_a_bad_name_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = authority(folder.path());
    let key = NodeKey::generate().expect("a key");
    let issue = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        authority.issue_server_cert(&key, node(1), &names, now(), NODE_LIFETIME)
    };
    assert_eq!(
        issue(&["tinh-79.example", "::1", "10.0.0.1"])
            .expect("issued")
            .pin,
        key.pin()
    );
    let message = issue(&["sở y tế"]).expect_err("refused").to_string();
    assert!(message.contains("sở y tế"), "{message}");
}

fn files_of(keys: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let all = std::fs::read_dir(keys).expect("a folder");
    all.map(|file| {
        let file = file.expect("a file");
        let name = file.file_name().to_string_lossy().into_owned();
        (name, std::fs::read(file.path()).expect("read"))
    })
    .collect()
}

fn put_files(keys: &Path, files: &std::collections::BTreeMap<String, Vec<u8>>) {
    use std::os::unix::fs::PermissionsExt;
    for (name, content) in files {
        let path = keys.join(name);
        std::fs::write(&path, content).expect("written");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("its mode");
    }
}

#[test]
fn a_new_authority_is_followed_from_the_old_one_and_both_know_their_children() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = folder.path();
    let old = authority(keys);
    let csr = NodeKey::generate()
        .and_then(|key| key.csr_pem())
        .expect("a request");
    let before = old
        .sign_csr(&csr, node(7), now(), NODE_LIFETIME)
        .expect("issued");
    let new = Authority::rotate(keys, node(1), now()).expect("another one");
    assert_ne!(new.pin(), old.pin());
    assert_eq!(new.pins(), [old.pin(), new.pin()]);
    let last = Authority::rotate(keys, node(1), now()).expect("a third one");
    let loaded = Authority::load(keys).expect("loaded");
    for a in [&last, &loaded] {
        assert_eq!(a.pins(), [old.pin(), new.pin(), a.pin()]);
        let steps = succession::follow(node(1), old.pin(), a.successions());
        assert_eq!(steps.len(), 2);
        assert_eq!(succession::pin_of(&steps[1].new), Some(a.pin()));
    }
    let after = last
        .sign_csr(&csr, node(7), now(), NODE_LIFETIME)
        .expect("issued");
    for issued in [before, after] {
        let chain = certificate::parse_chain(issued.pem.as_bytes()).expect("PEM");
        assert_eq!(last.certified(&chain[0]), Some(node(7)));
    }
    let key = NodeKey::generate().expect("a key");
    let chains = last.server_chains(&key, node(1), &[], now(), NODE_LIFETIME);
    let pins: Vec<Pin> = chains
        .expect("chains")
        .into_iter()
        .map(|(pin, _)| pin)
        .collect();
    assert_eq!(pins, [last.pin(), new.pin(), old.pin()]);
    assert_eq!(last.into_key(Some(new.pin())).pin(), new.pin());
    assert_eq!(
        loaded.into_key(None).pin(),
        old.pin(),
        "who did not say knows the first"
    );
}

#[test]
fn a_change_of_the_authority_that_is_cut_between_any_two_files_leaves_one_in_force() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    authority(folder.path());
    let old = Authority::rotate(folder.path(), node(1), now()).expect("another one");
    let start = files_of(folder.path());
    let new = Authority::rotate(folder.path(), node(1), now()).expect("a third one");
    let end = files_of(folder.path());
    let name = &old.pin().to_string()[..16];
    let (former_key, former_pem) = (format!("ca.{name}.key"), format!("ca.{name}.pem"));
    // Every write of the change, in its order: a file that comes, or one that takes another name.
    let next = |name: &str, content: &str| (name.to_owned(), end[content].clone());
    let steps = [
        (next("ca.next.key", "ca.key"), None),
        (next("ca.next.pem", "ca.pem"), None),
        (next("ca.chain", "ca.chain"), None),
        (next(&former_pem, &former_pem), None),
        (next("ca.pem", "ca.pem"), Some("ca.next.pem")),
        (next(&former_key, &former_key), None),
        (next("ca.key", "ca.key"), Some("ca.next.key")),
    ];
    let mut files = start.clone();
    for cut in 0..=steps.len() {
        let there = tempfile::tempdir().expect("a temporary folder");
        put_files(there.path(), &files);
        let found = Authority::load(there.path()).expect("one in force");
        let switched = cut >= 5;
        let expected = if switched { new.pin() } else { old.pin() };
        assert_eq!(found.pin(), expected, "after {cut} steps");
        assert_eq!(
            found.pins().len(),
            if switched { 3 } else { 2 },
            "after {cut} steps"
        );
        // Done again, it goes on from there.
        let again = Authority::rotate(there.path(), node(1), now()).expect("another one");
        let followed = succession::follow(node(1), old.pin(), again.successions());
        assert_eq!(
            followed.len(),
            if switched { 2 } else { 1 },
            "after {cut} steps"
        );
        assert!(again.pins().contains(&old.pin()), "after {cut} steps");
        if let Some(((name, content), gone)) = steps.get(cut).cloned() {
            files.insert(name, content);
            if let Some(gone) = gone {
                files.remove(gone);
            }
        }
    }
    assert_eq!(files, end, "the steps are those of the change");
}
