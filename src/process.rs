//! Helping processes of this program: limits they set on themselves, and how their end is told.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Limits the calling process for the rest of its life: address space in bytes, CPU time in seconds, no dump, no files
/// written.
pub fn limit_self(memory_bytes: u64, cpu_s: u64) -> io::Result<()> {
    let both = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(Resource::As, both(memory_bytes))?;
    setrlimit(Resource::Cpu, both(cpu_s))?;
    // A dump of the process would put other people's texts on the disk.
    setrlimit(Resource::Core, both(0))?;
    setrlimit(Resource::Fsize, both(0))?;
    Ok(())
}

/// How a process that should not have ended has ended, for people.
pub fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(6) => "ran out of memory or failed (signal 6)".to_owned(),
        Some(11) => "went too deep or failed (signal 11)".to_owned(),
        Some(24) => "used up its CPU time (signal 24)".to_owned(),
        Some(signal) => format!("was killed (signal {signal})"),
        None if status.code() == Some(101) => {
            "could not cope with it: it is probably damaged (exit status 101)".to_owned()
        }
        None => format!("failed ({status})"),
    }
}
