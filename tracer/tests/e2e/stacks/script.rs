//! Programs that need nobody: interpreters, and git with a history.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::program::{Program, Running, debian, own_libraries};
use crate::harness::{Target, eventually};

const PYTHON: &str = "import json, re
print('ready', flush=True)
while True:
    rows = [{'key%d' % i: 'value' * (i % 300), 'list': list(range(i % 400))} for i in range(60)]
    text = json.dumps(rows)
    back = json.loads(text)
    deep = json.dumps(json.loads('[' * 150 + ']' * 150))
    words = sorted(set(text.split()), key=lambda word: word[::-1])
    re.sub(r'value+', lambda match: match.group(0).upper(), text[:500])
";
const PERL: &str = "$| = 1; print \"ready\\n\"; while (1) { my %h; for my $i (1..300) { \
    $h{\"key$i\"} = 'x' x ($i % 700); push @{$h{list}}, [$i, split(/,/, 'a,b,c,d')]; } \
    my $text = join(',', sort { $b cmp $a } grep { !ref } values %h); $text =~ s/(x{3})/lc($1) . 'y'/ge; \
    my $code = eval 'sub { my %s = map { $_ => [$_] } @_; return scalar keys %s }'; $code->(1..200); }";
const SQL: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, v TEXT);
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000)
  INSERT INTO t(name, v) SELECT 'name ' || x, hex(randomblob(x % 90)) FROM c;
CREATE INDEX i ON t(name, v);
SELECT count(*) FROM (SELECT v, count(*), group_concat(name) FROM t GROUP BY v ORDER BY name);
SELECT max(json_extract(json_object('a', name, 'b', v), '$.b')) FROM t;
DROP TABLE t;
";
const COMMITS: usize = 6000;

/// A program and what it is given; it says `ready`.
struct Script {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
    stop_one_in: u32,
    libraries: TempDir,
    _files: Option<TempDir>,
}

impl Script {
    fn new(name: &'static str, program: PathBuf, arguments: &[&str]) -> Self {
        Self {
            name,
            program,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            environment: Vec::new(),
            stop_one_in: 2000,
            libraries: own_libraries(&["libc.so.6"]),
            _files: None,
        }
    }
}

impl Program for Script {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&self) -> Running {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().copied());
        let mut target = Target::spawn(command.env("LD_LIBRARY_PATH", self.libraries.path()));
        target.wait_ready();
        Running::alone(target)
    }

    fn stop_one_in(&self) -> u32 {
        self.stop_one_in
    }
}

pub(super) fn python() -> Result<Box<dyn Program>, String> {
    let mut script = Script::new("python3", debian("/usr/bin/python3", "python3")?, &["-c", PYTHON]);
    script.environment.push(("PYTHONMALLOC", "malloc"));
    Ok(Box::new(script))
}

pub(super) fn perl() -> Result<Box<dyn Program>, String> {
    Ok(Box::new(Script::new("perl", debian("/usr/bin/perl", "perl")?, &["-e", PERL])))
}

pub(super) fn sqlite() -> Result<Box<dyn Program>, String> {
    let program = debian("/usr/bin/sqlite3", "sqlite3")?;
    let files = tempfile::tempdir().map_err(|error| error.to_string())?;
    let commands = files.path().join("commands");
    // So deep that the limit cuts its stack.
    let deep = format!("SELECT {}1;\n", "random() || ".repeat(200));
    let text = format!(".print ready\n.output /dev/null\n{}", [SQL, &deep].concat().repeat(20_000));
    fs::write(&commands, text).map_err(|error| error.to_string())?;
    let script =
        Script::new("sqlite3", program, &["-batch", "-cmd", &format!(".read {}", commands.display())]);
    Ok(Box::new(Script { _files: Some(files), ..script }))
}

/// `git log` of a history of its own.
struct Git {
    program: PathBuf,
    repository: TempDir,
    libraries: TempDir,
}

pub(super) fn git() -> Result<Box<dyn Program>, String> {
    let program = debian("/usr/bin/git", "git")?;
    let repository = tempfile::tempdir().map_err(|error| error.to_string())?;
    import(&program, repository.path());
    Ok(Box::new(Git { program, repository, libraries: own_libraries(&["libc.so.6"]) }))
}

/// Commits enough that showing them takes a while.
fn import(program: &Path, repository: &Path) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.arg("-C").arg(repository).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    };
    assert!(git(&["init", "-q"]).status().is_ok_and(|status| status.success()), "git init");
    let mut history = String::new();
    for commit in 0..COMMITS {
        let message = format!("part {commit}: what changed and why");
        let text =
            (0..120).map(|line| format!("line {line} of {}\n", commit * line % 97)).collect::<String>();
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
}

impl Program for Git {
    fn name(&self) -> &'static str {
        "git"
    }

    /// It waits for a reader of its output.
    fn start(&self) -> Running {
        let output = self.repository.path().join("output");
        drop(fs::remove_file(&output));
        assert!(Command::new("mkfifo").arg(&output).status().is_ok_and(|status| status.success()), "mkfifo");
        let mut command = Command::new(&self.program);
        command.arg("-C").arg(self.repository.path()).args([
            "--no-pager",
            "log",
            "-p",
            "--stat",
            "-M",
            "main",
        ]);
        command.arg(format!("--output={}", output.display())).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let target = Target::spawn(command.env("LD_LIBRARY_PATH", self.libraries.path()));
        let state = format!("/proc/{}/wchan", target.pid());
        eventually("git waits", || {
            fs::read_to_string(&state).is_ok_and(|place| place.contains("wait_for_partner"))
        });
        let reader = move || {
            let from = format!("if={}", output.display());
            Target::spawn(Command::new("dd").args([&from, "of=/dev/null", "bs=64k", "status=none"]))
        };
        let mut running = Running::alone(target);
        running.begin = Some(Box::new(reader));
        running
    }

    fn stop_one_in(&self) -> u32 {
        1000
    }
}
