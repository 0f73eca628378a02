//! redis-server on jemalloc, under redis-benchmark: totals against a counting shim preloaded into the same process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tracer::model::snapshot::{CallSite, Snapshot, Verdict};

use crate::harness::{Outcome, Target, Tracer, code_of, eventually, kernel_or_skip, nonzero, skip, tracer};
use crate::shim::{Counts, FUNCTIONS, NUMBERS, Shim};

/// redis does some house-keeping every second; else nothing moves for so many looks when nobody asks.
const QUIET_LOOKS: usize = 3;
const LOOK: Duration = Duration::from_millis(100);
/// Share of the allocations that must have a function of redis on their stack; where symbols are missing, the
/// direct caller is a static function of redis, which Debian's binary has no name for.
const NAMED_SHARE: f64 = 0.9;

/// A redis with the shim, its socket and its counts, in a folder of its own.
struct Redis {
    folder: TempDir,
    shim: Shim,
    program: PathBuf,
}

impl Redis {
    /// What is needed, or why it is not there.
    fn prepare() -> Result<Self, String> {
        for program in ["redis-cli", "redis-benchmark"] {
            which(program)?;
        }
        let program = which("redis-server")?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let shim = Shim::of(&program, &folder.path().join("counts"));
        Ok(Self { folder, shim, program })
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Waits until all of its threads have nothing to do.
    fn wait_quiet(&self) {
        let mut last = self.shim.counts();
        let mut same = 0;
        eventually("redis has nothing to do", || {
            thread::sleep(LOOK);
            let now = self.shim.counts();
            same = if now == last { same + 1 } else { 0 };
            last = now;
            same >= QUIET_LOOKS
        });
    }

    /// The counts of a server that stands still, until it is continued.
    fn stopped_counts(&self, server: &Target) -> Counts {
        self.wait_quiet();
        server.signal(Signal::STOP);
        thread::sleep(LOOK);
        self.shim.counts()
    }

    /// Its arguments: it keeps nothing, and is found in the folder only.
    fn arguments(&self) -> Vec<String> {
        let [socket, folder] = [self.socket(), self.folder.path().to_path_buf()];
        let mut arguments: Vec<String> =
            ["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"]
                .map(str::to_owned)
                .to_vec();
        arguments.extend(["--unixsocket".to_owned(), socket.display().to_string()]);
        arguments.extend(["--dir".to_owned(), folder.display().to_string()]);
        arguments
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(words).output();
        String::from_utf8_lossy(&output.expect("redis-cli starts").stdout).trim().to_owned()
    }

    fn wait_ready(&self) {
        eventually("redis answers", || self.ask(&["ping"]) == "PONG");
    }

    /// Some seconds of commands, and one that another thread of redis ends; requests per second of each command.
    fn benchmark(&self) -> BTreeMap<String, f64> {
        let output = Command::new("redis-benchmark")
            .arg("-s")
            .arg(self.socket())
            .args(["-n", "10000", "-c", "10", "-P", "4", "-d", "100", "-r", "1000", "--csv"])
            .args(["-t", "set,get,lpush,hset,zadd"])
            .output()
            .expect("redis-benchmark starts");
        assert!(output.status.success(), "redis-benchmark: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(self.ask(&["flushall", "async"]), "OK", "a thread of its own frees the keys");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().map(|line| line.replace('"', ""));
        lines
            .filter_map(|line| {
                let mut fields = line.split(',');
                Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
            })
            .collect()
    }
}

/// Where a program is, or that it is not there.
fn which(program: &str) -> Result<PathBuf, String> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| format!("there is no {program}: packages redis-server and redis-tools"))
}

/// jemalloc under the shim, or whatever the tracer finds by itself.
fn ways() -> Result<[(&'static str, Vec<String>); 2], String> {
    let folder = Path::new("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2");
    if !folder.exists() {
        return Err(format!("there is no {}: package libjemalloc2", folder.display()));
    }
    Ok([
        ("jemalloc, named by --object", vec!["--object".to_owned(), folder.display().to_string()]),
        ("what it finds", Vec::new()),
    ])
}

/// Totals and functions are the shim's.
fn assert_counted(way: &str, snapshot: &Snapshot, truth: &Counts) {
    assert_eq!(truth.own_blocks, 0, "the shim passed every call on");
    let quality = &snapshot.quality;
    let mut wrong = String::new();
    let mut check = |what: &str, got: Option<u64>, expected: u64| {
        if got != Some(expected) {
            writeln!(wrong, "{what}: got {got:?}, expected {expected}").expect("a string grows");
        }
    };
    let totals = &snapshot.targets[0].totals;
    let mut sums = [0; NUMBERS];
    for (name, numbers) in FUNCTIONS.iter().zip(&truth.functions) {
        let function = totals.by_function.get(*name).copied().unwrap_or_default();
        check(&format!("{name}.calls"), Some(function.calls), numbers[0]);
        if *name != "free" {
            check(&format!("{name}.bytes"), Some(function.bytes), numbers[1]);
            check(&format!("{name}.failed"), function.failed.or(Some(0)), numbers[2]);
            sums = std::array::from_fn(|at| sums[at] + numbers[at]);
        }
    }
    check("alloc_objects", Some(totals.alloc_objects), sums[0]);
    check("alloc_bytes", Some(totals.alloc_bytes), sums[1]);
    check("free_objects", totals.free_objects, truth.freed);
    assert!(wrong.is_empty(), "{way}:\n{wrong}{quality:?}");
    assert_eq!(quality.verdict, Verdict::Exact, "{way}: lost {:?}, {quality:?}", nonzero(&quality.lost));
}

/// Names of redis on the stacks, by share of the allocations. The shim stands before them where it is seen.
fn assert_named(way: &str, snapshot: &Snapshot) {
    let in_redis = |site: &&CallSite| {
        let mut frames = site.frames.iter().take(2);
        frames.any(|frame| {
            frame.function.is_some() && frame.module.as_ref().is_some_and(|module| module.contains("/redis-"))
        })
    };
    let objects =
        |sites: &mut dyn Iterator<Item = &CallSite>| sites.map(|site| site.alloc_objects).sum::<u64>();
    let named = objects(&mut snapshot.sites.iter().filter(in_redis));
    let all = objects(&mut snapshot.sites.iter());
    let share = named as f64 / all as f64;
    println!(
        "{way}: {:.2} % of {all} allocations have a function of redis next to the allocator",
        share * 100.0
    );
    assert!(share > NAMED_SHARE, "{way}: only {share:.3} are named");
}

fn print_throughput(way: &str, untraced: &BTreeMap<String, f64>, traced: &BTreeMap<String, f64>) {
    for (command, requests) in traced {
        let before = untraced.get(command).copied().unwrap_or_default();
        println!("{way}: {command}: {before:.0} requests per second, traced {requests:.0}");
    }
}

/// One attach between two moments in which the server stands still.
fn attached(redis: &Redis, server: &Target, options: &[&str]) -> (Outcome, Counts, BTreeMap<String, f64>) {
    let before = redis.stopped_counts(server);
    let mut tracer = Tracer::attach(server.pid(), options);
    tracer.wait_counting();
    server.signal(Signal::CONT);
    let throughput = redis.benchmark();
    let after = redis.stopped_counts(server);
    let outcome = tracer.stop();
    server.signal(Signal::CONT);
    (outcome, after.since(&before), throughput)
}

/// Check that an attach sees what the shim sees between two quiet moments, and that redis goes on.
#[test]
fn attach_to_redis_counts_what_the_shim_in_it_counts() {
    let name = "attach_to_redis_counts_what_the_shim_in_it_counts";
    if !kernel_or_skip(name) {
        return;
    }
    let (redis, ways) = match Redis::prepare().and_then(|redis| Ok((redis, ways()?))) {
        Ok(prepared) => prepared,
        Err(reason) => return skip(name, &reason),
    };
    let mut command = Command::new(&redis.program);
    let mut server = Target::spawn(redis.shim.preload(command.args(redis.arguments())));
    redis.wait_ready();
    let untraced = redis.benchmark();
    for (way, options) in ways {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let (outcome, truth, traced) = attached(&redis, &server, &options);
        let snapshot = outcome.success();
        assert_counted(way, &snapshot, &truth);
        assert_named(way, &snapshot);
        print_throughput(way, &untraced, &traced);
    }
    redis.ask(&["shutdown", "nosave"]);
    assert_eq!(code_of(server.wait()), 0, "redis ends as it would untraced");
}

/// Check that a run sees every call from the first to the last.
#[test]
fn run_of_redis_counts_what_the_shim_in_it_counts() {
    let name = "run_of_redis_counts_what_the_shim_in_it_counts";
    if !kernel_or_skip(name) {
        return;
    }
    let (redis, ways) = match Redis::prepare().and_then(|redis| Ok((redis, ways()?))) {
        Ok(prepared) => prepared,
        Err(reason) => return skip(name, &reason),
    };
    for (way, options) in ways {
        redis.shim.forget();
        let program = redis.program.display().to_string();
        let arguments = [options, vec!["--".to_owned(), program], redis.arguments()].concat();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = tracer();
        redis.shim.preload(&mut command);
        let tracer = Tracer::run_with(command, &arguments);
        redis.wait_ready();
        redis.benchmark();
        // A thread that frees while the process ends is seen by one of both.
        redis.wait_quiet();
        redis.ask(&["shutdown", "nosave"]);
        let snapshot = tracer.wait().success();
        let truth = redis.shim.counts();
        assert_counted(way, &snapshot, &truth);
        assert_named(way, &snapshot);
        let totals = &snapshot.targets[0].totals;
        let left = totals.free_objects.map(|freed| totals.alloc_objects - freed);
        assert_eq!(totals.inuse_objects, left, "{way}: every free has its allocation: {totals:?}");
    }
}
