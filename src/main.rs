//! nqsync: arguments to exit code; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(nqsync::cli::main(std::env::args_os()))
}
