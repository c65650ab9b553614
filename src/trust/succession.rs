//! From an authority that is pinned to the one that follows it, along what each has signed for the next.

use jiff::Timestamp;
use nqsync_core::model::NodeId;
use nqsync_core::protocol::succession::{MAX_SUCCESSIONS, Succession};
use nqsync_core::protocol::{hex, unhex};

use super::identity::NodeKey;
use super::pin::Pin;
use super::signature;

/// The word of an authority for the one after it; `None` where the cryptographic library refuses.
pub fn say(node: NodeId, old: &NodeKey, new: &NodeKey, now: Timestamp) -> Option<Succession> {
    let (former, next) = (hex(&signature::public(old)), hex(&signature::public(new)));
    let at = now.as_millisecond();
    let signed = signature::sign(old, &Succession::text(node, &former, &next, at))?;
    Some(Succession {
        old: former,
        new: next,
        at,
        signature: hex(&signed),
    })
}

/// The fingerprint of a key that is said in hexadecimal digits.
pub fn pin_of(key: &str) -> Option<Pin> {
    unhex(key).map(|key| Pin::of_spki(&key))
}

/// Whether the old authority of a node said this.
fn is_true(node: NodeId, said: &Succession) -> bool {
    let text = Succession::text(node, &said.old, &said.new, said.at);
    let parts = unhex(&said.old).zip(unhex(&said.signature));
    parts.is_some_and(|(key, seal)| signature::is_true(&key, &text, &seal))
}

/// The steps from what is pinned to the newest authority of a node. Nobody's word counts but that of the one before, so a
/// chain that was cut, or has another one's link in it, leads only as far as it is whole.
pub fn follow(node: NodeId, pinned: Pin, chain: &[Succession]) -> Vec<&Succession> {
    let mut steps: Vec<&Succession> = Vec::new();
    let mut at = pinned;
    while steps.len() < MAX_SUCCESSIONS.min(chain.len()) {
        let next = chain
            .iter()
            .find(|said| pin_of(&said.old) == Some(at) && is_true(node, said));
        let Some((said, new)) = next.and_then(|said| Some((said, pin_of(&said.new)?))) else {
            break;
        };
        if new == pinned || steps.iter().any(|step| step.new == said.new) {
            // A ring: it leads nowhere.
            break;
        }
        steps.push(said);
        at = new;
    }
    steps
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    struct Line {
        keys: Vec<NodeKey>,
        chain: Vec<Succession>,
    }

    fn node(n: u128) -> NodeId {
        NodeId(Uuid::from_u128(n))
    }

    fn line(length: usize) -> Line {
        let keys: Vec<NodeKey> = (0..length)
            .map(|_| NodeKey::generate().expect("a key"))
            .collect();
        let now = "2026-11-22T05:00:00Z".parse().expect("a time");
        let said = |pair: &[NodeKey]| say(node(1), &pair[0], &pair[1], now).expect("said");
        let chain = keys.windows(2).map(said).collect();
        Line { keys, chain }
    }

    fn end(line: &Line, from: usize, chain: &[Succession]) -> Option<usize> {
        let steps = follow(node(1), line.keys[from].pin(), chain);
        let last = steps.last().and_then(|step| pin_of(&step.new))?;
        line.keys.iter().position(|key| key.pin() == last)
    }

    #[test]
    fn the_chain_is_followed_from_wherever_one_stands_in_whatever_order_it_comes() {
        let line = line(4);
        let mut turned = line.chain.clone();
        turned.reverse();
        for chain in [&line.chain, &turned] {
            assert_eq!(end(&line, 0, chain), Some(3));
            assert_eq!(end(&line, 2, chain), Some(3));
            assert_eq!(end(&line, 3, chain), None, "the newest stays");
        }
        let stranger = NodeKey::generate().expect("a key").pin();
        assert!(follow(node(1), stranger, &line.chain).is_empty());
    }

    #[test]
    fn a_link_that_is_missing_changed_or_of_another_node_leads_no_further() {
        let line = line(4);
        assert_eq!(end(&line, 0, &line.chain[1..]), None);
        assert_eq!(
            end(&line, 0, &[line.chain[0].clone(), line.chain[2].clone()]),
            Some(1)
        );
        for change in [
            |said: &mut Succession| said.at += 1,
            |said: &mut Succession| said.signature = "00".to_owned(),
            |said: &mut Succession| said.signature.clear(),
            |said: &mut Succession| said.new = hex(b"another key"),
        ] {
            let mut chain = line.chain.clone();
            change(&mut chain[1]);
            assert_eq!(end(&line, 0, &chain), Some(1));
        }
        assert!(follow(node(2), line.keys[0].pin(), &line.chain).is_empty());
        // Signed by somebody else than the one before.
        let now = "2026-11-22T05:00:00Z".parse().expect("a time");
        let mut forged = say(node(1), &line.keys[2], &line.keys[3], now).expect("said");
        forged.old = line.chain[0].old.clone();
        assert_eq!(end(&line, 0, &[forged]), None);
    }

    #[test]
    fn a_ring_ends() {
        let line = line(3);
        let now = "2026-11-22T05:00:00Z".parse().expect("a time");
        let back = say(node(1), &line.keys[2], &line.keys[0], now).expect("said");
        let again = say(node(1), &line.keys[2], &line.keys[1], now).expect("said");
        for more in [back, again] {
            let chain = [&line.chain[..], &[more]].concat();
            assert_eq!(end(&line, 0, &chain), Some(2));
        }
    }
}
