//! A new node and its parent come to know each other.

use std::sync::Arc;

use nqsync::daemon::setup;
use nqsync::link::transport::Request as Message;
use nqsync::store::nodes::{self, TokenRow};
use nqsync::trust::authority::request_pin;
use nqsync::trust::identity::NodeKey;
use nqsync::trust::tls::Peer;
use nqsync::trust::token;
use nqsync_core::model::UnitId;
use nqsync_core::protocol::{EnrolRequest, Enrolled, PREFIX};

use super::net::{Net, hand_over};
use super::place::{Place, Sun};

/// What an operator does with `node token` and `enrol`, and the line between the two.
pub async fn enrol(net: &Arc<Net>, sun: &Sun, above: &Place, place: &mut Place, unit: UnitId) {
    let key = NodeKey::load(&place.dir().join(setup::NODE_KEY)).expect("a key");
    let csr = key.csr_pem().expect("a request");
    let pin = request_pin(&csr).expect("a pin");
    let now_ms = sun.now_ms();
    let expires = jiff::Timestamp::from_millisecond(now_ms + 3_600_000).expect("a time");
    let (text, record) = token::mint(&mut rand::rng(), &place.code, None, pin, expires);
    let row = TokenRow {
        hash: record.hash,
        unit,
        created_at: now_ms,
        expires_at: now_ms + 3_600_000,
        used: None,
    };
    let kept = above
        .node
        .store
        .write(move |tx| nodes::insert_token(tx.connection(), &row));
    kept.await.expect("a token");
    let request = EnrolRequest {
        secret: token::parse(&text).expect("a token").secret.reveal(),
        node: place.id(),
        csr,
    };
    let message = Message::new(reqwest::Method::POST, format!("{PREFIX}/enrol"));
    let message = message.json(&request).expect("a request");
    let port = above.port().expect("a parent");
    let answer = hand_over(port, Peer::Anonymous, &message)
        .await
        .expect("an answer");
    let enrolled: Enrolled = answer.json().await.expect("a certificate");
    let (node, store) = (place.node.clone(), place.node.store.clone());
    let url = "sim://parent".to_owned();
    let pinned = pin.to_string();
    let joined = store.write(move |tx| setup::join(&node, tx, enrolled, &url, &pinned));
    joined.await.expect("enrolled");
    place.unit = unit;
    let id = above.id();
    place.connect(net, id).await;
    let peer = Peer::Node {
        node: place.id(),
        pin,
    };
    net.lay(place.index, above.index, peer);
}
