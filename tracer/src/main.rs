//! Arguments, command, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = match tracer::cli::parse() {
        Ok(cli) => tracer::command::run(cli),
        Err(code) => code,
    };
    ExitCode::from(code)
}
