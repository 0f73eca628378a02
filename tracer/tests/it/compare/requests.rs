//! `--requests` by a query: a server that answers as Prometheus does, in each of the ways that it or its place can fail.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::runs::{Pair, Release};
use super::{compare, document, refused};

const QUERY: &str = "sum(rate(requests_total[$duration]))";

/// A server that gives this answer to each request, and tells what was asked; without an answer it says nothing.
struct Fake {
    url: String,
    asked: Receiver<String>,
}

impl Fake {
    fn new(answer: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let url = format!("http://{}/prom/", listener.local_addr().expect("it is bound"));
        let (tell, asked) = channel();
        // It ends with the test's process: nothing waits for it.
        thread::spawn(move || {
            let mut silent: Vec<TcpStream> = Vec::new();
            for stream in listener.incoming().flatten() {
                let Some(answer) = &answer else {
                    silent.push(stream);
                    continue;
                };
                let mut lines = BufReader::new(&stream).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                let _ = lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
                let _ = (&stream).write_all(answer.as_bytes());
                if tell.send(first).is_err() {
                    return;
                }
            }
        });
        Self { url, asked }
    }

    fn answering(status: &str, body: &str) -> Self {
        let length = body.len();
        Self::new(Some(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )))
    }

    fn vector(values: &[&str]) -> Self {
        let samples: Vec<String> = values
            .iter()
            .map(|value| format!("{{\"metric\":{{}},\"value\":[1700000000.5,\"{value}\"]}}"))
            .collect();
        let samples = samples.join(",");
        let body = format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[{samples}]}}}}"
        );
        Self::answering("200 OK", &body)
    }
}

fn pair() -> Pair {
    Pair::new(Release::default(), Release::default())
}

/// Check the window that is asked about, and that the rate is what amounts are divided by.
#[test]
fn a_query_is_a_rate_over_the_window_of_the_profiles() {
    let (pair, prometheus) = (pair(), Fake::vector(&["50"]));
    let (document, code) =
        document(&pair.base(), &pair.canary(), &["--requests", QUERY, "--prometheus", &prometheus.url]);
    assert_eq!(code, Some(0), "{}", document["decision"]);
    // All five runs have the same time: 60 s of 50 requests a second, once.
    assert_eq!(document["base"]["exposure"].as_f64().map(f64::round), Some(3000.0));
    let asked: Vec<String> = prometheus.asked.try_iter().collect();
    assert_eq!(asked.len(), 2, "once a side: {asked:?}");
    for line in asked {
        assert!(
            line.starts_with("GET /prom/api/v1/query?query=sum%28rate%28requests_total%5B60s%5D%29%29&time="),
            "{line}"
        );
    }
}

/// Check that one query is no number of either side while both are observed at once.
#[test]
fn one_query_of_two_sides_at_the_same_time_is_refused() {
    let (pair, prometheus) = (pair(), Fake::vector(&["50"]));
    let options = ["--requests", QUERY, "--prometheus", &prometheus.url];
    let outcome = compare(pair.base(), pair.base(), &options);
    refused(&outcome, 2, &["counts the requests of both sides", "--requests-base and --requests-canary"]);
    assert_eq!(prometheus.asked.try_iter().count(), 0, "nobody is asked");
}

/// Check each answer that is no rate.
#[test]
fn an_answer_that_is_no_rate_is_refused_with_the_reason() {
    let pair = pair();
    let check = |prometheus: Fake, parts: &[&str]| {
        let options = ["--requests", QUERY, "--prometheus", &prometheus.url];
        let outcome = compare(pair.base(), pair.canary(), &options);
        refused(&outcome, 1, &["failed to ask Prometheus at http://127.0.0.1:", "requests_total[60s]"]);
        for part in parts {
            assert!(outcome.stderr.contains(part), "{part} in {}", outcome.stderr);
        }
    };
    check(Fake::vector(&[]), &["it has no such series at "]);
    check(Fake::vector(&["1", "2"]), &["it has 2 series. Put sum("]);
    check(Fake::vector(&["0"]), &["it is 0 a second"]);
    check(Fake::vector(&["NaN"]), &["it is NaN a second"]);
    let error =
        "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"1:5: parse error: unexpected end\"}";
    check(Fake::answering("400 Bad Request", error), &["parse error: unexpected end. Try the query"]);
    check(
        Fake::answering("404 Not Found", "<html>nothing here</html>"),
        &["404 Not Found: <html>", "before /api/v1"],
    );
    check(Fake::answering("401 Unauthorized", ""), &["401 Unauthorized", "before /api/v1"]);
    let matrix = "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}";
    check(Fake::answering("200 OK", matrix), &["it is no number. Use a rate"]);
    check(Fake::new(Some("SSH-2.0-OpenSSH_9.2\r\n".to_owned())), &["it speaks no HTTP/1.1"]);
    check(
        Fake::new(Some("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_owned())),
        &["its answer broke off"],
    );
}

/// Check that nobody there is said at once.
#[test]
fn a_port_where_nobody_listens_is_refused_at_once() {
    let (pair, since) = (pair(), Instant::now());
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let url = format!("http://127.0.0.1:{port}");
    let outcome = compare(pair.base(), pair.canary(), &["--requests", QUERY, "--prometheus", &url]);
    refused(
        &outcome,
        1,
        &["failed to ask Prometheus", "Connection refused", "--requests also takes numbers"],
    );
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

/// Check that a server which says nothing is not waited for without end.
#[test]
fn a_server_that_says_nothing_is_not_waited_for_long() {
    let (pair, prometheus, since) = (pair(), Fake::new(None), Instant::now());
    let outcome =
        compare(pair.base(), pair.canary(), &["--requests", QUERY, "--prometheus", &prometheus.url]);
    refused(&outcome, 1, &["failed to ask Prometheus", "no answer within 10 s"]);
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}
