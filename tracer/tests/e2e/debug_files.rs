//! Stripped programs whose symbols lie in a debug file, or compressed in the program itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode as Permissions};
use tempfile::TempDir;
use tracer::model::snapshot::{Frame, Mode, Snapshot};

use crate::compare::{Seen, Truth, assert_exact};
use crate::fixtures::{fixture, static_truth};
use crate::harness::{Target, Tracer, kernel_or_skip, skip, tracer};

const OPTIONS: [&str; 7] = ["--rounds", "3", "--stacks", "32", "--leave-every", "3", "--wait-start"];

/// Runs a script in a folder; `$1` is its argument.
fn shell(folder: &Path, script: &str, argument: &Path) {
    let arguments = ["-eu", "-c", script, "sh"];
    let output = Command::new("sh").args(arguments).arg(argument).current_dir(folder).output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with `program`, stripped, and its symbols in `program.debug`.
fn stripped(program: &Path) -> TempDir {
    let folder = TempDir::new().expect("a directory");
    let script =
        "objcopy --only-keep-debug \"$1\" program.debug; cp \"$1\" whole; cp \"$1\" program; strip program";
    shell(folder.path(), script, program);
    folder
}

/// Letters of `nm` for the symbols that stay: of all functions, and of those that Fedora leaves (`find-debuginfo` of
/// debugedit: no weak ones, which many of a C library's names are).
const FUNCTIONS: &str = "TtWi";
const FUNCTIONS_OF_FEDORA: &str = "TtD";

/// The same with what distributions make of it: the functions that `.dynsym` does not have, compressed.
fn with_mini_debug_info(program: &Path, letters: &str) -> TempDir {
    let folder = stripped(program);
    fs::write(folder.path().join("letters"), letters).expect("our directory");
    let script = "
        names() { nm --format=posix --defined-only \"$@\" | sort -u; }
        names --dynamic whole | cut -d ' ' -f 1 > dynamic || true
        names whole | awk -v letters=$(cat letters) '$2 ~ \"[\" letters \"]\" { print $1 }' | comm -13 dynamic - > kept
        objcopy --strip-all --keep-symbols=kept program.debug mini
        rm program.debug; xz mini
        objcopy --add-section .gnu_debugdata=mini.xz program";
    shell(folder.path(), script, program);
    folder
}

fn place(folder: &TempDir, script: &str) {
    shell(folder.path(), script, folder.path());
}

/// Traces `truth` and holds its report against what it did.
fn traced(program: &Path) -> Snapshot {
    traced_with(program, |_| {})
}

/// The same; `rename` adapts the truth to names that the tracer cannot know.
fn traced_with(program: &Path, rename: impl FnOnce(&mut Truth)) -> Snapshot {
    let mut target = Target::start(program, &[&OPTIONS[..], &["--wait-end"]].concat());
    let mut tracer = Tracer::attach(target.pid(), &[]);
    tracer.wait_counting();
    target.go();
    let mut truth: Truth = target.next_json();
    rename(&mut truth);
    let snapshot = tracer.stop().success();
    assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
    snapshot
}

/// Frames of functions that only a symbol table knows, not `.dynsym`.
fn frames_named<'a>(snapshot: &'a Snapshot, name: &str) -> Vec<&'a Frame> {
    let frames = snapshot.sites.iter().flat_map(|site| site.frames.iter());
    frames.map(AsRef::as_ref).filter(|frame| frame.function.as_deref() == Some(name)).collect()
}

fn assert_lines(snapshot: &Snapshot, are_known: bool) {
    let frames = frames_named(snapshot, "site_3_malloc");
    assert!(!frames.is_empty(), "site_3_malloc has its name");
    assert!(frames.iter().all(|frame| frame.line.is_some() == are_known), "{frames:?}");
}

/// Debug files that are used, and the scripts that make them so.
fn places() -> [(&'static str, &'static str); 5] {
    [
        ("beside", "objcopy --add-gnu-debuglink=program.debug program"),
        (
            "in .debug",
            "mkdir .debug; mv program.debug .debug; objcopy --add-gnu-debuglink=.debug/program.debug program",
        ),
        (
            "of the same build-id and another checksum",
            "objcopy --add-gnu-debuglink=program.debug program; echo x > x; objcopy --add-section x=x program.debug",
        ),
        (
            "compressed",
            "objcopy --compress-debug-sections=zlib program.debug; objcopy --add-gnu-debuglink=program.debug program",
        ),
        (
            "with a supplement that it shares with another",
            "cp program.debug other.debug; dwz --multifile=supplement --relative program.debug other.debug
            readelf --sections program.debug | grep -q gnu_debugaltlink
            objcopy --add-gnu-debuglink=program.debug program",
        ),
    ]
}

/// Check that names and lines of a stripped program are those of its debug file, wherever it lies.
#[test]
fn stripped_program_has_the_names_and_lines_of_its_debug_file() {
    if !kernel_or_skip("stripped_program_has_the_names_and_lines_of_its_debug_file") {
        return;
    }
    for (place_name, script) in places() {
        let folder = stripped(&fixture("truth"));
        place(&folder, script);
        println!("{place_name}");
        assert_lines(&traced(&folder.path().join("program")), true);
    }
}

/// Check that mini debug info gives names, and no lines.
#[test]
fn stripped_program_has_the_names_of_its_mini_debug_info() {
    if kernel_or_skip("stripped_program_has_the_names_of_its_mini_debug_info") {
        let folder = with_mini_debug_info(&fixture("truth"), FUNCTIONS);
        assert_lines(&traced(&folder.path().join("program")), false);
    }
}

/// Check that the allocator of a stripped static program is found by its debug file, and its counts are exact.
#[test]
fn stripped_static_program_is_traced_by_its_debug_file() {
    let name = "stripped_static_program_is_traced_by_its_debug_file";
    if !kernel_or_skip(name) {
        return;
    }
    let program = match static_truth() {
        Ok(program) => program,
        Err(reason) => return skip(name, &format!("the compiler cannot: {reason}")),
    };
    let folder = stripped(&program);
    place(&folder, places()[1].1);
    assert_lines(&traced(&folder.path().join("program")), true);
    let folder = with_mini_debug_info(&program, FUNCTIONS);
    assert_lines(&traced(&folder.path().join("program")), false);
}

/// Check that glibc's functions are found where only its own names for them are left, and that nothing is missed.
#[test]
fn static_program_is_traced_by_mini_debug_info_without_weak_symbols() {
    let name = "static_program_is_traced_by_mini_debug_info_without_weak_symbols";
    if !kernel_or_skip(name) {
        return;
    }
    let program = match static_truth() {
        Ok(program) => program,
        Err(reason) => return skip(name, &format!("the compiler cannot: {reason}")),
    };
    let folder = with_mini_debug_info(&program, FUNCTIONS_OF_FEDORA);
    // Else the names below would come from somewhere else.
    let script = "
        has_not() { if grep --extended-regexp \"$1\"; then exit 1; fi; }
        readelf --sections --wide program | has_not '[.](symtab|gnu_debuglink)'
        xz --decompress --stdout mini.xz > table; nm table > names
        grep --quiet ' T __libc_calloc$' names
        has_not ' ([Ww] |. (calloc|memalign|valloc)$)' < names
        rm whole table names mini.xz";
    place(&folder, script);
    let snapshot = traced_with(&folder.path().join("program"), |truth| {
        // One function of glibc 2.36 with one name that is left.
        let Some(aligned_alloc) = truth.by_function.remove("aligned_alloc") else { return };
        let memalign = truth.by_function.get_mut("memalign").expect("the fixture calls it");
        memalign.calls += aligned_alloc.calls;
        memalign.bytes += aligned_alloc.bytes;
        memalign.failed += aligned_alloc.failed;
        memalign.attempts += aligned_alloc.attempts;
        memalign.attempt_bytes += aligned_alloc.attempt_bytes;
    });
    assert_lines(&snapshot, false);
    let text = doctor_of(&folder.path().join("program"));
    assert!(text.contains("symbols from .gnu_debugdata"), "{text}");
}

/// What `doctor` says of a program that waits.
fn doctor_of(program: &Path) -> String {
    let target = Target::start(program, &OPTIONS);
    let output = tracer().args(["doctor", "--pid", &target.pid().to_string()]).output();
    String::from_utf8(output.expect("the tracer starts").stdout).expect("text")
}

/// Check that a debug file of another build is not believed: no allocator is found in the static program.
#[test]
fn debug_file_of_another_build_is_not_used() {
    let name = "debug_file_of_another_build_is_not_used";
    if !kernel_or_skip(name) {
        return;
    }
    let program = match static_truth() {
        Ok(program) => program,
        Err(reason) => return skip(name, &format!("the compiler cannot: {reason}")),
    };
    let folder = stripped(&program);
    let script = "objcopy --add-gnu-debuglink=program.debug program
        objcopy --remove-section .note.gnu.build-id program.debug";
    place(&folder, script);
    let program = folder.path().join("program");
    let target = Target::start(&program, &OPTIONS);
    let outcome = Tracer::attach(target.pid(), &["--duration", "1s"]).wait();
    outcome.assert_refused(5, &["no allocator"]);
    let text = doctor_of(&program);
    assert!(text.contains("program.debug is not used: it belongs to another build"), "{text}");
}

/// A root with the program and, where distributions put it, its debug file; and the path of that.
fn root_of(program: &Path) -> (TempDir, PathBuf) {
    let root = stripped(program);
    let script = "
        id=$(readelf --notes program | sed -n 's/.*Build ID: *//p')
        folder=usr/lib/debug/.build-id/$(echo $id | cut -c1-2)
        mkdir -p $folder; mv program.debug $folder/$(echo $id | cut -c3-).debug; rm whole
        echo $folder/$(echo $id | cut -c3-).debug > place";
    place(&root, script);
    let place = fs::read_to_string(root.path().join("place")).expect("just written");
    let place = root.path().join(place.trim_end());
    (root, place)
}

/// Starts a program in a root of its own.
fn start_in(root: &TempDir) -> Target {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--root"]).arg(root.path()).arg("/program").args(OPTIONS).arg("--wait-end");
    let mut target = Target::spawn(&mut command);
    target.wait_ready();
    target
}

/// Check that the debug file of a process in a root of its own is found there, by its build-id.
#[test]
fn debug_file_in_the_root_of_a_container_is_found() {
    let name = "debug_file_in_the_root_of_a_container_is_found";
    if !kernel_or_skip(name) {
        return;
    }
    let program = match static_truth() {
        Ok(program) => program,
        Err(reason) => return skip(name, &format!("the compiler cannot: {reason}")),
    };
    let (root, _) = root_of(&program);
    let mut target = start_in(&root);
    let mut tracer = Tracer::attach(target.pid(), &[]);
    tracer.wait_counting();
    target.go();
    let truth: Truth = target.next_json();
    let snapshot = tracer.stop().success();
    assert_exact(&snapshot, &truth, Mode::Live, Seen::SinceAttach);
    assert_lines(&snapshot, true);
}

/// Puts something in the place of a debug file; the second path is that of a good one on the host.
type Plant = fn(&Path, &Path);

/// Check that a container cannot lead tracer to a file of the host or make it wait, by what it puts in that place.
#[test]
fn link_to_the_host_or_a_pipe_in_the_root_of_a_container_is_not_followed() {
    let name = "link_to_the_host_or_a_pipe_in_the_root_of_a_container_is_not_followed";
    if !kernel_or_skip(name) {
        return;
    }
    let program = match static_truth() {
        Ok(program) => program,
        Err(reason) => return skip(name, &format!("the compiler cannot: {reason}")),
    };
    let plants: [Plant; 3] = [
        |place, host| std::os::unix::fs::symlink(host, place).expect("our directory"),
        |place, host| {
            let magic = Path::new("/proc/1/root").join(host.strip_prefix("/").expect("absolute"));
            std::os::unix::fs::symlink(magic, place).expect("our directory");
        },
        |place, _| rustix::fs::mknodat(CWD, place, FileType::Fifo, Permissions::RUSR, 0).expect("a pipe"),
    ];
    for plant in plants {
        let (root, place) = root_of(&program);
        let host = TempDir::new().expect("a directory");
        let good = host.path().join("program.debug");
        fs::copy(&place, &good).expect("our directory");
        fs::remove_file(&place).expect("our file");
        plant(&place, &good);
        let target = start_in(&root);
        let outcome = Tracer::attach(target.pid(), &["--duration", "1s"]).wait();
        outcome.assert_refused(5, &["no allocator"]);
    }
}
