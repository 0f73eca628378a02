//! Programs that nobody here wrote: `tracer run` counts exactly what valgrind counts.
//!
//! Valgrind replaces malloc and counts in the process itself, so nothing of its way is ours. A program's heap
//! depends on its environment, its arguments and on what its streams are: both sides get the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tracer::model::snapshot::{Snapshot, Verdict};

use crate::fixtures::library;
use crate::harness::{kernel_or_skip, skip};

/// A program is compared if so many runs of valgrind agree.
const RUNS: usize = 5;
/// So many must be compared, or the test proves less than it says.
const AT_LEAST: usize = 12;
/// Debian's `valgrind` is a script that adds variables and starts this one; elsewhere there is only the other.
const VALGRINDS: [&str; 2] = ["/usr/bin/valgrind.bin", "/usr/bin/valgrind"];
/// What makes these programs deterministic, and lets valgrind see what each of them allocates.
const ENVIRONMENT: [&str; 7] = [
    "PATH=/usr/bin:/bin",
    "GLIBCXX_FORCE_NEW=1",
    "PERL_HASH_SEED=0",
    "PYTHONDONTWRITEBYTECODE=1",
    "PYTHONHASHSEED=0",
    "PYTHONMALLOC=malloc",
    "GIT_CONFIG_NOSYSTEM=1",
];
/// Bytes of an int's second digit; `thread_identities.c` says which ints need one.
const DIGIT_BYTES: u64 = 4;

const PYTHON: &str = "/usr/bin/python3";
/// Absolute paths: how a program is found is part of what it was started with. `{}` is the folder of inputs.
const PROGRAMS: [&[&str]; 18] = [
    &["/usr/bin/ls", "-lR", "/usr/share/doc"],
    &["/usr/bin/sort", "-k2", "-r", "{}/words"],
    &["/usr/bin/grep", "-E", "-c", "(a|b)+c*[0-9]{2,4}", "{}/words"],
    &["/usr/bin/find", "/usr/share/doc", "-name", "*.gz", "-size", "+1"],
    &["/usr/bin/diff", "-u", "{}/words", "{}/other"],
    &[
        "/usr/bin/mawk",
        "{ n[$1 % 977] = n[$1 % 977] $2 } END { for (k in n) s += length(n[k]); print s }",
        "{}/words",
    ],
    &[
        "/usr/bin/perl",
        "-ne",
        "$h{substr $_, 0, 3} .= $_; END { print length join ',', sort values %h }",
        "{}/words",
    ],
    &[PYTHON, "-c", "print(sum(len(str(i)) for i in range(20000)))"],
    &["/usr/bin/sqlite3", ":memory:", ".read {}/sql"],
    &["/usr/bin/git", "diff", "--no-index", "--stat", "{}/words", "{}/other"],
    &["/usr/bin/jq", "[.[] | {(.name): .list | add}] | length", "{}/json"],
    &["/usr/bin/sed", "-E", "s/a(b+)([0-9]+)/\\2\\1/g; /c9[0-9]*$/d; 1!G; h; $!d", "{}/other"],
    &["/usr/bin/bc", "-q", "{}/bc"],
    &["/usr/bin/xz", "-T2", "-0", "-c", "{}/words"],
    &["/usr/bin/readelf", "-aW", "/usr/bin/ls"],
    &["/usr/bin/dpkg-query", "--list"],
    &["/usr/bin/apt-config", "dump"],
    &["/usr/bin/apt-cache", "--version"],
];

/// What both sides say of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heap {
    allocations: u64,
    frees: u64,
    bytes: u64,
}

/// The machine's valgrind, the folder of inputs, what valgrind is given and what its client then sees.
struct Comparison {
    valgrind: &'static str,
    folder: PathBuf,
    given: Vec<String>,
    seen: Vec<String>,
}

impl Comparison {
    fn new(valgrind: &'static str, folder: &Path) -> Self {
        write_inputs(folder);
        let given = ENVIRONMENT.iter().map(ToString::to_string);
        let home = [format!("HOME={}", folder.display())];
        let given = given.chain(home).collect();
        let mut new = Self { valgrind, folder: folder.to_owned(), given, seen: Vec::new() };
        let output =
            new.started(&new.given, &[valgrind, "-q", "/usr/bin/env"]).stdout(Stdio::piped()).output();
        let output = output.expect("valgrind starts");
        new.seen = String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect();
        assert!(new.seen.iter().any(|line| line.starts_with("LD_PRELOAD=")), "{:?}", new.seen);
        new
    }

    /// A command in an environment and its order: programs copy it as it is.
    fn started(&self, environment: &[String], arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        command.arg("-i").args(environment).args(arguments).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn by_valgrind(&self, program: &[&str], log: &Path) -> Heap {
        let log_option = format!("--log-file={}", log.display());
        let options = [
            self.valgrind,
            &log_option,
            "--run-libc-freeres=no",
            "--run-cxx-freeres=no",
            "--trace-children=no",
        ];
        let output =
            self.started(&self.given, &[&options, program].concat()).output().expect("valgrind starts");
        let text = fs::read_to_string(log).expect("valgrind writes its log");
        heap_usage(&text).unwrap_or_else(|| panic!("{program:?}: no heap usage in {text} {output:?}"))
    }

    fn by_tracer(&self, program: &[&str], report: &Path) -> Snapshot {
        let report_path = report.to_str().expect("a plain path");
        let options =
            ["--sample-bytes", "0", "--follow-forks=no", "--format", "json", "-o", report_path, "--"];
        let run = [env!("CARGO_BIN_EXE_tracer"), "run", "-q"];
        let output = self
            .started(&self.seen, &[&run, &options[..], program].concat())
            .output()
            .expect("tracer starts");
        let text =
            fs::read_to_string(report).unwrap_or_else(|error| panic!("{program:?}: {error} {output:?}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{program:?}: {error} {text}"))
    }

    /// How many ints of this run hold a thread's identity.
    fn thread_identities(&self, program: &[&str]) -> u64 {
        let preload = format!("LD_PRELOAD={}", library("thread_identities").display());
        let output = self.started(&self.given, &[&["/usr/bin/env", &preload], program].concat()).output();
        let text = String::from_utf8(output.expect("it starts").stderr).expect("text");
        let number = text.lines().find_map(|line| line.strip_prefix("thread identities: "));
        number.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{program:?}: {text}"))
    }

    /// One line about a program, and whether it was compared and equal; `None` if it could not be compared.
    fn compare(&self, index: usize) -> (String, Option<bool>) {
        let program: Vec<String> = PROGRAMS[index]
            .iter()
            .map(|text| text.replace("{}", &self.folder.display().to_string()))
            .collect();
        let program: Vec<&str> = program.iter().map(String::as_str).collect();
        let name = program[0];
        if !Path::new(name).exists() {
            return (format!("{name}: not on this machine"), None);
        }
        let file = |what: &str| self.folder.join(format!("{what}-{index}"));
        let runs: Vec<Heap> = (0..RUNS).map(|_| self.by_valgrind(&program, &file("log"))).collect();
        if runs.iter().any(|run| *run != runs[0]) {
            return (format!("{name}: differs from run to run under valgrind: {runs:?}"), None);
        }
        let mut expected = runs[0];
        let mut why = String::new();
        if name == PYTHON {
            let identities = self.thread_identities(&program);
            expected.bytes += DIGIT_BYTES * identities;
            why = format!(
                " but for {identities} thread identities, one digit of {DIGIT_BYTES} bytes longer each"
            );
        }
        let snapshot = self.by_tracer(&program, &file("report"));
        let totals = &snapshot.targets[0].totals;
        let got = Heap {
            allocations: totals.alloc_objects,
            frees: totals.free_objects.unwrap_or(0),
            bytes: totals.alloc_bytes,
        };
        let numbers =
            format!("{name}: {} allocations, {} frees, {} bytes", got.allocations, got.frees, got.bytes);
        let exact = snapshot.quality.verdict == Verdict::Exact;
        if got == expected && exact {
            return (format!("{numbers}: equal{why}"), Some(true));
        }
        let quality = &snapshot.quality;
        (
            format!(
                "{numbers}: NOT EQUAL, valgrind has {:?}, expected{why} {expected:?}, {quality:?}",
                runs[0]
            ),
            Some(false),
        )
    }
}

/// From `total heap usage: 1,234 allocs, 1,200 frees, 56,789 bytes allocated`.
fn heap_usage(log: &str) -> Option<Heap> {
    let usage = log.lines().find_map(|line| line.split_once("total heap usage: "))?.1;
    let mut numbers = usage.split(", ").map(|part| {
        let number = part.split(' ').next().unwrap_or(part);
        number.replace(',', "").parse::<u64>().ok()
    });
    Some(Heap { allocations: numbers.next()??, frees: numbers.next()??, bytes: numbers.next()?? })
}

/// The same in every run: what the programs read.
fn write_inputs(folder: &Path) {
    let word = |line: usize, salt: usize| (line * 7919 + salt * 104_729) % 99_991;
    let words = |salt| {
        let lines = (0..3000).map(|line| format!("{line} ab{} c{}\n", word(line, 1), word(line / salt, 2)));
        lines.collect::<String>()
    };
    let rows = (0..300).map(|row| format!(r#"{{"name": "row {row}", "list": [{}, {row}]}}"#, word(row, 3)));
    let json = format!("[{}]", rows.collect::<Vec<_>>().join(","));
    let rows = (0..500).map(|row| format!("INSERT INTO t VALUES ({row}, 'text {}');\n", word(row, 5)));
    let sql = format!("CREATE TABLE t(a, b);\n{}SELECT sum(length(b)) FROM t;\n", rows.collect::<String>());
    let bc = "scale = 60\nfor (i = 1; i < 60; i++) { s += sqrt(i) / (i + 1); }\ns\nquit\n".to_owned();
    let inputs = [("words", words(1)), ("other", words(3)), ("json", json), ("sql", sql), ("bc", bc)];
    for (name, text) in inputs {
        fs::write(folder.join(name), text).expect("our own file");
    }
}

/// Check that allocations, frees and bytes of at least twelve programs are valgrind's.
#[test]
fn programs_of_the_distribution_are_equal_to_valgrind() {
    let name = "programs_of_the_distribution_are_equal_to_valgrind";
    if !kernel_or_skip(name) {
        return;
    }
    let Some(valgrind) = VALGRINDS.into_iter().find(|path| Path::new(path).exists()) else {
        return skip(name, "there is no valgrind");
    };
    let directory = tempfile::tempdir().expect("a directory");
    let comparison = Comparison::new(valgrind, directory.path());
    let waiting = Mutex::new(0..PROGRAMS.len());
    let results = Mutex::new(Vec::new());
    let worker = || {
        while let Some(index) = { waiting.lock().expect("nobody panics with it").next() } {
            let result = comparison.compare(index);
            results.lock().expect("nobody panics with it").push((index, result));
        }
    };
    // Valgrind runs one thread at a time, so two of them fill two processors.
    std::thread::scope(|scope| {
        scope.spawn(worker);
        scope.spawn(worker);
    });
    let mut results = results.into_inner().expect("nobody panicked with it");
    results.sort_by_key(|(index, _)| *index);
    for (_, (line, _)) in &results {
        println!("{line}");
    }
    let compared: Vec<bool> = results.iter().filter_map(|(_, (_, equal))| *equal).collect();
    assert!(compared.len() >= AT_LEAST, "{} programs were compared, {AT_LEAST} must be", compared.len());
    assert!(compared.iter().all(|equal| *equal), "the lines above say which are not equal");
}
