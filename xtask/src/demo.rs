//! `demo`: a small service that leaks, traced for ten seconds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use lexopt::Parser;

use crate::{
    build, no_more,
    process::{privileged, run, say},
    program::Program,
    setup, toolchain,
};

/// `cargo xtask demo`
pub(crate) fn task(args: Parser) -> Result<()> {
    no_more(args)?;
    setup::prepare(setup::For::Building)?;
    build::all(true)?;
    let folder = toolchain::target_dir().join("demo");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let service = Program::start(&compile(&folder)?, &[])?;
    let (svg, pprof) = (folder.join("flamegraph.svg"), folder.join("heap.pb.gz"));

    let mut tracer = privileged(toolchain::tracer(true))?;
    tracer.args(["attach", "--pid", &service.pid().to_string(), "--duration", "10s", "--format", "table"]);
    tracer.arg("-o").arg(&svg).arg("-o").arg(&pprof);
    say(&format!("tracing pid {} for 10 s", service.pid()));
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
