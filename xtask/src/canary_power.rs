//! `canary-power`: what share of changes of known size a comparison finds, and how often it alarms for nothing.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use lexopt::Parser;

use crate::{build, process::run, setup, toolchain};

const SERVICES: &str = "tracer/tests/fixtures/canary";
const GO_SITES: u32 = 240;

/// `cargo xtask canary-power [ARG …]`: the arguments go to the experiment.
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let passed_on: Vec<_> = args.raw_args()?.collect();
    setup::prepare(setup::For::Examples)?;
    build::all(true)?;
    let folder = toolchain::target_dir().join("canary");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let (cpp, go) = (build_cpp(&folder)?, build_go(&folder)?);
    let mut cargo = toolchain::cargo("bench")?;
    cargo.args(["--package", "tracer", "--bench", "canary", "--"]);
    cargo.arg("--tracer").arg(toolchain::target_dir().join("release/tracer"));
    run(cargo.arg("--folder").arg(&folder).arg("--cpp").arg(cpp).arg("--go").arg(go).args(passed_on))
}

fn build_cpp(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("service-cpp");
    let source = Path::new(SERVICES).join("service.cpp");
    run(Command::new("c++").args(["-std=c++17", "-O2", "-g", "-o"]).arg(&program).arg(source))?;
    Ok(program)
}

/// Go has no templates over numbers: the functions of its sites are written here.
fn build_go(folder: &Path) -> Result<PathBuf> {
    let sources = folder.join("go");
    fs::create_dir_all(&sources).with_context(|| format!("failed to create {}", sources.display()))?;
    fs::copy(Path::new(SERVICES).join("service.go"), sources.join("service.go"))
        .context("failed to copy the Go service")?;
    fs::write(sources.join("sites.go"), go_sites()).context("failed to write the sites of the Go service")?;
    let program = folder.join("service-go");
    let newest = toolchain::tools_dir().join("python/bin/go");
    let Some(compiler) = [newest, PathBuf::from("/usr/bin/go")].into_iter().find(|path| path.exists()) else {
        bail!("there is no Go here; install Debian's golang-go");
    };
    let mut go = Command::new(compiler);
    go.args(["build", "-o"]).arg(&program).args(["service.go", "sites.go"]).current_dir(&sources);
    go.env("GOCACHE", toolchain::target_dir().join("go-cache"));
    run(go.envs([
        ("GOTOOLCHAIN", "local"),
        ("GOPROXY", "off"),
        ("GO111MODULE", "off"),
        ("CGO_ENABLED", "0"),
    ]))?;
    Ok(program)
}

fn go_sites() -> String {
    let mut text = String::from("package main\n\n");
    for n in 0..GO_SITES {
        let size = 384 + (n * 389) % 256;
        // Writing to a String cannot fail.
        let _written = writeln!(text, "//go:noinline\nfunc site{n}() {{\n\tkeep(make([]byte, {size}))\n}}\n");
    }
    let names: Vec<String> = (0..GO_SITES).map(|n| format!("site{n}")).collect();
    let _written = writeln!(text, "var sites = [...]func(){{{}}}", names.join(", "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_of_the_go_service_is_a_function_of_its_own() {
        let text = go_sites();
        assert_eq!(text.matches("func site").count(), 240);
        assert!(text.contains("func site239() {\n\tkeep(make([]byte, "), "{text}");
        assert!(text.ends_with("site238, site239}\n"), "{text}");
    }
}
