//! The open connections, by who holds them: for limits, and to close a node's connections when it is revoked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nqsync_core::model::NodeId;
use tokio_util::sync::CancellationToken;

use crate::trust::pin::Pin;

/// All open connections of one listener. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    held: Arc<Mutex<List>>,
}

/// Who a connection is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// A node on the list.
    Node(NodeId),
    /// Everyone else, by address: in handshake, not enrolled, or unknown.
    Stranger(IpAddr),
}

#[derive(Debug, Default)]
struct List {
    next_id: u64,
    by_holder: HashMap<Holder, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    /// The key that it is held with, when one was shown.
    key: Option<Pin>,
    /// Its handshake is done.
    settled: bool,
    stop: CancellationToken,
}

/// A place in the list, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    holder: Holder,
    id: u64,
}

impl Connections {
    /// Close every connection of a node at once, with the requests on them; returns how many there were.
    ///
    /// Take its key off the list first: a connection that is being set up looks at the list again afterwards.
    pub fn close(&self, node: NodeId) -> usize {
        let list = self.list();
        let entries = list
            .by_holder
            .get(&Holder::Node(node))
            .map_or(&[][..], Vec::as_slice);
        entries.iter().for_each(|entry| entry.stop.cancel());
        entries.len()
    }

    /// Close the connections that are held with this key, because it has come onto the list, or off it: who is at the other
    /// end is looked up when a connection begins.
    pub fn close_key(&self, key: &Pin) {
        let list = self.list();
        let held = list.by_holder.values().flatten();
        held.filter(|entry| entry.key.as_ref() == Some(key))
            .for_each(|entry| entry.stop.cancel());
    }

    /// How many connections a node has open.
    pub fn count(&self, node: NodeId) -> usize {
        self.list()
            .by_holder
            .get(&Holder::Node(node))
            .map_or(0, Vec::len)
    }

    /// The nodes that are connected now.
    pub fn nodes(&self) -> Vec<NodeId> {
        let nodes = |holder: &Holder| match holder {
            Holder::Node(node) => Some(*node),
            Holder::Stranger(_) => None,
        };
        self.list().by_holder.keys().filter_map(nodes).collect()
    }

    /// Close the connection of the stranger who has been here longest, whether it is still in its handshake or not.
    pub(super) fn close_oldest_stranger(&self) {
        let list = self.list();
        if let Some(oldest) = list.strangers().min_by_key(|entry| entry.id) {
            oldest.stop.cancel();
        }
    }

    /// A place for a stranger; `None` when its address has `limit` already.
    pub(super) fn admit_stranger(
        &self,
        from: IpAddr,
        limit: usize,
        stop: &CancellationToken,
    ) -> Option<Place> {
        let holder = Holder::Stranger(counted(from));
        let mut list = self.list();
        let full = list
            .by_holder
            .get(&holder)
            .is_some_and(|entries| entries.len() >= limit);
        (!full).then(|| self.add(&mut list, holder, None, stop))
    }

    /// A place for a node. At its limit the oldest connection gives way: after a cut line that one is dead, and the
    /// new one is the node trying to come back.
    pub(super) fn admit_node(
        &self,
        (node, key): (NodeId, Pin),
        limit: usize,
        stop: &CancellationToken,
    ) -> Place {
        let holder = Holder::Node(node);
        let mut list = self.list();
        let open = list.by_holder.get(&holder).map_or(&[][..], Vec::as_slice);
        let surplus = (open.len() + 1).saturating_sub(limit.max(1));
        // Those told to stop stay listed until they have; counting them again only cancels them again.
        open.iter()
            .take(surplus)
            .for_each(|entry| entry.stop.cancel());
        self.add(&mut list, holder, Some(key), stop)
    }

    fn add(
        &self,
        list: &mut List,
        holder: Holder,
        key: Option<Pin>,
        stop: &CancellationToken,
    ) -> Place {
        let id = list.next_id;
        list.next_id += 1;
        // Who is known has done its handshake.
        let settled = key.is_some();
        list.by_holder.entry(holder).or_default().push(Entry {
            id,
            key,
            settled,
            stop: stop.clone(),
        });
        Place {
            connections: self.clone(),
            holder,
            id,
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    /// The connections of strangers that nobody told to end.
    fn strangers(&self) -> impl Iterator<Item = &Entry> {
        let strangers = self.by_holder.iter();
        strangers
            .filter(|(holder, _)| matches!(holder, Holder::Stranger(_)))
            .flat_map(|(_, open)| open)
            .filter(|entry| !entry.stop.is_cancelled())
    }
}

/// What an address counts for. IPv4 addresses arrive as IPv6 ones on a listener for both, and a host with an IPv6 address
/// has all those of its /64.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

impl Place {
    /// The handshake of a stranger is done, with this key if it showed one. Of more than `most` such strangers the one who
    /// has been here longest gives way: TLS and HTTP/2 of a crowd that then says nothing are memory.
    pub(super) fn settled(&self, key: Option<Pin>, most: usize) {
        let mut list = self.connections.list();
        let entries = list.by_holder.get_mut(&self.holder);
        let ours = entries
            .into_iter()
            .flatten()
            .find(|entry| entry.id == self.id);
        if let Some(entry) = ours {
            entry.key = key;
            entry.settled = true;
        }
        let settled = || list.strangers().filter(|entry| entry.settled);
        if settled().count() > most
            && let Some(oldest) = settled().min_by_key(|entry| entry.id)
        {
            oldest.stop.cancel();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut list = self.connections.list();
        if let Some(entries) = list.by_holder.get_mut(&self.holder) {
            entries.retain(|entry| entry.id != self.id);
            if entries.is_empty() {
                list.by_holder.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_connection_of_a_node_gives_way_and_a_stranger_is_turned_away() {
        let connections = Connections::default();
        let stops: Vec<_> = (0..3).map(|_| CancellationToken::new()).collect();
        let node = NodeId(uuid::Uuid::from_u128(1));
        let places: Vec<_> = stops
            .iter()
            .map(|stop| connections.admit_node((node, Pin::from_bytes([7; 32])), 2, stop))
            .collect();
        assert_eq!(
            stops
                .iter()
                .map(CancellationToken::is_cancelled)
                .collect::<Vec<_>>(),
            [true, false, false]
        );
        assert_eq!(
            (connections.count(node), connections.nodes()),
            (3, vec![node])
        );
        drop(places);
        assert_eq!((connections.count(node), connections.nodes()), (0, vec![]));

        let from = IpAddr::from([10, 0, 0, 1]);
        let first = connections.admit_stranger(from, 1, &stops[1]);
        assert!(first.is_some() && connections.admit_stranger(from, 1, &stops[2]).is_none());
        drop(first);
        assert!(connections.admit_stranger(from, 1, &stops[2]).is_some());
    }

    #[test]
    fn a_host_counts_once_for_all_its_addresses() {
        let of = |text: &str| counted(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn the_stranger_who_has_been_here_longest_gives_way_and_a_node_does_not() {
        let connections = Connections::default();
        let stops: Vec<_> = (0..4).map(|_| CancellationToken::new()).collect();
        let node = NodeId(uuid::Uuid::from_u128(1));
        let _node = connections.admit_node((node, Pin::from_bytes([7; 32])), 2, &stops[0]);
        let _strangers: Vec<_> = (1..4_u8)
            .map(|n| {
                let from = IpAddr::from([10, 0, 0, n % 2]);
                connections.admit_stranger(from, 9, &stops[usize::from(n)])
            })
            .collect();
        for closed in [[false, true, false, false], [false, true, true, false]] {
            connections.close_oldest_stranger();
            let now: Vec<_> = stops.iter().map(CancellationToken::is_cancelled).collect();
            assert_eq!(now, closed);
        }
        connections.close_oldest_stranger();
        connections.close_oldest_stranger();
        assert!(!stops[0].is_cancelled());
    }

    #[test]
    fn of_too_many_strangers_after_their_handshake_the_longest_gives_way() {
        let connections = Connections::default();
        let stops: Vec<_> = (0..4).map(|_| CancellationToken::new()).collect();
        let stranger = |n: u8| {
            let stop = &stops[usize::from(n)];
            connections.admit_stranger(IpAddr::from([10, 0, 0, n]), 9, stop)
        };
        let places: Vec<_> = (0..4).map(|n| stranger(n).expect("a place")).collect();
        // The first is in its handshake all the time.
        for place in &places[1..] {
            place.settled(None, 2);
        }
        let now: Vec<_> = stops.iter().map(CancellationToken::is_cancelled).collect();
        assert_eq!(now, [false, true, false, false]);
    }
}
