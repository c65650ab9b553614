//! The program itself on a directory of its own: verbs as a person types them, and the service as systemd starts it.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Tries come soon after each other, so that nobody has to wait for the next one.
pub const SOON: [&str; 4] = [
    "sync.backoff_min_s=0.05",
    "sync.backoff_max_s=0.2",
    "upstream.probe_interval_s=0.1",
    "upstream.probe_jitter_s=0",
];

/// A machine with one node.
pub struct Machine {
    pub dir: TempDir,
    /// Set for every process, such as another language.
    pub env: Vec<(String, String)>,
    /// The network namespace that its processes live in, if not the one of the test.
    pub host: Option<String>,
    /// Another program than the one under test.
    pub program: Option<PathBuf>,
}

/// How a verb ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Its `--json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The code of its failure, with `--json`.
    pub fn failure(&self) -> String {
        let error: Value =
            serde_json::from_str(&self.err).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        error["error"]["code"].as_str().unwrap_or_default().into()
    }

    /// The same, when it had to end like this.
    pub fn expect(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// A running service; it is killed when the test ends.
pub struct Service {
    child: Child,
}

impl Service {
    /// The plug is pulled.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended by itself, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state")
    }

    /// An orderly end.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service that has not said yet that it is ready.
pub struct Starting {
    service: Service,
    socket: UnixDatagram,
    log: PathBuf,
}

impl Starting {
    /// Waits until it says that it is ready.
    pub fn ready(mut self) -> Service {
        // A service that ends before it is ready says nothing: the wait must end as well.
        while !self.says_ready_within(Duration::from_millis(200)) {
            if let Some(status) = self.service.child.try_wait().expect("its state") {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("the service ended with {status}:\n{log}");
            }
        }
        self.service
    }

    /// The same, and the socket on which it goes on saying that it is alive.
    pub fn ready_and_heard(mut self) -> (Service, UnixDatagram) {
        while !self.says_ready_within(Duration::from_millis(200)) {
            assert!(self.service.ended().is_none(), "it ended");
        }
        (self.service, self.socket)
    }

    /// Pulls the plug when this time is over; whether it was not ready yet.
    pub fn kill_after(self, time: Duration) -> bool {
        let ready = self.says_ready_within(time);
        self.service.kill();
        !ready
    }

    fn says_ready_within(&self, time: Duration) -> bool {
        let limit = Some(time.max(Duration::from_micros(1)));
        self.socket.set_read_timeout(limit).expect("a timeout");
        let mut word = [0; 512];
        let length = self.socket.recv(&mut word).unwrap_or(0);
        word[..length].windows(7).any(|part| part == b"READY=1")
    }
}

impl Machine {
    /// An empty machine.
    pub fn new() -> Machine {
        Machine {
            dir: tempfile::tempdir().expect("room"),
            env: Vec::new(),
            host: None,
            program: None,
        }
    }

    /// A topmost node that listens where the system lets it.
    pub fn ministry(unit: &str) -> Machine {
        let machine = Machine::new();
        let line = ["init", "--unit", unit, "--level", "ministry", "--name"];
        let listen = ["Bộ", "--listen", "127.0.0.1:0"];
        machine.run(&[&line[..], &listen].concat()).expect(0);
        machine
    }

    /// A node below, enrolled at the running service of `parent`.
    pub fn child(parent: &Machine, unit: &str, level: &str) -> Machine {
        parent
            .run(&["unit", "add", unit, unit, "--level", level])
            .expect(0);
        let machine = Machine::new();
        let mut line = vec!["init", "--unit", unit, "--level", level];
        if level != "commune" {
            line.extend(["--listen", "127.0.0.1:0"]);
        }
        machine.run(&line).expect(0);
        machine.enrol(parent, unit);
        machine
    }

    /// Enrols with a new token of the running service of `parent`.
    pub fn enrol(&self, parent: &Machine, unit: &str) {
        let token = parent.run(&["node", "token", unit, "--json"]).expect(0);
        let token = token.json()["token"].as_str().expect("a token").to_owned();
        self.run(&["enrol", "--token", &token]).expect(0);
    }

    /// The directory of the node.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A path below the directory.
    pub fn at(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The program with a verb, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let under_test = Path::new(env!("CARGO_BIN_EXE_nqsync"));
        let program = self.program.as_deref().unwrap_or(under_test);
        let mut command = match &self.host {
            None => Command::new(program),
            Some(host) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", host]).arg(program);
                command
            }
        };
        command
            .env_clear()
            .env("LANG", "en_US.UTF-8")
            .env("USER", "lan")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .args(args)
            .arg("--dir")
            .arg(self.path());
        command
    }

    /// Runs a verb to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args))
    }

    /// Starts the service and waits until it says that it is ready.
    pub fn serve(&self) -> Service {
        self.serve_with(&[])
    }

    /// The same with overrides of the configuration.
    pub fn serve_with(&self, set: &[&str]) -> Service {
        self.begin(set).ready()
    }

    /// Starts the service and does not wait.
    pub fn begin(&self, set: &[&str]) -> Starting {
        self.begin_as(&["run"], set)
    }

    /// The same with other words than `run` alone.
    pub fn begin_as(&self, verb: &[&str], set: &[&str]) -> Starting {
        let notify = self.at("ready");
        // Left by an earlier start, if any.
        let _ = std::fs::remove_file(&notify);
        let socket = UnixDatagram::bind(&notify).expect("a socket in the directory");
        let path = self.at("log");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .expect("a log");
        let mut command = self.command(verb);
        for pair in set {
            command.arg("--set").arg(pair);
        }
        let child = command
            .env("NOTIFY_SOCKET", &notify)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it starts");
        Starting {
            service: Service { child },
            socket,
            log: path,
        }
    }

    /// Where its service listens, as it said at its last start.
    pub fn address(&self) -> SocketAddr {
        let log = std::fs::read_to_string(self.at("log")).expect("a log");
        let (_, rest) = log.rsplit_once("address=").expect("it says where");
        let text = rest.split_whitespace().next().unwrap_or_default();
        text.trim_matches('"').parse().expect("an address")
    }

    /// Starts the service where it must refuse; what it said.
    pub fn refuses_to_serve(&self) -> Ran {
        ran(self.command(&["run"]))
    }
}

/// Runs a program to its end.
pub fn ran(mut command: Command) -> Ran {
    let output = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes text");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Runs a verb that is killed at its n-th system call of these; whether it came to its end before. `None`: there is
/// no strace, or it may not trace.
pub fn killed_at(machine: &Machine, calls: &str, number: u32, args: &[&str]) -> Option<bool> {
    let verb = machine.command(args);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={calls}"))
        .arg("-e")
        .arg(format!("inject={calls}:signal=SIGKILL:when={number}"))
        .arg(verb.get_program())
        .args(verb.get_args())
        .env_clear();
    let set = verb
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let output = command
        .envs(set)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("PTRACE") {
        return None;
    }
    Some(output.status.success())
}

/// Copies a folder; the sockets of a service are not part of it.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("room");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if entry.path().is_file() {
            std::fs::copy(entry.path(), target).expect("room");
        }
    }
}

/// The longest that anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until it is so.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "never seen: {what}");
        std::thread::yield_now();
    }
}
