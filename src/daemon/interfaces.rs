//! Tells when a network interface comes up, so that a waiting node calls at once.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::net::UnixDatagram;

/// Multicast groups of link, IPv4 and IPv6 address changes (`rtnetlink(7)`).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// Waits for changes of interfaces and addresses.
///
/// The socket is a netlink one. It is held in a datagram type only because that waits for readiness without unsafe
/// code; nothing is sent, and what is received is thrown away.
pub struct Interfaces(UnixDatagram);

impl Interfaces {
    /// Subscribes; `None` where the system does not offer it, and the probes alone must do.
    pub fn watch() -> Option<Interfaces> {
        // Protocol 0 of this family is NETLINK_ROUTE.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).ok()?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS)).ok()?;
        UnixDatagram::from_std(socket.into()).ok().map(Interfaces)
    }

    /// Returns when something changed.
    pub async fn changed(&self) {
        let mut buffer = [0u8; 8192];
        if self.0.recv(&mut buffer).await.is_err() {
            std::future::pending::<()>().await;
        }
        // What changed does not matter: the next probe finds out.
        while self.0.try_recv(&mut buffer).is_ok() {}
    }
}
