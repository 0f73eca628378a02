//! Go in the forms that a deployment gives it: in a container, at any address, in parts that are loaded, stripped of everything.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tracer::model::snapshot::{CallSite, Snapshot, Verdict};

use super::toolchains::{Build, Go, Symbols, oldest_and_newest};
use crate::copies::copy_program;
use crate::fixtures::fixture;
use crate::harness::{Target, Tracer, kernel_or_skip, skip};
use crate::inspect::descendants_of;

const ROUNDS: u64 = 20_000;
/// Of a session.
const SESSION_BYTES: u64 = 4096;
/// Of a page of the plugin.
const PAGE_BYTES: u64 = 8192;

/// Has it work, and waits until it has.
fn work(target: &mut Target, rounds: u64) {
    target.command(&rounds.to_string());
    assert_eq!(target.next_line(), "done");
}

/// The sites below a function hold what it has allocated: an estimate that is five standard errors off happens once in two
/// million runs.
#[track_caller]
fn assert_kept(what: &str, snapshot: &Snapshot, function: &str, bytes: u64) {
    let named =
        |site: &&CallSite| site.frames.iter().any(|frame| frame.function.as_deref() == Some(function));
    let sites: Vec<_> = snapshot.sites.iter().filter(named).collect();
    let estimate: f64 = sites.iter().map(|site| site.alloc_bytes as f64).sum();
    let error = sites.iter().map(|site| site.standard_error.alloc_bytes.powi(2)).sum::<f64>().sqrt();
    let off = (estimate - bytes as f64).abs() / error;
    println!("{what}, {function}: {estimate:.0} of {bytes}, {off:.2} standard errors");
    assert!(error > 0.0 && off < 5.0, "{what}, {function}: {estimate} ± {error}, not {bytes}: {sites:?}");
    let has_line = sites.iter().flat_map(|site| site.frames.iter()).any(|frame| {
        frame.function.as_deref() == Some(function)
            && frame.file.as_deref().is_some_and(|file| file.ends_with(".go"))
            && frame.line.is_some()
    });
    assert!(has_line, "{what}, {function}: file and line: {sites:?}");
    assert_eq!(snapshot.quality.verdict, Verdict::Sampled, "{what}: {:?}", snapshot.quality);
}

/// Attaches, has it work, and takes the report.
fn report_of(target: &mut Target, pid: u32) -> Snapshot {
    let mut tracer = Tracer::attach(pid, &[]);
    tracer.wait_counting();
    work(target, ROUNDS);
    tracer.stop().success()
}

/// Check a program of another user that sees only its own root, by a name and a pid that nobody outside knows.
#[test]
fn a_go_program_in_a_container_is_read() {
    let name = "a_go_program_in_a_container_is_read";
    if !kernel_or_skip(name) {
        return;
    }
    let unshare = ["-m", "-p", "-f", "--kill-child"];
    if !Command::new("unshare").args(unshare).arg("true").output().is_ok_and(|output| output.status.success())
    {
        return skip(name, "no namespaces here");
    }
    for go in oldest_and_newest(name) {
        for build in [Build::Plain, Build::Stripped] {
            let readable = fs::Permissions::from_mode(0o755);
            let root = tempfile::Builder::new().permissions(readable).tempdir().expect("a root");
            let inside = root.path().join("srv");
            fs::create_dir(&inside).expect("a folder");
            copy_program(&go.build("keeper", build), &inside.join("service"));
            let script = format!(
                "mount --bind {0} {0} && cd {0} && exec chroot --userspec=65534:65534 . /srv/service",
                root.path().display()
            );
            let mut target = Target::spawn(Command::new("unshare").args(unshare).args(["sh", "-c", &script]));
            target.wait_ready();
            let pid = *descendants_of(target.pid()).last().expect("a child of unshare");
            let mut tracer = Tracer::attach(pid, &[]);
            tracer.wait_counting();
            target.command(&format!("work {ROUNDS}"));
            assert_eq!(target.next_line(), "{}");
            let snapshot = tracer.stop().success();
            let what = format!("Go 1.{}, {build:?}", go.minor);
            assert_kept(&what, &snapshot, "main.keepSession", ROUNDS * SESSION_BYTES);
            let seen = &snapshot.targets[0];
            assert_eq!(
                (seen.exe.as_str(), seen.allocators[0].object.as_str()),
                ("/srv/service", "/srv/service")
            );
        }
    }
}

/// Check a program at an address that the kernel picks, without symbols and DWARF.
#[test]
fn a_stripped_go_program_at_any_address_is_read() {
    let name = "a_stripped_go_program_at_any_address_is_read";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = Target::start(&go.build("keeper", Build::PieStripped), &[]);
        let pid = target.pid();
        let mut tracer = Tracer::attach(pid, &[]);
        tracer.wait_counting();
        target.command(&format!("work {ROUNDS}"));
        assert_eq!(target.next_line(), "{}");
        let snapshot = tracer.stop().success();
        assert_kept(&format!("Go 1.{}", go.minor), &snapshot, "main.keepSession", ROUNDS * SESSION_BYTES);
    }
}

/// Check that functions of the program and of its plugin have names, with symbols and without.
#[test]
fn functions_of_a_plugin_and_of_its_host_are_named() {
    let name = "functions_of_a_plugin_and_of_its_host_are_named";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        for (host, symbols) in [(Build::Cgo, Symbols::Kept), (Build::CgoStripped, Symbols::Stripped)] {
            let part = go.build("plugin_part", Build::Plugin(symbols));
            let mut target = Target::start(&go.build("plugin_host", host), &[path(&part)]);
            let pid = target.pid();
            let snapshot = report_of(&mut target, pid);
            let what = format!("Go 1.{}, {symbols:?}", go.minor);
            assert_kept(&what, &snapshot, "main.keepSession", ROUNDS * SESSION_BYTES);
            let keep_page = snapshot.sites.iter().flat_map(|site| site.frames.iter());
            let keep_page = keep_page.filter_map(|frame| frame.function.as_deref());
            let keep_page = keep_page.filter(|function| function.ends_with(".KeepPage")).max();
            let keep_page = keep_page.unwrap_or_else(|| panic!("{what}: {:?}", snapshot.sites));
            assert_kept(&what, &snapshot, keep_page, ROUNDS * PAGE_BYTES);
        }
    }
}

/// Check a library of Go in a program of C, attached to when it is there.
#[test]
fn a_go_library_in_a_c_program_is_read() {
    let name = "a_go_library_in_a_c_program_is_read";
    if !kernel_or_skip(name) {
        return;
    }
    check_library(name, |target, _| work(target, 0), |_, _| ());
}

/// Check the same where the library comes when the program is traced already.
#[test]
fn a_go_library_that_is_loaded_later_is_read() {
    let name = "a_go_library_that_is_loaded_later_is_read";
    if !kernel_or_skip(name) {
        return;
    }
    check_library(
        name,
        |_, _| (),
        |target, snapshot| {
            if let Some(snapshot) = snapshot {
                let notes = snapshot.quality.notes.join("\n");
                assert!(notes.contains("came later: what Go allocated in it before is not known"), "{notes}");
            } else {
                work(target, 0);
            }
        },
    );
}

/// `before` and `after` the attach; `after` also with the report.
fn check_library(
    name: &str,
    before: impl Fn(&mut Target, &Go),
    after: impl Fn(&mut Target, Option<&Snapshot>),
) {
    for go in oldest_and_newest(name) {
        for symbols in [Symbols::Kept, Symbols::Stripped] {
            let library = go.build("library", Build::Library(symbols));
            let mut target = Target::start(&fixture("loads_go"), &[path(&library)]);
            before(&mut target, &go);
            let mut tracer = Tracer::attach(target.pid(), &[]);
            tracer.wait_counting();
            after(&mut target, None);
            // A library that has come is looked for once a second where no loader says so.
            std::thread::sleep(std::time::Duration::from_secs(2));
            work(&mut target, ROUNDS);
            let snapshot = tracer.stop().success();
            let what = format!("Go 1.{}, {symbols:?}", go.minor);
            assert_kept(&what, &snapshot, "main.keepSession", ROUNDS * SESSION_BYTES);
            let names: Vec<_> = snapshot.targets[0].allocators.iter().map(|one| one.name.as_str()).collect();
            assert!(names.contains(&"glibc") && names.contains(&"go"), "{what}: {names:?}");
            after(&mut target, Some(&snapshot));
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
