//! Targets in another root, in other namespaces, of other users; libraries that they share or that are replaced.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::copies::copy_program;
use crate::fixtures::fixture;
use crate::harness::{Tracer, kernel_or_skip, skip};
use crate::inspect::{breakpoints_of, descendants_of};
use crate::servants::{Servant, assert_exact_each, copy_named, of_pid, report, select};

/// A root directory with the program and its libraries where they lie outside, as files of their own.
struct Jail {
    root: TempDir,
    /// Its libc, from outside.
    libc: PathBuf,
}

impl Jail {
    fn with(program: &Path) -> Self {
        let root = tempfile::tempdir().expect("a directory for the root");
        let put = |from: &Path, to: &Path| {
            let to = root.path().join(to.strip_prefix("/").expect("an absolute path"));
            fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
            copy_program(from, &to);
            to
        };
        let output = Command::new("ldd").arg(program).output().expect("ldd is part of libc");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut libc = None;
        for word in text.split_whitespace().filter(|word| word.starts_with('/')) {
            let copy = put(Path::new(word), Path::new(word));
            if word.contains("libc.so") {
                libc = Some(copy);
            }
        }
        put(program, Path::new("/jailed/program"));
        Self { libc: libc.expect("the program has a libc"), root }
    }

    /// The same, with a second name of another jail's libc: one file in two containers.
    fn sharing_libc_with(other: &Self, program: &Path) -> Self {
        let jail = Self::with(program);
        fs::remove_file(&jail.libc).expect("our own copy");
        fs::hard_link(&other.libc, &jail.libc).expect("a second name");
        jail
    }

    /// A process in mount and pid namespaces of its own that sees nothing but this root.
    fn start(&self) -> Servant {
        let script = format!(
            "mount --bind {0} {0} && cd {0} && exec chroot . /jailed/program",
            self.root.path().display()
        );
        let arguments = ["-m", "-p", "-f", "--kill-child", "sh", "-c", &script];
        let mut servant = Servant::spawn(Command::new("unshare").args(arguments));
        servant.pid = *descendants_of(servant.process.pid()).last().expect("a child of unshare");
        servant
    }
}

fn can_unshare(name: &str) -> bool {
    let arguments = ["-m", "-p", "-f", "--kill-child", "true"];
    let can = Command::new("unshare").args(arguments).output().is_ok_and(|output| output.status.success());
    if !can {
        skip(name, "no namespaces here");
    }
    can
}

/// Check two containers with one libc file: the target is counted, the other one is not even slowed down.
#[test]
fn containers_that_share_a_libc_do_not_pay_for_each_other() {
    let name = "containers_that_share_a_libc_do_not_pay_for_each_other";
    if !kernel_or_skip(name) || !can_unshare(name) {
        return;
    }
    let first = Jail::with(&fixture("servant"));
    let second = Jail::sharing_libc_with(&first, &fixture("servant"));
    let (mut target, mut neighbour) = (first.start(), second.start());
    let mut tracer = Tracer::attach(target.pid, &[]);
    tracer.wait_counting();
    assert!(breakpoints_of(target.pid) > 0, "the target has breakpoints");
    assert_eq!(breakpoints_of(neighbour.pid), 0, "and the other one has none in the same file");
    target.work(2);
    neighbour.work(50);
    let tally = target.tally();
    let snapshot = report(tracer);
    assert_exact_each(&snapshot, &[(target.pid, tally)]);
    // An entry and a return for each allocation, one for each free.
    assert_eq!(snapshot.overhead.hits, 2 * (2 * 100 + 30), "no hit is the other one's");
}

/// Check what is shown of a process in another root: its own paths; and that it is found by them.
#[test]
fn paths_are_shown_and_taken_as_the_container_sees_them() {
    let name = "paths_are_shown_and_taken_as_the_container_sees_them";
    if !kernel_or_skip(name) || !can_unshare(name) {
        return;
    }
    let jail = Jail::with(&fixture("servant"));
    let mut servant = jail.start();
    let mut tracer = select(&["--exe", "/jailed/program"]);
    tracer.wait_counting();
    servant.work(1);
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_exact_each(&snapshot, &[(servant.pid, tally)]);
    let target = of_pid(&snapshot, servant.pid);
    assert_eq!(target.exe, "/jailed/program");
    let inside = Path::new("/").join(jail.libc.strip_prefix(jail.root.path()).expect("it lies there"));
    assert_eq!(target.allocators[0].object, inside.display().to_string());
    assert!(target.build_id.is_some(), "its program was found and read: {target:?}");
}

/// Check a libc that was replaced on disk after the process had mapped it.
#[test]
fn library_that_was_replaced_on_disk_is_traced_in_its_old_form() {
    let name = "library_that_was_replaced_on_disk_is_traced_in_its_old_form";
    if !kernel_or_skip(name) || !can_unshare(name) {
        return;
    }
    let jail = Jail::with(&fixture("servant"));
    let mut old = jail.start();
    let beside = jail.libc.with_extension("new");
    fs::copy(&jail.libc, &beside).expect("a copy");
    fs::rename(&beside, &jail.libc).expect("in the place of the old one");
    let mut new = jail.start();
    let mut tracer = select(&["--pid", &old.pid.to_string(), "--pid", &new.pid.to_string()]);
    tracer.wait_counting();
    for servant in [&mut old, &mut new] {
        servant.work(2);
    }
    let tallies = [(old.pid, old.tally()), (new.pid, new.tally())];
    let snapshot = report(tracer);
    assert_exact_each(&snapshot, &tallies);
    let object = |pid| of_pid(&snapshot, pid).allocators[0].object.clone();
    assert!(object(old.pid).ends_with("(deleted)"), "{}", object(old.pid));
    assert!(!object(new.pid).ends_with("(deleted)"), "{}", object(new.pid));
}

/// Check a process of another user, and one in a user namespace of its own.
#[test]
fn processes_of_other_users_and_user_namespaces_are_traced() {
    let name = "processes_of_other_users_and_user_namespaces_are_traced";
    if !kernel_or_skip(name) {
        return;
    }
    // Where everybody may execute it.
    let directory = tempfile::Builder::new().permissions(readable()).tempdir().expect("a directory");
    let program = copy_named(&directory, "of-somebody-else");
    let mut wanted = vec![Servant::spawn(Command::new(&program).uid(65_534).gid(65_534))];
    let in_namespace = ["-U", "-r", "true"];
    if Command::new("unshare").args(in_namespace).output().is_ok_and(|output| output.status.success()) {
        let path = program.display().to_string();
        wanted.push(Servant::spawn(Command::new("unshare").args(["-U", "-r", &path])));
    }
    let mut tracer = select(&["--comm", "of-somebody-else"]);
    tracer.wait_counting();
    wanted.iter_mut().for_each(|servant| servant.work(2));
    let tallies: Vec<_> = wanted.iter_mut().map(|servant| (servant.pid, servant.tally())).collect();
    assert_exact_each(&report(tracer), &tallies);
}

fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}
