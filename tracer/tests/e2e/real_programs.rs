//! Programs nobody prepared: their bytes have named direct callers, and a debugger confirms the callers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tracer::model::snapshot::Snapshot;

use crate::fixtures::source;
use crate::harness::{Target, Tracer, kernel_or_skip, skip, tracer};

/// Call sites that the debugger is asked about, of each program.
const SITES: usize = 20;
/// Sites that occurred this often will occur again while the debugger looks.
const OFTEN: u64 = 50;
const DEBUGGER_SECONDS: &str = "60";

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// A C library that no other test's tracer has probes on: where a probe of somebody else goes, the kernel restores the
/// instruction under it in every process, and with it takes the debugger's own breakpoint away.
fn own_libc() -> TempDir {
    let folder = TempDir::new().expect("the temporary folder is writable");
    let maps = fs::read_to_string("/proc/self/maps").expect("our own");
    let libc = maps
        .lines()
        .find_map(|line| line.find('/').map(|at| &line[at..]).filter(|path| path.ends_with("/libc.so.6")));
    if let Some(libc) = libc {
        fs::copy(libc, folder.path().join("libc.so.6")).expect("the library can be read");
    }
    folder
}

/// Attaches to a working program for three seconds.
fn attached(target: &Target) -> Snapshot {
    Tracer::attach(target.pid(), &["--duration", "3s"]).wait().success()
}

/// Asserts that 95 % of the bytes have a direct caller with a name.
///
/// A stripped module has no symbol for its inner functions, whoever looks: there a function is named after its
/// first address (`sub_…`), which is told apart in the message, and only allowed if the module really is stripped.
fn assert_named(program: &str, snapshot: &Snapshot) {
    let (mut by_symbol, mut by_address, mut all) = (0, 0, 0);
    let mut stripped = BTreeMap::new();
    for site in &snapshot.sites {
        let weight = site.alloc_bytes;
        all += weight;
        let Some(frame) = site.frames.first().filter(|frame| frame.function.is_some()) else { continue };
        if frame.reason.is_none() {
            by_symbol += weight;
        } else {
            by_address += weight;
            *stripped.entry(frame.module.as_deref()).or_insert(0) += weight;
        }
    }
    let percent = |part: u64| u128::from(part) * 100 / u128::from(all.max(1));
    let line = format!(
        "{program}: of {all} bytes {} % have a direct caller named by a symbol, {} % by its first address: {stripped:?}\n",
        percent(by_symbol),
        percent(by_address)
    );
    std::io::stdout().write_all(line.as_bytes()).expect("stdout is open");
    assert!(all > 100_000, "{program} allocated while it was watched: {all} bytes");
    assert!(percent(by_symbol + by_address) >= 95, "{line}");
    for module in stripped.keys() {
        let module = module.expect("a function named after its address lies in a module");
        assert!(is_stripped(module), "{module} has symbols, so its callers have names: {line}");
    }
}

fn is_stripped(module: &str) -> bool {
    let output =
        Command::new("readelf").args(["-S", "--wide", module]).output().expect("readelf comes with gcc");
    !String::from_utf8_lossy(&output.stdout).contains(".symtab")
}

/// What the debugger's script reads: `site MODULE OFFSET` and `allocator MODULE OFFSET SHIFT` lines.
fn questions(snapshot: &Snapshot, often: u64) -> (String, usize) {
    let mut callers: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for site in &snapshot.sites {
        let frame = site.frames.first().expect("the direct caller is never missing");
        if let (Some(module), Some(offset)) = (frame.module.as_deref(), frame.file_offset) {
            *callers.entry((module, offset)).or_default() += site.alloc_objects;
        }
    }
    let mut asked: Vec<_> =
        callers.into_iter().filter(|(_, count)| *count >= often).map(|(key, _)| key).collect();
    // A fixed shuffle: which sites are asked about is random, and the same for the same sites.
    asked.sort_by_key(|(module, offset)| (offset ^ module.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    asked.truncate(SITES);
    let mut text = String::new();
    for (module, offset) in &asked {
        writeln!(text, "site {module} {offset}").expect("a string grows");
    }
    for allocator in &snapshot.targets[0].allocators {
        for probe in allocator.probes.iter().filter(|probe| !probe.function.starts_with("free")) {
            let line = format!("allocator {} {} {}", allocator.object, probe.file_offset, probe.shift);
            writeln!(text, "{line}").expect("a string grows");
        }
    }
    (text, asked.len())
}

/// Asks gdb about every site: is there a call before the return address, is it hit, does it reach the allocator.
fn assert_confirmed(program: &str, snapshot: &Snapshot, often: u64, debugged: &[&str]) {
    let (text, count) = questions(snapshot, often);
    assert!(count > 0, "{program} has sites: {:?}", snapshot.targets[0].totals);
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("sites");
    fs::write(&list, text).expect("our own file");
    let answers = directory.path().join("answers");
    let script = source("confirm_calls.py");
    let output = Command::new("timeout")
        .args(["--kill-after=5", DEBUGGER_SECONDS, "gdb", "-nx", "-batch", "-x"])
        .arg(script)
        .args(debugged)
        .env("CONFIRM_SITES", &list)
        .env("CONFIRM_ANSWERS", &answers)
        .env("DEBUGINFOD_URLS", "")
        .stdin(Stdio::null())
        .output()
        .expect("gdb starts");
    let answer = fs::read_to_string(&answers).unwrap_or_default();
    let confirmed = answer.lines().filter(|line| line.starts_with("CONFIRMED ")).count();
    let line = format!("{program}: gdb confirmed {confirmed} of {count} direct callers\n");
    std::io::stdout().write_all(line.as_bytes()).expect("stdout is open");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(confirmed, count, "{program}: {answer}\n{errors}");
}

/// Names, then the debugger on the same still running process.
fn check_running(name: &str, program: &str, target: &Target) {
    let snapshot = attached(target);
    assert_named(program, &snapshot);
    if is_there("gdb") {
        assert_confirmed(program, &snapshot, OFTEN, &["-p", &target.pid().to_string()]);
    } else {
        skip(name, "the names are right, but there is no gdb to confirm the calls");
    }
}

/// Check a python3 that builds and drops lists, dictionaries and strings.
#[test]
fn running_python_has_named_and_true_direct_callers() {
    let name = "running_python_has_named_and_true_direct_callers";
    if !kernel_or_skip(name) {
        return;
    }
    // The shim of a version manager is a shell script; the program itself knows where it is.
    let Ok(output) = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output()
    else {
        return skip(name, "there is no python3");
    };
    let python = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let work = "import json, signal\nsignal.alarm(200)\nprint('ready', flush=True)\nwhile True:\n    \
                rows = [{'key%d' % i: 'value' * (i % 300), 'list': list(range(i % 400))} for i in range(500)]\n    \
                text = json.dumps(rows)\n    back = json.loads(text)\n    data = bytearray(len(text))\n    \
                words = sorted(set(text.split()))\n";
    let libc = own_libc();
    let mut target = Target::spawn(
        Command::new(python)
            .args(["-c", work])
            .env("PYTHONMALLOC", "malloc")
            .env("LD_LIBRARY_PATH", libc.path()),
    );
    target.wait_ready();
    check_running(name, "python3", &target);
}

/// Check a perl that fills and empties hashes.
#[test]
fn running_perl_has_named_and_true_direct_callers() {
    let name = "running_perl_has_named_and_true_direct_callers";
    if !kernel_or_skip(name) {
        return;
    }
    if !is_there("perl") {
        return skip(name, "there is no perl");
    }
    let work = "alarm(200); $| = 1; print \"ready\\n\"; while (1) { my %h; for my $i (1..5000) { \
                $h{\"key$i\"} = 'x' x ($i % 700); push @{$h{list}}, [$i, split(/,/, 'a,b,c,d')]; } \
                my $text = join(',', sort grep { !ref } values %h); $text =~ s/x{3}/y/g; }";
    let libc = own_libc();
    let mut target =
        Target::spawn(Command::new("perl").args(["-e", work]).env("LD_LIBRARY_PATH", libc.path()));
    target.wait_ready();
    check_running(name, "perl", &target);
}

/// Check a sqlite3 that imports a CSV file, again and again.
#[test]
fn sqlite_importing_a_csv_has_named_and_true_direct_callers() {
    let name = "sqlite_importing_a_csv_has_named_and_true_direct_callers";
    if !kernel_or_skip(name) {
        return;
    }
    if !is_there("sqlite3") {
        return skip(name, "there is no sqlite3");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let csv = directory.path().join("rows.csv");
    let rows = (0..20_000).fold("id,name,text\n".to_owned(), |mut rows, row| {
        writeln!(rows, "{row},name {row},\"{}\"", "text ".repeat(row % 90)).expect("a string grows");
        rows
    });
    fs::write(&csv, rows).expect("our own file");
    let commands = directory.path().join("commands");
    let round = format!(
        "DROP TABLE IF EXISTS t;\n.import --csv {} t\nCREATE INDEX i ON t(name, text);\n\
         SELECT count(*) FROM (SELECT text, count(*) FROM t GROUP BY text ORDER BY name);\n",
        csv.display()
    );
    fs::write(&commands, format!(".print ready\n{}", round.repeat(2000))).expect("our own file");
    let database = directory.path().join("database");
    let libc = own_libc();
    let mut target = Target::spawn(
        Command::new("sqlite3")
            .env("LD_LIBRARY_PATH", libc.path())
            .arg("-batch")
            .arg(database)
            .arg("-cmd")
            .arg(format!(".read {}", commands.display())),
    );
    target.wait_ready();
    check_running(name, "sqlite3", &target);
}

/// A repository with enough history that `git log -p` has work.
fn repository() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(directory.path()).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    };
    assert!(git(&["init", "-q"]).status().is_ok_and(|status| status.success()), "git init");
    let mut history = String::new();
    for commit in 0..400 {
        let message = format!("part {commit}: what changed and why");
        let text = (0..60).map(|line| format!("line {line} of {}\n", commit * line % 97)).collect::<String>();
        write!(
            history,
            "commit refs/heads/main\ncommitter A <a@b> {} +0000\ndata {}\n{message}\nM 100644 inline file{}\ndata {}\n{text}\n",
            1_700_000_000 + commit,
            message.len(),
            commit % 7,
            text.len()
        )
        .expect("a string grows");
    }
    let mut import = git(&["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().expect("git fast-import");
    import.stdin.take().expect("a pipe").write_all(history.as_bytes()).expect("git reads it");
    assert!(import.wait().is_ok_and(|status| status.success()), "the history was imported");
    directory
}

/// Check `git log` under `run`; the debugger looks at a run of its own.
#[test]
fn git_log_under_run_has_named_and_true_direct_callers() {
    let name = "git_log_under_run_has_named_and_true_direct_callers";
    if !kernel_or_skip(name) {
        return;
    }
    if !is_there("git") {
        return skip(name, "there is no git");
    }
    let repository = repository();
    let path = repository.path().to_str().expect("a plain path");
    let arguments = ["git", "--no-pager", "-C", path, "log", "-p", "--stat", "main"];
    let report = repository.path().join("report.json");
    let output =
        tracer().args(["run", "-o"]).arg(&report).arg("--").args(arguments).output().expect("it starts");
    assert!(output.status.success(), "git log succeeds: {}", String::from_utf8_lossy(&output.stderr));
    let commits =
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with("commit ")).count();
    assert_eq!(commits, 400, "the whole log comes out");
    let snapshot: Snapshot = serde_json::from_str(&fs::read_to_string(&report).expect("a report"))
        .expect("the contract's document");
    assert_named("git", &snapshot);
    let Some(program) = snapshot.targets.first().map(|target| target.exe.clone()) else {
        panic!("no target")
    };
    assert!(Path::new(&program).exists(), "the program that ran: {program}");
    if is_there("gdb") {
        let debugged = [&["--args", program.as_str()], &arguments[1..]].concat();
        // The debugged run does all of it again, so every site counts, however rare.
        assert_confirmed("git", &snapshot, 1, &debugged);
    } else {
        skip(name, "the names are right, but there is no gdb to confirm the calls");
    }
}
