//! The daemon with exactly what the DaemonSet gives it: five capabilities, a read-only root with nothing but the image's
//! content, a control group namespace of its own, and processes in other containers to trace.

#[path = "../../../../xtask/src/image/content.rs"]
mod content;
mod groups;
mod pods;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;
use tracer::kernel::preflight::CAPABILITIES;
use tracer::model::snapshot::Mode;

use super::books::{assert_shows, expected, logged, profile, row_of, wait_counted_in, wait_gone, wait_row};
use crate::fixtures::fixture;
use crate::harness::{kernel_or_skip, skip};
use crate::inspect::breakpoints_of;
use crate::servants::assert_sites_exact;
use groups::PodGroups;
use pods::{CONFIG, Pod, Seen, Target, all_capabilities, with_jemalloc};

/// How a gzip file begins: RFC 1952, with the one method that there is.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
const LIMIT: u64 = 64 << 20;
/// How every line begins that a daemon says which nothing hinders, and whose configuration was wrong for a moment.
const SAID: [&str; 4] =
    ["{", "tracer: serving http at", "tracer: counting", "tracer: the configuration was not read again"];

/// Says `SKIP` where containers cannot be made.
fn containers_or_skip(name: &str) -> bool {
    if !kernel_or_skip(name) {
        return false;
    }
    let why_not = pods::why_not().or_else(|| {
        PodGroups::create(name, "none")
            .is_none()
            .then(|| "no memory of a control group can be limited here".to_owned())
    });
    if let Some(reason) = &why_not {
        skip(name, reason);
    }
    why_not.is_none()
}

fn servant(test: &str, name: &str) -> Target {
    let groups = PodGroups::create(test, name).expect("one could be made before");
    groups.limit_memory(LIMIT);
    Target::start(&fixture("servant"), name, groups)
}

/// A rule for the container of a target.
fn rule(target: &Target, mode: Mode) -> String {
    let id = &target.groups.id()[..12];
    format!(
        "[[target]]\nname = \"rule-{id}\"\ncontainer = \"{id}\"\nmode = \"{mode}\"\nsample_bytes = \"0\"\n"
    )
}

fn config(targets: &[(&Target, Mode)]) -> String {
    let rules: Vec<String> = targets.iter().map(|(target, mode)| rule(target, *mode)).collect();
    format!("interval = \"100ms\"\n{}", rules.concat())
}

fn status_of(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
}

/// Asserts that a daemon can do no more than the manifest lets it.
#[track_caller]
fn assert_confined(pod: &Pod) {
    let pid = pod.daemon.pid();
    let mask = format!("{:016x}", all_capabilities());
    let none = format!("{:016x}", 0);
    for (set, expect) in
        [("CapEff", &mask), ("CapPrm", &mask), ("CapBnd", &mask), ("CapInh", &none), ("CapAmb", &none)]
    {
        assert_eq!(&status_of(pid, set), expect, "{set}");
    }
    assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    assert_eq!(status_of(pid, "Seccomp"), "2");
    assert_eq!(status_of(pid, "Uid"), "0\t0\t0\t0");
    let inside = |path: &str| format!("/proc/{pid}/root{path}");
    let written = fs::write(inside("/new"), "");
    assert_eq!(written.expect_err("it is read-only").kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let mut names: Vec<_> = fs::read_dir(inside("/")).expect("it runs").filter_map(Result::ok).collect();
    names.sort_by_key(fs::DirEntry::file_name);
    let names: Vec<_> = names.iter().map(|entry| entry.file_name().into_string().expect("plain")).collect();
    assert_eq!(
        names,
        ["dev", "etc", "lib", "lib64", "proc", "run", "sys", "tmp", "usr"],
        "nothing else is there"
    );
    assert!(!Path::new(&inside("/sys/kernel/tracing/events")).exists(), "no tracefs");
    assert!(fs::read_dir(inside("/bin")).is_err(), "no shell");
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/cgroup")).expect("it runs");
    assert_ne!(namespace(&pid.to_string()), namespace("self"));
}

/// Check the whole life of a daemon in there: it finds, counts, names, serves, obeys, reads again, and ends.
#[test]
fn daemon_with_the_privileges_of_the_daemonset_does_everything() {
    let name = "daemon_with_the_privileges_of_the_daemonset_does_everything";
    if !containers_or_skip(name) {
        return;
    }
    let mut api = servant("everything", "api");
    let groups = PodGroups::create("everything", "shop").expect("one could be made before");
    let mut shop = match with_jemalloc() {
        Ok(program) => Target::start(&program, "shop", groups),
        Err(reason) => {
            skip(name, &format!("without jemalloc: {reason}"));
            Target::start(&fixture("servant"), "shop", groups)
        }
    };
    let rules = config(&[(&api, Mode::Live), (&shop, Mode::Alloc)]);
    let pod = Pod::start("everything", &rules);
    let daemon = &pod.daemon;
    assert_confined(&pod);
    let ids = wait_counted_in(daemon, &[api.pid(), shop.pid()]);
    api.servant.work(3);
    shop.servant.work(2);
    let tally = api.servant.tally();
    assert_shows(daemon, &[("service", "api")], &expected(&[tally], Mode::Live));
    let tally = shop.servant.tally();
    assert_shows(daemon, &[("service", "shop")], &expected(&[tally], Mode::Alloc));
    assert_eq!(daemon.metric("tracer_target_memory_limit_bytes", &[("service", "api")]), Some(LIMIT as f64));
    assert_eq!(daemon.metric("tracer_target_memory_limit_bytes", &[("service", "shop")]), None);
    assert_eq!(daemon.metric("tracer_attached_ratio", &[("service", "api")]), Some(1.0));
    let snapshot = profile(daemon, &ids[0]);
    assert_sites_exact(&snapshot, api.pid(), &api.servant.tally());
    let target = &snapshot.targets[0];
    assert_eq!(target.exe, "/app/api-program", "as it sees it itself");
    assert!(target.build_id.is_some(), "its program was read, which is not in the daemon's root");
    assert!(snapshot.quality.notes.is_empty(), "{:?}", snapshot.quality.notes);
    assert_serves(&pod, &ids[0]);
    assert_obeys(&pod, &api, &shop);
    assert_reads_again(&pod, &rules, &api, &shop);
    assert_doctor(&pod, &api);
    let said = daemon.stderr();
    let is_expected = |line: &&str| SAID.iter().any(|begin| line.starts_with(begin));
    assert!(said.lines().all(|line| is_expected(&line)), "it says no more: {said}");
    assert!(breakpoints_of(api.pid()) > 0, "it is traced until the end");
    let Pod { daemon, .. } = pod;
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(breakpoints_of(api.pid()), 0, "no probe stays");
    api.servant.work(1);
}

#[track_caller]
fn assert_serves(pod: &Pod, id: &str) {
    for path in ["/livez", "/readyz", "/", "/metrics", "/targets", "/sd/pprof"] {
        assert_eq!(pod.daemon.get(path).status, 200, "{path}");
    }
    let flamegraph = pod.daemon.get(&format!("/targets/{id}/flamegraph.svg?view=inuse_space"));
    assert!(flamegraph.body.contains("servant_site"), "{}", flamegraph.body);
    for path in ["/debug/pprof/allocs".to_owned(), format!("/targets/{id}/debug/pprof/heap")] {
        let answer = bytes_of(pod.daemon.port(), &path).expect("it answers");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
        assert!(answer.windows(GZIP.len()).any(|window| window == GZIP), "{path}");
    }
}

/// A whole answer, with its head: profiles are no text.
fn bytes_of(port: u16, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Check `tracer ctl` through the socket, run in the same root.
#[track_caller]
fn assert_obeys(pod: &Pod, api: &Target, shop: &Target) {
    let (daemon, pid) = (&pod.daemon, api.pid().to_string());
    let status = pod.done(&["ctl", "status"]);
    assert!(status.contains("api-program") && status.contains("shop-program"), "{status}");
    pod.done(&["ctl", "rate", "64KiB", "--pid", &pid]);
    wait_row(daemon, api.pid(), |row| row["sample_bytes"] == 64 << 10);
    pod.done(&["ctl", "mode", "live", "--pid", &shop.pid().to_string()]);
    wait_row(daemon, shop.pid(), |row| row["mode"] == "live");
    pod.done(&["ctl", "target", "remove", &pid]);
    wait_gone(daemon, api.pid());
    pod.done(&["ctl", "target", "add", &pid]);
    wait_row(daemon, api.pid(), |row| row["mode"] == "live");
    pod.execute(&["ctl", "rate", "0", "--rule", "nobody"]).assert_refused(1, &["there is no rule nobody"]);
    assert!(logged(daemon, "control").len() >= 5, "{}", daemon.stderr());
}

/// Check that the folder of the configuration is watched through its mount.
#[track_caller]
fn assert_reads_again(pod: &Pod, rules: &str, api: &Target, shop: &Target) {
    let daemon = &pod.daemon;
    daemon.rewrite_config(&rules.replace("mode = \"alloc\"", "mode = \"wrong\""));
    daemon.wait_metric("tracer_config_reload_success", &[], |value| value == Some(0.0));
    daemon.rewrite_config(&(config(&[(api, Mode::Live)]) + "labels = { version = \"7\" }\n"));
    daemon.wait_metric("tracer_target_processes", &[("service", "api"), ("version", "7")], |value| {
        value == Some(1.0)
    });
    wait_gone(daemon, shop.pid());
    assert!(row_of(daemon, api.pid()).is_some());
    let shown = pod.done(&["daemon", "--config", CONFIG, "--print-config"]);
    assert!(shown.contains("labels.version = \"7\" # file, line"), "{shown}");
}

/// Check that `doctor` is content with the machine and with a process, and says it also to programs.
#[track_caller]
fn assert_doctor(pod: &Pod, target: &Target) {
    let pid = target.pid().to_string();
    let text = pod.done(&["doctor", "--pid", &pid]);
    assert!(!text.contains("\nno  "), "{text}");
    assert!(text.contains("/app/api-program") && text.contains("malloc of"), "{text}");
    let report: Value =
        serde_json::from_str(&pod.done(&["doctor", "--pid", &pid, "--format", "json"])).expect("JSON");
    assert_eq!(report["uprobes"], true);
    let checks = report["checks"].as_array().expect("a list");
    assert!(checks.iter().all(|check| check["works"] == true), "{report:#}");
    assert_eq!(report["process"]["refusal"], Value::Null);
}

/// Check processes whose libc was updated under them: it is opened as they have it mapped.
#[test]
fn replaced_library_is_opened_with_the_privileges_of_the_daemonset() {
    if !containers_or_skip("replaced_library_is_opened_with_the_privileges_of_the_daemonset") {
        return;
    }
    let mut old = servant("replaced", "old");
    old.replace_libc();
    let pod = Pod::start("replaced", &config(&[(&old, Mode::Live)]));
    wait_counted_in(&pod.daemon, &[old.pid()]);
    old.servant.work(2);
    assert_shows(&pod.daemon, &[("service", "old")], &expected(&[old.servant.tally()], Mode::Live));
}

/// Check that a limit is found whatever the daemon sees of the hierarchy, from a private namespace.
#[test]
fn memory_limit_is_found_from_a_private_namespace() {
    if !containers_or_skip("memory_limit_is_found_from_a_private_namespace") {
        return;
    }
    let target = servant("limits", "limited");
    let text = fs::read_to_string(format!("/proc/{}/cgroup", target.pid())).expect("it runs");
    assert!(text.contains(&target.groups.pod()), "its group is a pod's: {text}");
    for seen in [Seen::All, Seen::PartWithPods, Seen::Nothing] {
        let mut pod = Pod::spawn("limits", &config(&[(&target, Mode::Alloc)]), all_capabilities(), seen);
        pod.daemon.wait_ready();
        let row = wait_row(&pod.daemon, target.pid(), |_| true);
        assert_eq!(row["memory_limit_bytes"], LIMIT, "{row}");
    }
}

/// Check each capability by taking it away: what it is needed for is said, and everything else works.
#[test]
fn missing_capability_is_named_with_what_to_do_and_what_it_costs() {
    let name = "missing_capability_is_named_with_what_to_do_and_what_it_costs";
    if !containers_or_skip(name) {
        return;
    }
    let mut api = servant("missing", "api");
    let old = servant("missing", "old");
    old.replace_libc();
    let rules = config(&[(&api, Mode::Live), (&old, Mode::Live)]);
    for capability in &CAPABILITIES {
        let mut pod = Pod::spawn("missing", &rules, all_capabilities() & !(1 << capability.bit), Seen::All);
        let said = match capability.is_needed {
            true => assert_refuses(pod, capability.name),
            false => {
                pod.daemon.wait_ready();
                assert_goes_on(&pod, capability.name, &mut api, &old);
                pod.daemon.stderr()
            }
        };
        println!("without {}:\n{said}", capability.name);
        let name = capability.name.trim_start_matches("CAP_");
        assert!(said.contains(&format!("missing capability: {}", capability.name)), "{said}");
        assert!(
            said.contains("securityContext.capabilities.add") && said.contains(name),
            "what to do: {said}"
        );
    }
}

/// The daemon ends at once, having said why.
#[track_caller]
fn assert_refuses(pod: Pod, name: &str) -> String {
    let Pod { mut daemon, .. } = pod;
    let status = daemon.wait();
    let said = daemon.stderr();
    assert_eq!(status.code(), Some(5), "without {name}: {said}");
    assert_eq!(said.lines().count(), 1, "once: {said}");
    said
}

/// The daemon says what does not work, and counts what it can.
#[track_caller]
fn assert_goes_on(pod: &Pod, missing: &str, api: &mut Target, old: &Target) {
    let daemon = &pod.daemon;
    // Without the environment a process is called what its program is called.
    let service = if missing == "CAP_DAC_READ_SEARCH" { "api-program" } else { "api" };
    let id = wait_counted_in(daemon, &[api.pid()]).remove(0);
    api.servant.obey("reset", "reset");
    api.servant.work(1);
    let tally = api.servant.tally();
    assert_shows(daemon, &[("service", service)], &expected(&[tally], Mode::Live));
    let notes = profile(daemon, &id).quality.notes.join("\n");
    assert!(notes.contains(missing), "its documents say it too: {notes}");
    let text = pod.done(&["doctor"]);
    let line = text.lines().find(|line| line.starts_with("no  privileges") && line.contains(missing));
    assert!(line.is_some(), "{text}");
    daemon.wait_metric("tracer_attach_failures_total", &[], |value| value.is_some_and(|value| value > 0.0));
    let said = daemon.stderr();
    let why = format!("process {} is not traced", old.pid());
    let line = said.lines().find(|line| line.contains(&why)).unwrap_or_else(|| panic!("{why}: {said}"));
    let names = ["libc.so.6 (deleted)", &format!("{missing} is missing")];
    assert!(names.iter().all(|name| line.contains(name)), "{line}");
}
