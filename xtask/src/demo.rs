//! `demo`: a small service that leaks, traced for ten seconds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lexopt::Parser;

use crate::{
    build, no_more,
    process::{privileged, run, say},
    setup, toolchain,
};

/// Stopped when dropped, also on an error.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone and reaped.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// `cargo xtask demo`
pub(crate) fn task(args: Parser) -> Result<()> {
    no_more(args)?;
    setup::prepare(setup::For::Building)?;
    build::all(true)?;
    let folder = toolchain::target_dir().join("demo");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let service = start(&compile(&folder)?, &[])?;
    let (svg, pprof) = (folder.join("flamegraph.svg"), folder.join("heap.pb.gz"));

    let mut tracer = privileged(toolchain::tracer(true))?;
    tracer.args(["attach", "--pid", &service.0.id().to_string(), "--duration", "10s", "--format", "table"]);
    tracer.arg("-o").arg(&svg).arg("-o").arg(&pprof);
    say(&format!("tracing pid {} for 10 s", service.0.id()));
    run(&mut tracer).context("failed to trace the demo; `tracer doctor` says what is missing here")?;
    drop(service);
    println!("\nwritten: {}\n         {}", svg.display(), pprof.display());
    Ok(())
}

/// Compiles the service, with frame pointers and debug info.
fn compile(folder: &Path) -> Result<PathBuf> {
    let source = toolchain::repository().join("tracer/tests/fixtures/leaky_service.c");
    let program = folder.join("leaky-service");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-g", "-fno-omit-frame-pointer", "-pthread", "-o"]).arg(&program).arg(&source);
    run(&mut gcc).context("failed to compile the demo's service; it needs gcc and libc's headers")?;
    Ok(program)
}

/// Starts the service, and waits until it is itself.
fn start(program: &Path, args: &[&str]) -> Result<Service> {
    // setpriv becomes the service under the same pid, and the kernel ends it if we are killed.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program).args(args);
    let mut service =
        Service(command.spawn().context("failed to start the service; setpriv is in util-linux")?);
    let image = format!("/proc/{}/exe", service.0.id());
    let end = Instant::now() + Duration::from_secs(5);
    while fs::read_link(&image).ok().as_deref() != Some(program) {
        if let Some(status) = service.0.try_wait()? {
            bail!("the demo's service ended at once ({status}); run {} to see why", program.display());
        }
        if Instant::now() > end {
            bail!("the demo's service did not start within 5 s");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_gone_when_its_guard_is_dropped() {
        let sleep = fs::canonicalize("/bin/sleep").unwrap();
        let service = start(&sleep, &["60"]).unwrap();
        let process = format!("/proc/{}", service.0.id());
        assert!(Path::new(&process).exists());
        drop(service);
        assert!(!Path::new(&process).exists());
    }

    #[test]
    fn a_service_that_never_becomes_itself_is_an_error() {
        assert!(start(Path::new("/no/such/service"), &[]).is_err());
    }
}
