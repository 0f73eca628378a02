//! Targets in another mount and pid namespace: their paths are not ours, and they must work all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tracer::model::snapshot::Mode;

use crate::compare::{Seen, Truth, assert_exact};
use crate::copies::copy_program;
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, skip};
use crate::inspect::descendants_of;

/// Starts the truth program in namespaces of its own; `unshare` is the parent that we kill.
fn start_in_namespaces(script: &str) -> (Target, u32) {
    let arguments = ["-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", script];
    let mut target = Target::spawn(Command::new("unshare").args(arguments));
    target.wait_ready();
    let pid = *descendants_of(target.pid()).last().expect("the program is a child of unshare");
    (target, pid)
}

fn can_unshare() -> bool {
    let arguments = ["-m", "-p", "-f", "--kill-child", "--mount-proc", "true"];
    Command::new("unshare").args(arguments).output().is_ok_and(|output| output.status.success())
}

/// The truth of a target in there, compared.
fn assert_exact_in_there(target: &mut Target, pid: u32) -> tracer::model::snapshot::Snapshot {
    let mut tracer = Tracer::attach(pid, &[]);
    tracer.wait_counting();
    target.go();
    let truth: Truth = target.next_json();
    let snapshot = tracer.stop().success();
    assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
    assert_eq!(snapshot.targets[0].pid, pid, "the pid as the tracer sees it");
    snapshot
}

const OPTIONS: &str = "--rounds 3 --stacks 32 --leave-every 3 --wait-start --wait-end";

/// Check that a process whose pid differs inside and outside is traced.
#[test]
fn process_in_another_pid_namespace_is_traced() {
    let name = "process_in_another_pid_namespace_is_traced";
    if !kernel_or_skip(name) {
        return;
    }
    if !can_unshare() {
        return skip(name, "no namespaces here");
    }
    let (mut target, pid) = start_in_namespaces(&format!("exec {} {OPTIONS}", fixture("truth").display()));
    assert_exact_in_there(&mut target, pid);
}

/// A root directory with the program and its own libc at a path that does not exist outside.
fn odd_root() -> TempDir {
    let root = tempfile::tempdir().expect("a directory for the root");
    let libraries = root.path().join("odd/libraries");
    fs::create_dir_all(&libraries).expect("a directory");
    let program = fixture("truth");
    copy_program(&program, &root.path().join("odd/program"));
    let output = Command::new("ldd").arg(&program).output().expect("ldd is part of libc");
    for word in
        String::from_utf8_lossy(&output.stdout).split_whitespace().filter(|word| word.starts_with('/'))
    {
        let library = Path::new(word);
        let copy = libraries.join(library.file_name().expect("a file"));
        copy_program(library, &copy);
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("our own file");
    }
    root
}

fn loader_of(root: &TempDir) -> String {
    let files = fs::read_dir(root.path().join("odd/libraries")).expect("just made");
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("ld-linux")).last().expect("ldd names the loader")
}

/// Check that a container-like target is traced: own root, own libc, paths that nobody outside has.
#[test]
fn process_with_its_own_root_and_libc_is_traced() {
    let name = "process_with_its_own_root_and_libc_is_traced";
    if !kernel_or_skip(name) {
        return;
    }
    if !can_unshare() {
        return skip(name, "no namespaces here");
    }
    let root = odd_root();
    let loader = loader_of(&root);
    let script = format!(
        "mount --bind {0} {0} && cd {0} && exec chroot . /odd/libraries/{loader} \
         --library-path /odd/libraries /odd/program {OPTIONS}",
        root.path().display()
    );
    let (mut target, pid) = start_in_namespaces(&script);
    let snapshot = assert_exact_in_there(&mut target, pid);
    let object = &snapshot.targets[0].allocators[0].object;
    assert!(object.ends_with("/odd/libraries/libc.so.6"), "the libc of its own, as it sees it: {object}");
}

/// Check that a program whose file was deleted is still traced and named.
#[test]
fn process_whose_file_was_deleted_is_traced() {
    if !kernel_or_skip("process_whose_file_was_deleted_is_traced") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("truth");
    copy_program(&fixture("truth"), &copy);
    let options = ["--rounds", "3", "--stacks", "32", "--leave-every", "3", "--wait-start", "--wait-end"];
    let mut target = Target::start(&copy, &options);
    fs::remove_file(&copy).expect("our own file");
    let pid = target.pid();
    assert_exact_in_there(&mut target, pid);
}
