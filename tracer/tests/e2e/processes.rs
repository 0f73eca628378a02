//! What processes do while they are traced: fork, load, share a library, run many threads, be many.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tracer::model::snapshot::Verdict;

use crate::fixtures::{self, fixture};
use crate::harness::{Tracer, kernel_or_skip, nonzero, skip};
use crate::inspect::{breakpoints_of, descendants_of};
use crate::servants::{
    Servant, assert_exact_each, assert_sites_exact, copy_named, of_pid, pids, report, select,
    wait_counting_in,
};

/// Objects that `maps_many_objects` loads.
const OBJECTS: usize = 3000;
/// More than a tracer has slots.
const ONE_AFTER_THE_OTHER: usize = 300;
/// Threads of one process, and processes of one tracer.
const THREADS: usize = 500;
const PROCESSES: usize = 200;

/// Check a pre-forking server: each child has a heap of its own, in which what it has from its parent is old.
#[test]
fn children_of_a_server_are_counted_each_by_itself() {
    if !kernel_or_skip("children_of_a_server_are_counted_each_by_itself") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "forking-server");
    for selector in ["--pid", "--comm"] {
        let mut server = Servant::named(&program);
        let pid = server.pid.to_string();
        let options: &[&str] = match selector {
            "--pid" => &["--pid", &pid, "--follow-forks=yes"],
            // Without --follow-forks: a child has its parent's name.
            _ => &["--comm", "forking-server"],
        };
        let mut tracer = select(options);
        tracer.wait_counting();
        server.work(1);
        let children: Vec<u32> = (0..4).map(|_| server.fork()).collect();
        children.iter().for_each(|&child| wait_counting_in(&tracer, child));
        for child in 0..children.len() {
            server.obey(&format!("child {child} drop 10"), "dropped");
            (0..=child).for_each(|_| server.obey(&format!("child {child} work"), "worked"));
        }
        server.work(1);
        let mut tallies: Vec<_> =
            (0..children.len()).map(|child| (children[child], server.tally_of_child(child))).collect();
        tallies.push((server.pid, server.tally()));
        let snapshot = report(tracer);
        assert_exact_each(&snapshot, &tallies);
        assert_eq!(snapshot.targets.len(), 5, "{selector}: the server and its children");
        let leaks = |pid: u32| of_pid(&snapshot, pid).totals.inuse_objects;
        assert_eq!(
            leaks(children[0]),
            Some(70),
            "{selector}: what a child has from its parent is no leak of it"
        );
    }
}

/// Check that without --follow-forks a child pays nothing, and is not in the report.
#[test]
fn child_that_is_not_followed_is_left_alone() {
    if !kernel_or_skip("child_that_is_not_followed_is_left_alone") {
        return;
    }
    let mut server = Servant::start();
    let mut tracer = Tracer::attach(server.pid, &[]);
    tracer.wait_counting();
    let child = server.fork();
    server.obey("child 0 work", "worked");
    server.work(1);
    let tally = server.tally();
    let snapshot = report(tracer);
    assert_eq!(pids(&snapshot), [server.pid], "not {child}");
    assert_exact_each(&snapshot, &[(server.pid, tally)]);
}

/// Check a library that is loaded while the process is traced: its sites are named, the first call's too.
#[test]
fn library_loaded_while_attached_is_known_at_once() {
    if !kernel_or_skip("library_loaded_while_attached_is_known_at_once") {
        return;
    }
    let library = fixtures::library("loaded_library");
    let mut servant = Servant::start();
    let mut tracer = Tracer::attach(servant.pid, &[]);
    tracer.wait_counting();
    servant.obey(&format!("load {} 50", library.display()), "loaded");
    servant.obey("call 25", "called");
    servant.work(1);
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_sites_exact(&snapshot, servant.pid, &tally);
    let of_library = |name: Option<&str>| name == Some("library_site");
    let sites: Vec<_> = snapshot
        .sites
        .iter()
        .filter(|site| site.frames.first().is_some_and(|frame| of_library(frame.function.as_deref())))
        .collect();
    let objects: u64 = sites.iter().map(|site| site.alloc_objects).sum();
    assert_eq!(objects, 75, "all calls of the library: {sites:?}");
    let modules: Vec<_> = sites.iter().filter_map(|site| site.frames[0].module.clone()).collect();
    assert!(modules.iter().all(|module| *module == library.display().to_string()), "{modules:?}");
}

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
            fs::copy(from, &to).expect("a copy");
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

/// Check a process with five hundred threads.
#[test]
fn process_with_five_hundred_threads_is_counted_exactly() {
    if !kernel_or_skip("process_with_five_hundred_threads_is_counted_exactly") {
        return;
    }
    let mut servant = Servant::start();
    servant.obey(&format!("threads {THREADS}"), "started");
    servant.obey("reset", "reset");
    let mut tracer = Tracer::attach(servant.pid, &[]);
    tracer.wait_counting();
    servant.work(3);
    servant.obey("threads 100", "started");
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_sites_exact(&snapshot, servant.pid, &tally);
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
}

/// Check a process with three thousand mapped objects, and that the last of them is known.
#[test]
fn process_with_three_thousand_objects_is_counted_exactly() {
    if !kernel_or_skip("process_with_three_thousand_objects_is_counted_exactly") {
        return;
    }
    let copies = fixtures::many_libraries(OBJECTS);
    let mut servant = Servant::start();
    for library in &copies {
        servant.obey(&format!("load {} 1", library.display()), "loaded");
    }
    servant.obey("reset", "reset");
    let mut tracer = Tracer::attach(servant.pid, &[]);
    tracer.wait_counting();
    servant.work(3);
    servant.obey("call 40", "called");
    let tally = servant.tally();
    let snapshot = report(tracer);
    assert_sites_exact(&snapshot, servant.pid, &tally);
    let last = copies.last().expect("there are some").display().to_string();
    let frames = snapshot.sites.iter().filter_map(|site| Some((site, site.frames.first()?)));
    let of_last = frames.filter(|(_, frame)| frame.module.as_deref() == Some(last.as_str()));
    let objects: u64 = of_last.map(|(site, _)| site.alloc_objects).sum();
    assert_eq!(objects, 40, "calls of the last library");
    assert!(nonzero(&snapshot.quality.lost).is_empty(), "{:?}", snapshot.quality);
}

/// Check two hundred targets of one tracer.
#[test]
fn two_hundred_processes_are_each_counted_exactly() {
    if !kernel_or_skip("two_hundred_processes_are_each_counted_exactly") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "one-of-many");
    let mut servants: Vec<Servant> = (0..PROCESSES).map(|_| Servant::named(&program)).collect();
    let mut tracer = select(&["--comm", "one-of-many"]);
    tracer.wait_counting();
    for (index, servant) in servants.iter_mut().enumerate() {
        servant.work(1 + index as u32 % 3);
    }
    let tallies: Vec<_> = servants.iter_mut().map(|servant| (servant.pid, servant.tally())).collect();
    let snapshot = report(tracer);
    assert_eq!(snapshot.targets.len(), PROCESSES);
    assert_exact_each(&snapshot, &tallies);
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
}

/// Check three hundred images, one after the other: the slots of those that are over are used again, and no number of one
/// gets into another's.
#[test]
fn slots_of_ended_processes_are_used_again() {
    if !kernel_or_skip("slots_of_ended_processes_are_used_again") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = copy_named(&directory, "one-by-one");
    let mut stays = Servant::named(&program);
    let mut tracer = select(&["--comm", "one-by-one"]);
    tracer.wait_counting();
    let mut tallies = Vec::new();
    for index in 0..ONE_AFTER_THE_OTHER {
        let mut servant = Servant::named(&program);
        wait_counting_in(&tracer, servant.pid);
        servant.work(1 + index as u32 % 2);
        tallies.push((servant.pid, servant.tally()));
        servant.process.command("exit");
        servant.process.wait();
    }
    stays.work(3);
    tallies.push((stays.pid, stays.tally()));
    let snapshot = report(tracer);
    assert_eq!(snapshot.targets.len(), ONE_AFTER_THE_OTHER + 1);
    assert_exact_each(&snapshot, &tallies);
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
    let held =
        |target: &tracer::model::snapshot::Target| target.totals.inuse_objects.is_some_and(|held| held >= 70);
    assert!(snapshot.targets.iter().all(held), "what each had at its end is still told");
}
