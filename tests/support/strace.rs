//! Programs stopped at a system call by strace. Where it is missing a test fails in CI and is left out elsewhere, with
//! the reason printed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::machine::{Machine, Service};

/// How a traced verb ended.
#[derive(Debug)]
pub struct Traced {
    /// Exit code; -1 where a signal ended it.
    pub code: i32,
    /// Whether it, or a process that it had started, was killed.
    pub killed: bool,
    pub said: String,
    calls: Vec<String>,
}

/// Whether strace is here and may trace.
pub fn usable() -> bool {
    let works = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success());
    works || missing("strace is missing here, or may not trace")
}

/// What a fault needs is not here: that fails in CI, and elsewhere the test is left out with the reason.
pub fn missing(what: &str) -> bool {
    let must = ["CI", "NQSYNC_CI"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    assert!(!must, "{what}");
    println!("not run: {what}");
    false
}

/// Runs a verb under strace, which looks at `calls` and does to them what `inject` says.
pub fn run(machine: &Machine, line: &[&str], calls: &str, inject: Option<&str>) -> Traced {
    let told = machine.at("strace.txt");
    let verb = machine.command(line);
    let mut command = Command::new("strace");
    command.arg("-f").arg("-o").arg(&told);
    command.arg("-e").arg(format!("trace={calls}"));
    if let Some(inject) = inject {
        command.arg("-e").arg(format!("inject={calls}:{inject}"));
    }
    command.arg(verb.get_program()).args(verb.get_args());
    command.env_clear();
    let set = verb.get_envs();
    command.envs(set.filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.output().expect("strace starts");
    let text = std::fs::read_to_string(&told).expect("what strace saw");
    std::fs::remove_file(&told).expect("it is ours");
    Traced {
        code: output.status.code().unwrap_or(-1),
        killed: text.contains("+++ killed by SIGKILL +++"),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
        calls: text.lines().map(str::to_owned).collect(),
    }
}

impl Traced {
    /// The calls as strace wrote them down.
    pub fn calls(&self) -> &[String] {
        &self.calls
    }

    /// Every call by its name and its number: strace counts each name by itself, and in each thread by itself, so that
    /// this is the busiest thread of each name.
    pub fn moments(&self) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for line in &self.calls {
            let (thread, call) = line.split_once(' ').unwrap_or_default();
            // The second half of a call that was interrupted, and the end of a thread, have no such beginning.
            if let Some((name, _)) = call.trim_start().split_once('(')
                && name.chars().all(|c| c.is_ascii_alphanumeric())
            {
                *counts.entry((thread, name)).or_default() += 1;
            }
        }
        let mut most: BTreeMap<&str, usize> = BTreeMap::new();
        for ((_, name), count) in counts {
            let known = most.entry(name).or_default();
            *known = count.max(*known);
        }
        most.into_iter()
            .flat_map(|(name, most)| (1..=most).map(move |number| (name.to_owned(), number)))
            .collect()
    }
}

/// What the system says to a running service from now on, until this is dropped.
pub struct Attached(Child);

/// Does to the service's calls what `inject` says.
pub fn attach(service: &Service, calls: &str, inject: &str) -> Attached {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e"]);
    command.arg(format!("trace={calls}")).arg("-e");
    command.arg(format!("inject={calls}:{inject}"));
    attached(command, service)
}

/// Writes the service's calls down in a file.
pub fn listen(service: &Service, calls: &str, to: &std::path::Path) -> Attached {
    let mut command = Command::new("strace");
    command.arg("-f").arg("-o").arg(to);
    command.arg("-e").arg(format!("trace={calls}"));
    attached(command, service)
}

fn attached(mut command: Command, service: &Service) -> Attached {
    let mut child = command
        .arg("-p")
        .arg(service.pid().to_string())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace starts");
    let mut said = BufReader::new(child.stderr.take().expect("its output"));
    let mut line = String::new();
    while !line.contains("attached") {
        line.clear();
        let count = said.read_line(&mut line).expect("it writes text");
        assert!(count > 0, "strace did not attach");
    }
    // What it says later is of no use, but it must have somewhere to say it.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    Attached(child)
}

impl Drop for Attached {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        // It ends by itself with the service.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}
