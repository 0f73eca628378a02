//! Clients that mean no good, or do not know better.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tracer::model::node::{Node, NodeTarget};
use tracer::serve::http::HttpOptions;
use tracer::serve::shared::Refusal;

use super::rig::{Rig, document, eventually, node, options, reply};

/// Half a second for everything.
fn hasty() -> HttpOptions {
    HttpOptions { timeout: Duration::from_millis(500), ..options() }
}

fn is_closed(stream: &mut TcpStream) -> bool {
    !matches!(stream.read(&mut [0; 4096]), Ok(1..))
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    let rig = Rig::new(hasty());
    let (mut drips, mut silent) = (rig.connect(), rig.connect());
    drips.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(400) {
        drips.write_all(b"X-A: b\r\n").unwrap();
        assert_eq!(rig.get("/livez").status, 200, "others are answered");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(is_closed(&mut drips) && is_closed(&mut silent));
    rig.expect_refused(Refusal::Timeout, 2);
}

#[test]
fn a_connection_that_is_kept_and_idle_ends_uncounted() {
    let rig = Rig::new(hasty());
    let mut stream = rig.connect();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(reply(&mut stream, false).unwrap().status, 200);
    let start = Instant::now();
    assert!(is_closed(&mut stream));
    assert!(start.elapsed() < Duration::from_secs(2));
    thread::sleep(Duration::from_millis(50));
    assert_eq!(rig.refused(Refusal::Timeout), 0);
}

#[test]
fn a_huge_header_is_refused() {
    let rig = Rig::new(options());
    let mut stream = rig.connect();
    let line = format!("GET /livez HTTP/1.1\r\nX-Big: {}\r\n\r\n", "x".repeat(20_000));
    // It may be closed before all is written.
    let _ = stream.write_all(line.as_bytes());
    if let Some(reply) = reply(&mut stream, false) {
        assert_eq!(reply.status, 431);
    }
    rig.expect_refused(Refusal::TooLarge, 1);
}

#[test]
fn what_is_not_http_is_refused() {
    let rig = Rig::new(options());
    for (count, bytes) in
        [(1, &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n"[..]), (2, b"GET\r\n\r\n")]
    {
        let mut stream = rig.connect();
        stream.write_all(bytes).unwrap();
        if let Some(reply) = reply(&mut stream, false) {
            assert_eq!(reply.status, 400);
        }
        rig.expect_refused(Refusal::Malformed, count);
    }
}

#[test]
fn other_methods_and_bodies_are_refused() {
    let rig = Rig::new(options());
    let post = rig.request("POST /targets HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
    rig.expect_refused(Refusal::Method, 1);
    let rig = Rig::new(options());
    for body in ["Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"] {
        assert_eq!(rig.request(&format!("GET /livez HTTP/1.1\r\nHost: a\r\n{body}")).status, 413);
    }
    assert_eq!(rig.request("GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").status, 200);
    rig.expect_refused(Refusal::TooLarge, 2);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let rig = Rig::new(options());
    let mut stream = rig.connect();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let requests = ["/livez", "/nothing", "/readyz", "/livez"].map(request).concat();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut input = BufReader::new(stream);
    let statuses: Vec<u16> = (0..4).map(|_| reply(&mut input, false).unwrap().status).collect();
    assert_eq!(statuses, [200, 404, 503, 200]);
}

#[test]
fn an_answer_that_is_not_taken_is_broken_off() {
    let rig = Rig::new(HttpOptions { timeout: Duration::from_secs(1), ..options() });
    // More than the kernel keeps for both sides.
    let target = NodeTarget { comm: "x".repeat(64 << 20), ..NodeTarget::default() };
    rig.shared.publish(Node { targets: vec![target], ..node(&[]) });
    let mut stream = rig.connect();
    stream.write_all(b"GET /targets HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    rig.expect_refused(Refusal::Timeout, 1);
    assert_eq!(rig.get("/livez").status, 200);
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let rig = Rig::new(HttpOptions { max_connections: 3, ..options() });
    let _held: Vec<TcpStream> = (0..3).map(|_| rig.connect()).collect();
    let mut beyond = rig.connect();
    assert!(is_closed(&mut beyond));
    rig.expect_refused(Refusal::Connections, 1);
}

#[test]
fn connections_that_say_nothing_make_room() {
    let rig = Rig::new(HttpOptions { max_connections: 3, ..options() });
    let mut held: Vec<TcpStream> = (0..3).map(|_| rig.connect()).collect();
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(rig.get("/livez").status, 200);
    assert!(is_closed(&mut held[0]), "the oldest");
    rig.expect_refused(Refusal::Timeout, 1);
}

#[test]
fn metrics_have_a_place_when_profiles_take_all_others() {
    let (rig, id) =
        Rig::with(HttpOptions { max_requests: 2, ..options() }, vec![document("live-leaky.json")]);
    let profile = format!("GET /targets/{id}/debug/pprof/heap?seconds=60 HTTP/1.1\r\nHost: a\r\n\r\n");
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = rig.connect();
            stream.write_all(profile.as_bytes()).unwrap();
            stream
        })
        .collect();
    eventually(|| rig.says.lock().unwrap().asked == 2, "both are under way");
    let busy = rig.get("/targets");
    assert_eq!((busy.status, busy.header("retry-after")), (503, "1"));
    assert_eq!((rig.get("/metrics").status, rig.get("/livez").status), (200, 200));
    rig.expect_refused(Refusal::Busy, 1);
    // Who has gone gives the place back.
    drop(held);
    eventually(|| rig.get("/targets").status == 200, "a place is free");
}

#[test]
fn a_loop_that_does_not_answer_is_not_waited_for() {
    let (rig, id) = Rig::with(hasty(), vec![document("live-leaky.json")]);
    rig.says.lock().unwrap().pause = Duration::from_secs(2);
    let reply = rig.get(&format!("/targets/{id}/debug/pprof/heap"));
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("in time"), "{}", reply.text());
    rig.expect_refused(Refusal::Timeout, 1);
}

/// Every one of a thousand is answered, or its refusal is counted; scrapes go on all the while.
#[test]
fn a_flood_is_answered_or_counted_and_scrapes_go_on() {
    const THREADS: u64 = 20;
    const EACH: u64 = 50;
    let options = HttpOptions { max_connections: 256, timeout: Duration::from_secs(10), ..options() };
    let (rig, id) = Rig::with(options, vec![document("live-leaky.json")]);
    let rig = Arc::new(rig);
    let request = Arc::new(format!(
        "GET /targets/{id}/debug/pprof/heap HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    ));
    let mut scraper = rig.connect();
    let is_over = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_over);
    let scrapes = thread::spawn(move || {
        let mut scrapes = 0;
        while !flag.load(Ordering::Relaxed) {
            scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            assert_eq!(reply(&mut scraper, false).expect("an answer").status, 200);
            scrapes += 1;
        }
        scrapes
    });
    let counts: Arc<[AtomicU64; 3]> = Arc::default();
    let clients: Vec<_> = (0..THREADS)
        .map(|_| {
            let (rig, request, counts) = (Arc::clone(&rig), Arc::clone(&request), Arc::clone(&counts));
            thread::spawn(move || {
                let mut streams: Vec<TcpStream> = (0..EACH).map(|_| rig.connect()).collect();
                for stream in &mut streams {
                    // It may be closed already.
                    let _ = stream.write_all(request.as_bytes());
                }
                for stream in &mut streams {
                    let at = match reply(stream, false).map(|reply| reply.status) {
                        Some(200) => 0,
                        Some(503) => 1,
                        Some(status) => panic!("{status}"),
                        None => 2,
                    };
                    counts[at].fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    is_over.store(true, Ordering::Relaxed);
    let scrapes: u64 = scrapes.join().unwrap();
    let [answered, busy, closed] = [0, 1, 2].map(|at| counts[at].load(Ordering::Relaxed));
    assert_eq!(answered + busy + closed, THREADS * EACH);
    assert!(answered > 0 && scrapes > 0, "{answered} answers, {scrapes} scrapes");
    assert_eq!(busy, rig.refused(Refusal::Busy));
    let counted = rig.refused(Refusal::Connections) + rig.refused(Refusal::Timeout);
    assert!(closed <= counted, "{closed} closed, {counted} counted");
    assert_eq!(rig.get("/metrics").status, 200);
}
