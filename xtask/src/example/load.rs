//! Load by real tools: wrk for as much as goes, hey for a fixed rate, and what they say.
//!
//! Neither can do both. wrk's cost is small beside the service's, but it has no rate, and under as much load as goes a
//! latency is the length of a queue. hey keeps a rate, which makes the latencies of two variants comparable, and lists every
//! request with its moment; but it costs as much as the service.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};

use super::running::Running;
use crate::process::output;

const CONNECTIONS: u32 = 16;
const END_LIMIT: Duration = Duration::from_secs(30);
/// hey keeps no more than its first million requests.
pub(super) const REQUESTS_MAX: u64 = 900_000;

/// Nanoseconds since 1970.
pub(super) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Requests per second when 16 connections ask as fast as they are answered.
pub(super) fn saturate(url: &str, duration: Duration) -> Result<f64> {
    let seconds = duration.as_secs().max(1);
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency", url]);
    let text = output(&mut wrk).context("wrk is Debian's package wrk")?;
    parse_wrk(&text).with_context(|| format!("wrk says:\n{text}"))
}

fn parse_wrk(text: &str) -> Result<f64> {
    for bad in ["Socket errors:", "Non-2xx or 3xx responses:"] {
        if let Some(line) = text.lines().find(|line| line.trim_start().starts_with(bad)) {
            bail!("not every request was answered: {}", line.trim());
        }
    }
    let rate = text.lines().find_map(|line| line.trim_start().strip_prefix("Requests/sec:"));
    let rate: f64 = rate.context("no line Requests/sec")?.trim().parse().context("no number of requests")?;
    if rate <= 0.0 {
        bail!("no request was answered");
    }
    Ok(rate)
}

/// hey at work.
pub(super) struct Hey {
    running: Running,
    answers: PathBuf,
    started_ns: i64,
}

impl Hey {
    /// Asks so often a second, until it is ended or after `limit`.
    pub(super) fn start(url: &str, rate: u32, limit: Duration, folder: &Path) -> Result<Self> {
        let answers = folder.join("hey.csv");
        let file =
            File::create(&answers).with_context(|| format!("failed to create {}", answers.display()))?;
        let each = f64::from(rate) / f64::from(CONNECTIONS);
        let mut hey = Command::new("setpriv");
        hey.args(["--pdeathsig", "TERM", "hey", "-o", "csv", "-c", &CONNECTIONS.to_string()])
            .args(["-q", &format!("{each}"), "-z", &format!("{}s", limit.as_secs()), url])
            .stdout(file);
        let started_ns = now_ns();
        let running = Running::start(&mut hey).context("hey is Debian's package hey")?;
        Ok(Self { running, answers, started_ns })
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Result<Answers> {
        if let Some(status) = self.running.child.try_wait()? {
            bail!("hey has ended before it was asked to ({status})");
        }
        self.running.signal("INT");
        let status = self.running.wait(END_LIMIT)?;
        let text = fs::read_to_string(&self.answers).context("failed to read what hey has written")?;
        if !status.success() {
            bail!("hey failed ({status}): {text}");
        }
        parse_hey(&text, self.started_ns)
    }
}

/// When each request was sent, since 1970, and seconds until its answer was there.
#[derive(Debug)]
pub(super) struct Answers(Vec<(i64, f64)>);

/// Latencies have 0.1 ms, moments are those of hey's start and some milliseconds.
fn parse_hey(text: &str, started_ns: i64) -> Result<Answers> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        header.iter().position(|column| *column == name).with_context(|| format!("hey's list has no {name}"))
    };
    let (time, status, offset) = (column("response-time")?, column("status-code")?, column("offset")?);
    let mut answers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (Some(time), Some(offset), Some(&status)) = (number(time), number(offset), fields.get(status))
        else {
            bail!("hey's list has a line {line:?}");
        };
        if status != "200" {
            bail!("the service has answered {status}");
        }
        answers.push((started_ns.saturating_add((offset * 1e9) as i64), time));
    }
    Ok(Answers(answers))
}

impl Answers {
    /// A quantile of the latencies of those that were sent between two moments: the nearest rank. `None` if none was.
    pub(super) fn quantile(&self, share: f64, from_ns: i64, to_ns: i64) -> Option<f64> {
        let inside = self.0.iter().filter(|(at, _)| (from_ns..to_ns).contains(at));
        let mut times: Vec<f64> = inside.map(|&(_, time)| time).collect();
        times.sort_by(f64::total_cmp);
        let rank = (share * times.len() as f64).ceil().max(1.0) as usize;
        times.get(rank - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 2s test @ http://127.0.0.1:45403/items
  1 threads and 16 connections
  Latency Distribution
     99%    7.53ms
  80143 requests in 2.10s, 12.13MB read
Requests/sec:  38085.46
Transfer/sec:      5.76MB
";

    #[test]
    fn the_rate_of_wrk_is_read_and_its_errors_are_errors() {
        assert!((parse_wrk(WRK).unwrap() - 38_085.46).abs() < 1e-9);
        for bad in
            ["  Socket errors: connect 0, read 3, write 0, timeout 0\n", "  Non-2xx or 3xx responses: 7\n"]
        {
            assert!(parse_wrk(&format!("{WRK}{bad}")).unwrap_err().to_string().contains(bad.trim()));
        }
        assert!(parse_wrk("").is_err());
        assert!(parse_wrk("Requests/sec:  0.00").is_err());
    }

    const HEY: &str =
        "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset
0.0025,0.0001,0.0000,0.0001,0.0022,0.0001,200,0.0293
0.0005,0.0002,0.0000,0.0001,0.0023,0.0000,200,0.5000
0.0010,0.0002,0.0000,0.0001,0.0023,0.0000,200,0.6000
0.0480,0.0000,0.0000,0.0000,0.0006,0.0000,200,2.0082
";

    #[test]
    fn a_quantile_is_of_the_requests_of_its_window() {
        let answers = parse_hey(HEY, 1_000_000_000).unwrap();
        let (start, second) = (1_000_000_000, 1_000_000_000);
        let p99 = |from, to| answers.quantile(0.99, start + from * second, start + to * second);
        assert_eq!(p99(0, 3), Some(0.048));
        assert_eq!(p99(0, 2), Some(0.0025));
        assert_eq!(answers.quantile(0.5, start, start + 2 * second), Some(0.001));
        assert_eq!(p99(5, 9), None);
    }

    #[test]
    fn a_list_of_hey_with_a_failure_or_another_shape_is_refused() {
        for text in [
            "",
            "response-time,offset\n0.1,0.2\n",
            &HEY.replace(",200,2.0082", ",500,2.0082"),
            &HEY.replace("0.0480,", "fast,"),
            "Summary:\n",
        ] {
            assert!(parse_hey(text, 0).is_err(), "{text}");
        }
    }
}
