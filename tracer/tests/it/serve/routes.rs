//! What is under which path, and the headers of every answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tracer::model::node::{Node, NodeTarget};
use tracer::serve::http;
use tracer::serve::shared::{Refusal, Shared};
use tracer::view::canaries::Canaries;

use super::rig::{Rig, document, node, options, unpacked};
use crate::canaries::canaries;

#[test]
fn every_path_of_the_contract_answers() {
    let (rig, id) = Rig::with(options(), vec![document("live-leaky.json")]);
    rig.say(None, vec![document("live-several.json")]);
    let target = format!("/targets/{id}");
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/metrics", "text/plain"),
        ("/livez", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/targets", "application/json"),
        ("/sd/pprof", "application/json"),
        ("/canary", "application/json"),
        (&format!("{target}/snapshot"), "application/json"),
        (&format!("{target}/flamegraph.svg"), "image/svg+xml"),
        (&format!("{target}/flamegraph.svg?view=alloc_objects"), "image/svg+xml"),
        (&format!("{target}/debug/pprof/heap"), "application/octet-stream"),
        (&format!("{target}/debug/pprof/allocs"), "application/octet-stream"),
        (&format!("{target}/debug/pprof/delta_heap"), "application/octet-stream"),
        ("/debug/pprof/heap", "application/octet-stream"),
        ("/debug/pprof/allocs", "application/octet-stream"),
    ] {
        let reply = rig.get(path);
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.header("content-type").starts_with(content_type), "{path}: {:?}", reply.headers);
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert!(!reply.body.is_empty(), "{path}");
    }
    assert!(rig.shared.refused.all().iter().all(|(_, count)| *count == 0));
}

#[test]
fn verdicts_are_json_for_programs_and_a_page_for_browsers() {
    let rig = Rig::new(options());
    let document = |path: &str| -> Value { serde_json::from_slice(&rig.get(path).body).unwrap() };
    let list = |path: &str| document(path)["services"].as_array().expect("a list").clone();
    assert_eq!(document("/canary"), serde_json::json!({ "services": [], "notes": [] }));
    let noted = Canaries { notes: vec!["two more".to_owned()], ..canaries("a shop & more") };
    rig.shared.publish_canaries(noted);
    assert_eq!(document("/canary?service=nobody")["notes"], serde_json::json!(["two more"]));
    let services: Vec<_> = list("/canary").iter().map(|one| one["labels"]["service"].clone()).collect();
    assert_eq!(services, ["api", "a shop & more"]);
    let [shop] = &list("/canary?service=a%20shop+%26+more")[..] else { panic!("one") };
    assert_eq!(shop["comparison"]["decision"]["verdict"], "worse");
    assert_eq!(shop["comparison"]["schema"], "tracer-compare/1");
    assert_eq!(list("/canary?service=nobody"), Vec::<Value>::new());
    let page =
        rig.request("GET /canary HTTP/1.1\r\nHost: n\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    assert!(page.header("content-type").starts_with("text/html"), "{:?}", page.headers);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(page.text().contains("a shop &amp; more") && page.text().contains("there is no canary"));
    assert!(rig.get("/").text().contains("href=\"canary\""));
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let (rig, id) = Rig::with(options(), vec![document("live-leaky.json")]);
    let target = format!("/targets/{id}");
    for (path, status, sentence) in [
        ("/nothing", 404, "/ leads to everything"),
        ("/targets/12/snapshot", 404, "PID-START"),
        ("/targets/1-1/snapshot", 404, "/targets lists"),
        ("/targets/1-1/debug/pprof/heap?seconds=1", 404, "/targets lists"),
        ("/targets/1-1/debug/pprof/delta_heap", 404, "/targets lists"),
        ("/debug/pprof/delta_heap", 404, "each process"),
        ("/debug/pprof/goroutine", 404, "heap, allocs"),
        (&format!("{target}/debug/pprof/profile?seconds=1"), 404, "heap, allocs"),
        (&format!("{target}/flamegraph.svg?view=cpu"), 400, "inuse_space, inuse_objects"),
        (&format!("{target}/debug/pprof/heap?seconds=0"), 400, "from 1 to 60"),
        (&format!("{target}/debug/pprof/heap?seconds=61"), 400, "from 1 to 60"),
        (&format!("{target}/debug/pprof/heap?seconds=-1"), 400, "from 1 to 60"),
        (&format!("{target}/debug/pprof/heap?seconds=ten"), 400, "from 1 to 60"),
        (&format!("{target}/debug/pprof/heap?seconds=99999999999999999999"), 400, "from 1 to 60"),
    ] {
        let reply = rig.get(path);
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.text().contains(sentence), "{path}: {}", reply.text());
        assert_eq!(reply.text().lines().count(), 1, "{path}");
        assert!(reply.header("content-type").starts_with("text/plain"), "{path}");
    }
}

#[test]
fn a_daemon_is_ready_with_its_first_picture() {
    let rig = Rig::new(options());
    assert_eq!((rig.get("/livez").status, rig.get("/readyz").status), (200, 503));
    assert!(rig.get("/").text().contains("The daemon is starting"));
    rig.shared.publish(node(&[]));
    assert_eq!(rig.get("/readyz").status, 200);
}

#[test]
fn answers_are_compressed_for_who_takes_that() {
    let (rig, id) = Rig::with(options(), vec![document("live-leaky.json")]);
    for path in ["/", &format!("/targets/{id}/snapshot"), &format!("/targets/{id}/flamegraph.svg")] {
        let plain = rig.get(path);
        let packed = rig.request(&format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip\r\nConnection: close\r\n\r\n"
        ));
        assert!(!plain.headers.contains_key("content-encoding"), "{path}");
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        assert!(packed.body.len() < plain.body.len(), "{path}");
        assert_eq!(unpacked(&packed.body), plain.body, "{path}");
    }
    // A profile is packed already.
    let reply = rig.request(&format!(
        "GET /targets/{id}/debug/pprof/heap HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    ));
    assert!(!reply.headers.contains_key("content-encoding"));
    reply.profile();
}

#[test]
fn scripts_run_in_flame_graphs_only() {
    let (rig, id) = Rig::with(options(), vec![document("live-leaky.json")]);
    let policy = |path: &str| rig.get(path).header("content-security-policy").to_owned();
    assert!(!policy("/").contains("script-src"));
    assert!(policy("/").contains("default-src 'none'"));
    let svg = policy(&format!("/targets/{id}/flamegraph.svg"));
    assert!(svg.contains("script-src 'unsafe-inline'") && svg.contains("default-src 'none'"), "{svg}");
}

#[test]
fn names_from_targets_are_harmless_on_the_page() {
    let rig = Rig::new(options());
    let hostile = "<script>alert(1)</script>".to_owned();
    let target = NodeTarget { comm: hostile.clone(), exe: hostile, ..NodeTarget::default() };
    rig.shared.publish(Node { targets: vec![target], ..node(&[]) });
    let page = rig.get("/");
    assert!(!page.text().contains("<script"), "{}", page.text());
    assert_eq!(page.text().matches("&lt;script&gt;").count(), 2);
}

#[test]
fn scrapers_find_each_process_under_the_address_that_they_asked() {
    let (rig, id) = Rig::with(options(), vec![document("live-leaky.json")]);
    let groups: Value = serde_json::from_slice(&rig.get("/sd/pprof").body).unwrap();
    assert_eq!(groups[0]["targets"][0], "node-1:9464");
    assert_eq!(groups[0]["labels"]["service_name"], format!("comm-{}", id.pid));
    let prefix = groups[0]["labels"]["__profile_path_prefix__"].as_str().unwrap();
    assert_eq!(rig.get(&format!("{prefix}/debug/pprof/allocs")).status, 200);
    // Without a sensible one it is the address that it listens on.
    let reply = rig.request("GET /sd/pprof HTTP/1.1\r\nHost: a@b\r\nConnection: close\r\n\r\n");
    let groups: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(groups[0]["targets"][0], rig.addr().to_string());
}

#[test]
fn head_is_the_head_of_get() {
    let (rig, _) = Rig::with(options(), vec![document("live-leaky.json")]);
    let reply = rig.request("HEAD /targets HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-length"), rig.get("/targets").body.len().to_string());
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_what_to_do() {
    let rig = Rig::new(options());
    let again =
        http::start(http::HttpOptions { listen: rig.addr(), ..options() }, Arc::new(Shared::new(|_| false)));
    let message = again.unwrap_err().to_string();
    for expect in [&rig.addr().to_string(), "in use", "choose another port"] {
        assert!(message.contains(expect), "{expect} in {message}");
    }
}

#[test]
fn refusals_are_in_the_metrics() {
    let rig = Rig::new(options());
    rig.shared.publish(node(&[]));
    rig.request("DELETE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    rig.expect_refused(Refusal::Method, 1);
    let metrics = rig.get("/metrics");
    let line = metrics.text().lines().find(|line| line.contains("reason=\"method\"")).unwrap();
    assert!(line.starts_with("tracer_http_requests_refused_total") && line.ends_with(" 1"), "{line}");
}

#[test]
fn a_server_that_is_stopped_gives_open_requests_a_second_at_most() {
    let (mut rig, id) = Rig::with(options(), vec![document("live-leaky.json")]);
    rig.says.lock().unwrap().pause = Duration::from_millis(300);
    let (addr, idle, mut open) = (rig.addr(), rig.connect(), rig.connect());
    std::io::Write::write_all(
        &mut open,
        format!("GET /targets/{id}/debug/pprof/heap HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    rig.stop();
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
    super::rig::reply(&mut open, false).expect("what was asked for before").profile();
    assert!(std::net::TcpStream::connect(addr).is_err());
    drop(idle);
}

#[test]
fn without_a_loop_there_are_no_profiles() {
    let server = http::start(options(), Arc::new(Shared::new(|_| false))).unwrap();
    let mut stream = std::net::TcpStream::connect(server.local_addr()).unwrap();
    let request = b"GET /debug/pprof/heap HTTP/1.1\r\nHost: a\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).unwrap();
    let reply = super::rig::reply(&mut stream, false).unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("starting or ending"), "{}", reply.text());
}
