//! Probes on Go's allocator in company: beside C, by a rule of the daemon, under `advise`.

use serde_json::Value;
use tracer::model::snapshot::{Mode, Snapshot};

use super::probes::{sites_in, sum};
use super::toolchains::{Build, oldest_and_newest};
use crate::copies::copy_program;
use crate::daemon::books::wait_counted_in;
use crate::daemon::driver::Daemon;
use crate::harness::{Target, Tracer, kernel_or_skip, tracer};
use crate::servants::wait_counting_in;

/// What this function has asked for itself: objects, bytes.
fn of_function(snapshot: &Snapshot, function: &str) -> (u64, u64) {
    let sites = sites_in(snapshot, function);
    (sum(&sites, |site| site.alloc_objects), sum(&sites, |site| site.alloc_bytes))
}

/// Check that both heaps of a program are counted by probes, each call once, and that the mode that leaves is said.
#[test]
fn probes_count_go_and_c_side_by_side() {
    let name = "probes_count_go_and_c_side_by_side";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = Target::start(&go.build("both", Build::Cgo), &[]);
        let mut tracer = Tracer::attach(target.pid(), &["--go", "probes"]);
        tracer.wait_counting();
        target.command("5000");
        assert_eq!(target.next_line(), "done");
        let outcome = tracer.stop();
        let snapshot = outcome.success();
        assert_eq!(of_function(&snapshot, "keep_block"), (5000, 5_000_000), "Go 1.{}", go.minor);
        assert_eq!(of_function(&snapshot, "main.keepSession"), (5000, 5000 * (4096 - 8)));
        let mut sources: Vec<_> = snapshot.targets[0]
            .allocators
            .iter()
            .map(|one| (one.name.as_str(), one.source.as_str()))
            .collect();
        sources.sort_unstable();
        assert_eq!(sources, [("glibc", "uprobe"), ("go", "uprobe")]);
        // Go's blocks are followed by nobody, so nobody's are.
        assert_eq!(snapshot.mode, Mode::Alloc);
        let notes = snapshot.quality.notes.join("\n");
        assert!(notes.contains("is traced in mode alloc: probes on Go's allocator see no frees"), "{notes}");
    }
}

/// Check that a rule of the daemon can ask for probes, and what its metrics and its document say then.
#[test]
fn a_rule_of_the_daemon_asks_for_probes() {
    let name = "a_rule_of_the_daemon_asks_for_probes";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join(format!("go-probed-{}", go.minor));
        copy_program(&go.build("keeper", Build::Stripped), &program);
        let mut target = Target::start(&program, &[]);
        let daemon = Daemon::start(&format!(
            "interval = \"100ms\"\n[[target]]\nexe = \"{}\"\nmode = \"alloc\"\ngo = \"probes\"\nlabels = {{ service = \"go\" }}\n",
            program.display()
        ));
        let id = wait_counted_in(&daemon, &[target.pid()]).remove(0);
        target.command("work 5000");
        let _: Value = target.next_json();
        let bytes = 5000.0 * 4088.0;
        daemon.wait_metric("tracer_alloc_bytes_total", &[("allocator", "go"), ("service", "go")], |seen| {
            seen.is_some_and(|seen| seen > bytes)
        });
        let snapshot: Snapshot =
            serde_json::from_value(daemon.json(&format!("/targets/{id}/snapshot"))).expect("the document");
        let allocators = &snapshot.targets[0].allocators;
        assert!(
            allocators.iter().all(|one| one.source == "uprobe") && allocators.len() == 1,
            "{allocators:?}"
        );
        let (objects, _) = of_function(&snapshot, "main.keepSession");
        assert!(objects > 0, "Go 1.{}: {:?}", go.minor, snapshot.sites);
        target.command("drop");
        let _: Value = target.next_json();
        assert!(target.alive(), "and it goes on");
    }
}

/// Check that what `advise` knows of maps it knows from probes too.
#[test]
fn advise_names_a_growing_map_by_probes() {
    let name = "advise_names_a_growing_map_by_probes";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = Target::start(&go.build("keeper", Build::Stripped), &[]);
        let pid = target.pid().to_string();
        let options = ["advise", "--pid", &pid, "--go", "probes", "--duration", "2s", "--format", "json"];
        let tracer = Tracer::spawn(tracer().args(options));
        // Longer than it takes to attach and to watch.
        for _ in 0..100 {
            target.command("work 2000");
            target.command("drop");
            std::thread::sleep(std::time::Duration::from_millis(60));
        }
        let outcome = tracer.wait();
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let report: Value = serde_json::from_str(&outcome.stdout).expect("a JSON document");
        let advice = report["advice"].as_array().expect("a list");
        let named = advice.iter().find(|one| one["function"] == "main.lookupAttributes");
        let named = named.unwrap_or_else(|| panic!("Go 1.{}: {report:#}", go.minor));
        assert!(named["file"].as_str().is_some_and(|file| file.ends_with("keeper.go")), "{named}");
        assert!(target.alive(), "and it goes on");
    }
}

/// Check that a child by Go's `os/exec`, which shares its parent's memory until it executes, has numbers of its own.
#[test]
fn a_child_of_a_probed_program_is_counted_by_itself() {
    let name = "a_child_of_a_probed_program_is_counted_by_itself";
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = Target::start(&go.build("allocates", Build::Plain), &[]);
        let mut tracer = Tracer::attach(target.pid(), &["--follow-forks=yes"]);
        tracer.wait_counting();
        let mut obey = |command: &str| -> Value {
            target.command(command);
            target.next_json()
        };
        obey("work 3000");
        let child = obey("start")["pid"].as_u64().expect("it has started one");
        let child = u32::try_from(child).expect("a pid");
        wait_counting_in(&tracer, child);
        obey("child work 5000");
        obey("work 1000");
        let snapshot = tracer.stop().success();
        let nodes = |pid: u32| -> u64 {
            let sites = sites_in(&snapshot, "main.makeNode").into_iter().filter(|site| site.pid == pid);
            sites.map(|site| site.alloc_objects).sum()
        };
        assert_eq!((nodes(target.pid()), nodes(child)), (4000, 5000), "Go 1.{}", go.minor);
        let sources: Vec<_> =
            snapshot.targets.iter().flat_map(|one| &one.allocators).map(|one| one.source.as_str()).collect();
        assert_eq!(sources, ["uprobe", "uprobe"], "the runtime of neither takes samples");
        assert!(target.alive(), "and it goes on");
    }
}
