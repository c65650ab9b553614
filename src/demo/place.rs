//! One node of the demonstration: a folder, a process of its own, and the verbs typed at it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::DemoError;

/// Longest wait for a service to answer after its start.
const START: Duration = Duration::from_secs(20);

/// A node.
pub struct Place {
    /// Code of its unit.
    pub code: String,
    /// Its folder.
    pub dir: PathBuf,
    service: Option<Child>,
}

impl Place {
    /// Makes a node with the verb `init`.
    pub fn init(base: &Path, code: &str, level: &str, name: &str) -> Result<Place, DemoError> {
        let place = Place {
            code: code.to_owned(),
            dir: base.join(code),
            service: None,
        };
        let mut args = vec!["init", "--unit", code, "--level", level, "--name", name];
        if level != "commune" {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        place.ask(&args)?;
        Ok(place)
    }

    /// Starts the service as a process of its own and waits until it answers.
    pub fn start(&mut self) -> Result<(), DemoError> {
        let io = |what: &str, source| DemoError::Process {
            what: format!("{what} {}", self.code),
            source,
        };
        let log =
            std::fs::File::create(self.dir.join("service.log")).map_err(|e| io("log of", e))?;
        let child = Command::new(program()?)
            .args(["run", "--set", "console.address=127.0.0.1:0", "--dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| io("start", e))?;
        self.service = Some(child);
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.dir.join("control.sock")).is_err() {
            let ended = self
                .service
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || began.elapsed() > START {
                let log = std::fs::read_to_string(self.dir.join("service.log")).unwrap_or_default();
                return Err(DemoError::NotStarted {
                    code: self.code.clone(),
                    log,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Types a verb and reads its JSON. Exit codes other than done and done in part are errors.
    pub fn ask(&self, args: &[&str]) -> Result<Value, DemoError> {
        let (code, data, said) = self.try_ask(args)?;
        match code {
            0 | 3 | 4 => Ok(data),
            code => Err(DemoError::Verb {
                unit: self.code.clone(),
                verb: args.join(" "),
                code,
                said: said.trim().to_owned(),
            }),
        }
    }

    /// Types a verb; answers its exit code, its JSON and what it said.
    pub fn try_ask(&self, args: &[&str]) -> Result<(i32, Value, String), DemoError> {
        let output = Command::new(program()?)
            .args(["--json", "--lang", "en", "--person", "demo", "--dir"])
            .arg(&self.dir)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| DemoError::Process {
                what: args.join(" "),
                source,
            })?;
        let data = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code().unwrap_or(-1), data, said))
    }

    /// The items of a list verb.
    pub fn list(&self, args: &[&str]) -> Result<Vec<Value>, DemoError> {
        Ok(self.ask(args)?["items"]
            .as_array()
            .cloned()
            .unwrap_or_default())
    }

    /// One whole exchange with the parent.
    pub fn sync(&self) -> Result<Value, DemoError> {
        self.ask(&["sync", "--wait"])
    }

    /// Ends the service in an orderly way.
    pub fn stop(&mut self) {
        let Some(mut child) = self.service.take() else {
            return;
        };
        if let Some(pid) = i32::try_from(child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            // A service that has ended already needs no signal.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let began = Instant::now();
        while began.elapsed() < START {
            if let Ok(Some(_)) = child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> Result<PathBuf, DemoError> {
    std::env::current_exe().map_err(|source| DemoError::Process {
        what: "find this program".to_owned(),
        source,
    })
}
