//! Processes of this program that read what strangers wrote: no environment, no files, limited memory and CPU time.
//!
//! The parent starts its own program with a hidden argument, talks to it over pipes and ends it when it is silent for too long. What the
//! child must not do, it takes from itself before it reads anything but its limits.

use std::{
    io,
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// This program as a child with the hidden `argument`: pipes for its input and output, an empty environment, no messages.
pub fn command(exe: &Path, argument: &str) -> Command {
    let mut command = Command::new(exe);
    command.arg(argument);
    confine(&mut command);
    command
}

/// The same for any command.
pub(crate) fn confine(command: &mut Command) {
    command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What a failing process says may quote other people's texts.
        .stderr(Stdio::null());
}

/// Takes from this process, for good, memory above `memory_bytes`, the disk and new files.
pub fn limit_self(memory_bytes: u64) -> io::Result<()> {
    let both = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(Resource::As, both(memory_bytes))?;
    // A dump of the process would put other people's texts on the disk.
    setrlimit(Resource::Core, both(0))?;
    setrlimit(Resource::Fsize, both(0))?;
    // The three pipes are open already.
    setrlimit(Resource::Nofile, both(3))?;
    Ok(())
}

/// Allows this process `cpu_s` seconds of CPU time from now on; asked again, it begins anew.
pub fn limit_cpu(cpu_s: u64) -> io::Result<()> {
    let used_s = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    // The system counts whole seconds, and the second under way is partly used.
    let most = used_s.saturating_add(cpu_s).saturating_add(1);
    let Rlimit { maximum, .. } = getrlimit(Resource::Cpu);
    let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    setrlimit(Resource::Cpu, Rlimit { current, maximum })?;
    Ok(())
}

/// How a process ended, as the end of a sentence about it.
pub fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(6) => "ran out of memory or went too deep (signal 6)".to_owned(),
        Some(11) => "went too deep or failed (signal 11)".to_owned(),
        Some(24) => "used up its CPU time (signal 24)".to_owned(),
        Some(signal) => format!("was killed (signal {signal})"),
        None if status.code() == Some(101) => {
            "could not cope with it: it is probably damaged (exit status 101)".to_owned()
        }
        None => format!("failed ({status})"),
    }
}
