//! The service itself: started, asked what it counts, ended.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::{
    running::Running,
    stats::{Reading, Series},
};

const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const READING_INTERVAL: Duration = Duration::from_millis(100);

/// Ended when dropped.
pub(super) struct Service {
    running: Running,
    port: u16,
}

impl Service {
    pub(super) fn start(program: &Path, variant: &str) -> Result<Self> {
        // setpriv becomes the program under the same pid, and the kernel ends it if we are killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(program).args(["-variant", variant]).stdout(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        let stdout =
            running.child.stdout.take().context("the service has no stdout although it was asked for")?;
        let mut line = String::new();
        BufReader::new(stdout.take(4096))
            .read_line(&mut line)
            .context("failed to read what the service says")?;
        let hello: Value = serde_json::from_str(&line)
            .with_context(|| format!("{} did not say where it is but {line:?}", program.display()))?;
        let port = hello["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        if hello["pid"].as_u64() != Some(u64::from(running.pid())) {
            bail!("{} is not the process that was started: {line:?}", program.display());
        }
        Ok(Self {
            running,
            port: port.with_context(|| format!("the service does not say its port: {line:?}"))?,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The page that is put under load.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/items", self.port)
    }

    /// CPU time of its threads so far.
    ///
    /// Source: the kernel's `Documentation/scheduler/sched-stats.rst`, "/proc/<pid>/schedstat".
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let tasks = format!("/proc/{}/task", self.pid());
        let mut sum_ns = 0;
        for task in
            fs::read_dir(&tasks).with_context(|| format!("failed to list {tasks}; has the service ended?"))?
        {
            // A thread that ends just now takes little with it.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let run_ns = text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
            sum_ns += run_ns.with_context(|| format!("schedstat below {tasks} says {text:?}"))?;
        }
        Ok(sum_ns as f64 / 1e9)
    }

    /// How many it has answered so far.
    pub(super) fn requests(&self) -> Result<u64> {
        Ok(Reading::parse(&get(self.port, "/stats?memstats=no")?)?.requests)
    }

    /// Asks it ten times a second what it counts, until the watch is ended. MemStats is not asked for: that would stop the
    /// program and empty the processors' counters, which is what tracer does not do.
    pub(super) fn watch(&self) -> Watch {
        let (port, end) = (self.port, Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&end);
        let thread = thread::spawn(move || {
            let mut readings: Vec<Reading> = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let after = readings.last().map_or(0, |reading| reading.gc_cycles);
                let text = get(port, &format!("/stats?memstats=no&after={after}"))?;
                readings.push(Reading::parse(&text)?);
                thread::sleep(READING_INTERVAL);
            }
            Ok(Series::new(readings))
        });
        Watch { thread, end }
    }
}

/// Readings that are being taken.
pub(super) struct Watch {
    thread: JoinHandle<Result<Series>>,
    end: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn end(self) -> Result<Series> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_panic| anyhow!("the thread that reads /stats has panicked"))?
    }
}

/// The body of a page of this machine.
fn get(port: u16, page: &str) -> Result<String> {
    let context = || format!("failed to get {page} of the service; has it ended?");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT).with_context(context)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    // HTTP/1.0: the answer is not in chunks and ends with the connection.
    stream.write_all(format!("GET {page} HTTP/1.0\r\n\r\n").as_bytes()).with_context(context)?;
    let mut answer = String::new();
    stream.take(1 << 20).read_to_string(&mut answer).with_context(context)?;
    body(&answer).map(str::to_owned).with_context(context)
}

fn body(answer: &str) -> Result<&str> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is cut off")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("it answers {status:?}");
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_has_a_body() {
        assert_eq!(body("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}").unwrap(), "{}");
        assert!(body("HTTP/1.0 400 Bad Request\r\n\r\nno").is_err());
        assert!(body("HTTP/1.0 200 OK\r\nA: b").is_err());
        assert!(body("").is_err());
    }

    #[test]
    fn what_is_no_service_is_not_started_and_not_left_behind() {
        let error = Service::start(Path::new("/bin/echo"), "nil").err().expect("echo serves nothing");
        assert!(format!("{error:#}").contains("/bin/echo did not say where it is"), "{error:#}");
    }
}
