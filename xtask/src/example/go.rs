//! Compilers of Go: which there are, what they build, what their benchmark says.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    process::{output, run, say, shown},
    toolchain,
};

const DEBIAN: &str = "/usr/bin/go";
const SOURCE: &str = "tracer/examples/go-map-storm";
const BENCHMARK: &str = "BenchmarkSummarize/";

/// A compiler.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Go {
    /// Its path.
    pub(super) program: PathBuf,
    /// `go1.19.8`
    pub(super) version: String,
}

/// What one request of a variant costs, its HTTP not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PerRequest {
    pub(super) objects: f64,
    pub(super) bytes: f64,
}

/// Those that were named, else Debian's and PyPI's; one of these two may be missing.
pub(super) fn toolchains(named: &[PathBuf]) -> Result<Vec<Go>> {
    if !named.is_empty() {
        return named.iter().map(|program| Go::at(program)).collect();
    }
    let newest = toolchain::tools_dir().join("python/bin/go");
    let mut found = Vec::new();
    for program in [Path::new(DEBIAN), &newest] {
        match Go::at(program) {
            Ok(go) => found.push(go),
            Err(error) => say(&format!("going on without {}: {error:#}", program.display())),
        }
    }
    if found.is_empty() {
        bail!("there is no Go here; install Debian's golang-go, or name one by --go PATH");
    }
    Ok(found)
}

impl Go {
    fn at(program: &Path) -> Result<Self> {
        let text = output(Command::new(program).arg("version").env("GOTOOLCHAIN", "local"))?;
        let version =
            parse_version(&text).with_context(|| format!("{} is no Go: {text:?}", program.display()))?;
        // It is started in another folder.
        let program = std::path::absolute(program).context("failed to find the working folder")?;
        Ok(Self { program, version })
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(toolchain::repository().join(SOURCE))
            .env("GOCACHE", folder.join("go-cache"))
            .envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GO111MODULE", "on"), ("CGO_ENABLED", "0")])
            .env_remove("GOROOT")
            .env_remove("GOFLAGS");
        command
    }

    /// Vets and builds the service, with symbols and DWARF.
    pub(super) fn build(&self, folder: &Path) -> Result<PathBuf> {
        let program = folder.join(format!("go-map-storm-{}", self.version));
        let mut build = self.command(folder);
        // The state of the repository is no part of an example, and git may refuse to tell it.
        build.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".");
        let mut vet = self.command(folder);
        for command in [vet.args(["vet", "."]), &mut build] {
            say(&format!("running `{}`", shown(command)));
            run(command).context("failed to build the example")?;
        }
        Ok(program)
    }

    /// What `go test -benchmem` says of each variant, after its tests.
    pub(super) fn bench(&self, folder: &Path) -> Result<BTreeMap<String, PerRequest>> {
        let mut test = self.command(folder);
        test.args(["test", "-count=1", "-bench", "Summarize", "-benchmem", "."]);
        say(&format!("running `{}`", shown(&test)));
        let text = output(&mut test)?;
        parse_benchmarks(&text).with_context(|| format!("failed to read what `go test` printed:\n{text}"))
    }
}

/// `go1.27.3` of `go version go1.27.3 linux/amd64`.
fn parse_version(text: &str) -> Option<String> {
    let version = text.strip_prefix("go version ")?.split_whitespace().next()?;
    version.starts_with("go1.").then(|| version.to_owned())
}

/// One line per variant: `BenchmarkSummarize/nil-2  661  1766657 ns/op  1600 pages/op  797475 B/op  2691 allocs/op`.
fn parse_benchmarks(text: &str) -> Option<BTreeMap<String, PerRequest>> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix(BENCHMARK)) {
        let words: Vec<&str> = line.split_whitespace().collect();
        // With one processor nothing follows the name; no variant has a `-` in it.
        let name = words.first()?.split('-').next()?;
        let number = |unit: &str| {
            let at = words.iter().position(|word| *word == unit)?;
            words.get(at.checked_sub(1)?)?.parse::<f64>().ok()
        };
        let pages = number("pages/op").filter(|&pages| pages > 0.0)?;
        let cost = PerRequest { objects: number("allocs/op")? / pages, bytes: number("B/op")? / pages };
        found.insert(name.to_owned(), cost);
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_and_anything_else_is_none() {
        assert_eq!(parse_version("go version go1.19.8 linux/amd64\n").as_deref(), Some("go1.19.8"));
        assert_eq!(parse_version("go version go1.27.3 X:nodwarf5 linux/amd64").as_deref(), Some("go1.27.3"));
        assert_eq!(parse_version("go version devel"), None);
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn a_benchmark_is_read_per_page_whatever_the_number_of_processors() {
        let text = "goos: linux\n\
            BenchmarkSummarize/baseline-2   133   9464944 ns/op   1600 pages/op   8132249 B/op   155493 allocs/op\n\
            BenchmarkSummarize/pool         913   1669363 ns/op   1600 pages/op         0 B/op        8 allocs/op\n\
            PASS\nok  go-map-storm  11.213s\n";
        let found = parse_benchmarks(text).unwrap();
        let per_request = |objects, bytes| PerRequest { objects, bytes };
        assert_eq!(found["baseline"], per_request(155_493.0 / 1600.0, 8_132_249.0 / 1600.0));
        assert_eq!(found["pool"], per_request(0.005, 0.0));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_benchmark_without_its_pages_or_its_bytes_is_refused() {
        for text in
            ["", "FAIL", "BenchmarkSummarize/nil-2 1 1600 pages/op 2 allocs/op", "BenchmarkSummarize/"]
        {
            assert_eq!(parse_benchmarks(text), None, "{text}");
        }
        assert_eq!(parse_benchmarks("BenchmarkSummarize/nil-2 1 0 pages/op 2 B/op 2 allocs/op"), None);
    }
}
