//! Real services on a network of their own, where large packets vanish. It needs root and `ip`; what is missing fails the
//! test in CI and leaves it out elsewhere.

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::machine::Machine;
use support::strace::missing;

/// The longest that anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two hosts with a router between them.
struct Network {
    /// The names of the child's host, the router, and the parent's host.
    hosts: [String; 3],
}

fn ip(line: &str) -> bool {
    Command::new("ip")
        .args(line.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Network {
    const PARENT: &str = "10.77.2.1";

    fn new() -> Option<Network> {
        let hosts =
            ["child", "router", "parent"].map(|name| format!("nq{}{name}", std::process::id()));
        let network = Network { hosts };
        let [child, router, parent] = &network.hosts;
        let mut lines: Vec<String> = network
            .hosts
            .iter()
            .map(|host| format!("netns add {host}"))
            .collect();
        for (host, near, far, net) in [(child, "a0", "ra", 1), (parent, "b0", "rb", 2)] {
            lines.push(format!(
                "link add {near} netns {host} type veth peer name {far} netns {router}"
            ));
            lines.push(format!("-n {host} addr add 10.77.{net}.1/24 dev {near}"));
            lines.push(format!("-n {router} addr add 10.77.{net}.2/24 dev {far}"));
            for (place, device) in [(host.as_str(), near), (router.as_str(), far)] {
                // Segments go over the line one by one, as on a wire.
                lines.push(format!(
                    "-n {place} link set {device} up mtu 4000 gso_max_segs 1 gso_max_size 4000"
                ));
            }
            lines.push(format!("-n {host} route add default via 10.77.{net}.2"));
        }
        if !lines.iter().all(|line| ip(line)) || !network.forwards() {
            missing("only root with `ip` can make a network");
            return None;
        }
        Some(network)
    }

    fn forwards(&self) -> bool {
        let switch = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        Command::new("ip")
            .args(["netns", "exec", &self.hosts[1], "sh", "-c", switch])
            .status()
            .is_ok_and(|status| status.success())
    }

    /// From now on packets of the child that are larger vanish at the router, and nobody tells it.
    fn swallow_above(&self, bytes: u32) {
        // The other way everything passes in fragments. Otherwise the router would tell the parent what is too large, and
        // the parent the child with the next connection.
        let fragment = "echo 2 > /proc/sys/net/ipv4/ip_no_pmtu_disc";
        let line = ["netns", "exec", &self.hosts[2], "sh", "-c", fragment];
        let done = Command::new("ip").args(line).status();
        assert!(done.is_ok_and(|status| status.success()), "{fragment}");
        let line = format!("-n {} link set ra mtu {bytes}", self.hosts[1]);
        assert!(ip(&line), "{line}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            ip(&format!("netns del {host}"));
        }
    }
}

#[test]
fn b10_where_large_packets_vanish_it_is_told_and_small_batches_pass() {
    let Some(network) = Network::new() else {
        return;
    };
    let mut ministry = Machine::new();
    let init = ["init", "--unit", "BO", "--level", "ministry", "--listen"];
    let listen = format!("{}:7457", Network::PARENT);
    ministry.run(&[&init[..], &[&listen]].concat()).expect(0);
    ministry.host = Some(network.hosts[2].clone());
    let above = ministry.serve();
    let unit = ["unit", "add", "24001", "Xã", "--level", "commune"];
    ministry.run(&unit).expect(0);
    let mut commune = Machine::new();
    commune
        .run(&["init", "--unit", "24001", "--level", "commune"])
        .expect(0);
    commune.host = Some(network.hosts[0].clone());
    commune.enrol(&ministry, "24001");
    let mut tasks = Vec::new();
    for number in 0..8 {
        let title = format!("Việc {number}");
        let line = [
            "task", "add", "--title", &title, "--lead", "24001", "--json",
        ];
        let id = ministry.run(&line).expect(0).json()["id"].clone();
        tasks.push(id.as_str().expect("an id").to_owned());
    }
    let url = format!("upstream.url=https://{listen}");
    let set = [
        url.as_str(),
        "upstream.request_timeout_s=1.5",
        "upstream.long_poll_s=1",
        "upstream.connect_timeout_s=1",
        "upstream.probe_interval_s=0.2",
        "upstream.probe_jitter_s=0",
        "sync.backoff_min_s=0.1",
        "sync.backoff_max_s=0.5",
    ];
    let below = commune.serve_with(&set);
    commune.run(&["sync", "--wait"]).expect(0);
    below.stop();

    let mut rng = StdRng::seed_from_u64(10);
    for task in &tasks {
        // Nothing that a compression would make small.
        let text: String = (0..900).map(|_| rng.random_range('a'..='z')).collect();
        commune
            .run(&["report", "set", task, "--result", &text])
            .expect(0);
    }
    // Still enough for the greeting of TLS with its post-quantum key, which is larger than an Ethernet packet.
    network.swallow_above(3_000);
    let below = commune.serve_with(&set);
    let end = Instant::now() + PATIENCE;
    loop {
        let status = commune.run(&["status", "--json"]).json();
        if status["upstream"]["pending_up"] == 0 {
            break;
        }
        assert!(Instant::now() < end, "nothing passes: {status}");
        std::thread::yield_now();
    }
    // Sampled from outside it could be missed: the half that passes comes a moment after the whole that does not.
    let log = std::fs::read_to_string(commune.at("log")).expect("a log");
    assert!(
        log.contains("the exchange with the parent was cut"),
        "{log}"
    );
    let reports = ministry.run(&["report", "list", "--json"]).expect(0).json();
    assert_eq!(reports["items"].as_array().map(Vec::len), Some(tasks.len()));
    below.stop();
    above.stop();
}
