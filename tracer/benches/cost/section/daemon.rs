//! Section `daemon`: what the daemon needs for a node's processes, and how soon it answers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::arguments::Arguments;
use crate::daemon::{self, Daemon};
use crate::fleet::Fleet;
use crate::resources;
use crate::table::{format, head, mebibytes, milliseconds};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";
const GZIP: &str = "Accept-Encoding: gzip\r\n";
const ALL: &str = "/debug/pprof/heap";
/// Between two scrapes of an idle node.
const SCRAPE_PAUSE: Duration = Duration::from_secs(5);
/// Processes that allocate as fast as they can: more than processors.
const BUSY: usize = 4;
/// How long they do, without and with requests.
const BUSY_TIME: Duration = Duration::from_secs(8);
/// What waits for an answer meanwhile, and the pause between two scrapes.
const REQUESTS: usize = 1000;
const LOADED_SCRAPE_PAUSE: Duration = Duration::from_millis(100);
/// Each has a thread, which needs little.
const STACK_BYTES: usize = 128 << 10;

/// The daemon looks once a second, and later if that takes long.
const LOOK: Duration = Duration::from_secs(3);

/// How much of it.
struct Extent {
    processes: usize,
    images: u32,
    sites: u32,
    idle: Duration,
    scrapes: usize,
}

const WHOLE: Extent =
    Extent { processes: 100, images: 5, sites: 5000, idle: Duration::from_secs(30), scrapes: 200 };
const QUICK: Extent =
    Extent { processes: 20, images: 5, sites: 1000, idle: Duration::from_secs(4), scrapes: 30 };

/// Lines of the table.
#[derive(Default)]
struct Lines(Vec<Vec<String>>);

impl Lines {
    fn add(&mut self, name: &str, value: f64, digits: usize, bound: &str) {
        let line = vec![name.to_owned(), format!("{value:.digits$}"), bound.to_owned()];
        eprintln!("daemon: {}: {}", line[0], line[1]);
        self.0.push(line);
    }

    fn memory(&mut self, when: &str, pid: u32, bound: &str) -> Result<()> {
        self.add(&format!("{when}: RSS, MiB"), mebibytes(resources::resident_bytes(pid)?), 1, "");
        let own = mebibytes(resources::anonymous_bytes(pid)?);
        self.add(&format!("{when}: RSS beside the maps and the program's file, MiB"), own, 1, bound);
        Ok(())
    }

    fn latencies(&mut self, what: &str, mut all: Vec<Duration>, bound: &str) {
        all.sort();
        let of = |share: usize| all.get((all.len() * share / 100).min(all.len() - 1)).copied();
        let value = |share| milliseconds(of(share).unwrap_or_default());
        self.add(&format!("{what}: median, ms"), value(50), 1, "");
        self.add(&format!("{what}: 99th of 100, ms"), value(99), 1, bound);
        self.add(&format!("{what}: latest of {}, ms", all.len()), value(100), 1, "");
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let extent = if arguments.is_quick { QUICK } else { WHOLE };
    let mut fleet = Fleet::start(extent.processes, extent.images)?;
    let mut lines = Lines::default();
    let since = Instant::now();
    let stacks = extent.processes as u32 * extent.sites;
    let mut daemon = Daemon::start(fleet.images(), stacks + stacks / 5)?;
    let ids = daemon.wait_for_targets(fleet.len())?;
    let (pid, port) = (daemon.pid(), daemon.port());
    lines.add("start until all count, ms", milliseconds(since.elapsed()), 0, "");
    lines.memory("before any site", pid, "")?;
    let (since, used) = (Instant::now(), resources::usage(pid)?.cpu);
    fleet.touch(extent.sites, pid)?;
    lines.add("all sites are met, in s", since.elapsed().as_secs_f64(), 1, "");
    lines.add("CPU of that, s", resources::usage(pid)?.cpu.saturating_sub(used).as_secs_f64(), 2, "");
    let metrics = settled(&daemon)?;
    lines.add("call stacks kept apart, and slots", metric(&metrics, "tracer_map_entries"), 0, "");
    lines.add("lost of them", metric(&metrics, "tracer_events_lost_total"), 0, "0");
    lines.memory("all sites known", pid, "400")?;
    lines.add("maps in the kernel, MiB", mebibytes(resources::map_bytes(pid)?), 1, "");
    idle(&mut lines, &extent, pid, port)?;
    lines.add("a look, ms", metric(&daemon.metrics()?, "tracer_look_duration_seconds") * 1e3, 1, "");
    for (what, headers) in
        [("scrape", OPEN_METRICS.to_owned()), ("scrape, gzip", [OPEN_METRICS, GZIP].concat())]
    {
        let mut seen = Vec::new();
        let mut bytes = 0;
        for _ in 0..extent.scrapes {
            let answer = daemon::get(port, "/metrics", &headers)?;
            bytes = answer.bytes.len();
            seen.push(answer.took);
            thread::sleep(Duration::from_millis(10));
        }
        lines.latencies(what, seen, "50");
        lines.add(&format!("{what}: KiB"), bytes as f64 / 1024.0, 0, "");
    }
    profiles(&mut lines, &ids, pid, port)?;
    load(&mut lines, &mut fleet, &daemon)?;
    lines.memory("at the end", pid, "400")?;
    lines.add("end, ms", milliseconds(daemon.stop()?), 0, "");
    let names = ["daemon", "seen", "bound"];
    let mut table = vec![head(&names)];
    table[0][0] =
        format!("{} processes of {} images, {} sites each", extent.processes, extent.images, extent.sites);
    table.extend(lines.0);
    print!("{}", format(&table));
    Ok(())
}

/// What it needs while nothing happens.
fn idle(lines: &mut Lines, extent: &Extent, pid: u32, port: u16) -> Result<()> {
    for is_scraped in [false, true] {
        let (since, before) = (Instant::now(), resources::usage(pid)?.cpu);
        while since.elapsed() < extent.idle {
            thread::sleep(SCRAPE_PAUSE.min(extent.idle.saturating_sub(since.elapsed())));
            if is_scraped {
                daemon::get(port, "/metrics", OPEN_METRICS)?;
            }
        }
        let used = resources::usage(pid)?.cpu.saturating_sub(before);
        let share = used.as_secs_f64() / since.elapsed().as_secs_f64() * 100.0;
        let name = if is_scraped { "idle, a scrape each 5 s: % of a core" } else { "idle: % of a core" };
        lines.add(name, share, 1, "3");
    }
    Ok(())
}

/// What a profile takes; the first one finds the names.
fn profiles(lines: &mut Lines, ids: &[String], pid: u32, port: u16) -> Result<()> {
    let one = format!("/targets/{}/debug/pprof/heap", ids.first().context("no target")?);
    for (path, what) in [(&one[..], "profile of one process"), (ALL, "profile of all")] {
        for turn in ["first", "second", "third"] {
            let answer = daemon::get(port, path, "")?;
            let status =
                if answer.status == 200 { String::new() } else { format!(", status {}", answer.status) };
            lines.add(&format!("{what}, {turn}{status}, ms"), milliseconds(answer.took), 0, "");
        }
        lines.memory(&format!("after the {what}"), pid, "400")?;
    }
    let peak = mebibytes(resources::usage(pid)?.peak_resident_bytes);
    lines.add("largest RSS so far, MiB", peak, 1, "");
    Ok(())
}

/// What a thousand requests at once do while targets allocate.
fn load(lines: &mut Lines, fleet: &mut Fleet, daemon: &Daemon) -> Result<()> {
    let lost = || Ok::<_, anyhow::Error>(metric(&settled(daemon)?, "tracer_events_lost_total"));
    let before = lost()?;
    let (made, ()) = fleet.busy(BUSY, BUSY_TIME, || {
        thread::sleep(BUSY_TIME);
        Ok(())
    })?;
    let without = lost()? - before;
    lines.add(
        &format!("{BUSY} processes allocate, 1,000 a second"),
        made as f64 / BUSY_TIME.as_secs_f64() / 1e3,
        0,
        "",
    );
    lines.add("lost of that", without, 0, "");
    let before = lost()?;
    let refused = metric(&daemon.metrics()?, "tracer_http_requests_refused_total");
    let (made, (statuses, scrapes)) = fleet.busy(BUSY, BUSY_TIME, || requests(daemon.port()))?;
    let name = format!("the same with {REQUESTS} requests at once, 1,000 a second");
    lines.add(&name, made as f64 / BUSY_TIME.as_secs_f64() / 1e3, 0, "");
    lines.add("lost of that", lost()? - before, 0, &format!("{without:.0}"));
    let refused = metric(&daemon.metrics()?, "tracer_http_requests_refused_total") - refused;
    for (status, count) in statuses {
        let what =
            if status == 0 { "closed without an answer".to_owned() } else { format!("answered {status}") };
        lines.add(&format!("… of them {what}"), count as f64, 0, "");
    }
    lines.add("… refused and counted", refused, 0, "");
    lines.latencies("scrape meanwhile", scrapes, "");
    Ok(())
}

/// A thousand at once, good and bad; what became of them by status, and the latencies of scrapes until all are done.
fn requests(port: u16) -> Result<(BTreeMap<u16, usize>, Vec<Duration>)> {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let scrapes = scope.spawn(|| {
            let (mut seen, since) = (Vec::new(), Instant::now());
            while !is_done.load(Ordering::Relaxed) || since.elapsed() < BUSY_TIME / 2 {
                // One that is refused is late too: its client asks again.
                let begin = Instant::now();
                while !daemon::get(port, "/metrics", OPEN_METRICS).is_ok_and(|answer| answer.status == 200) {
                    thread::sleep(Duration::from_millis(5));
                }
                seen.push(begin.elapsed());
                thread::sleep(LOADED_SCRAPE_PAUSE);
            }
            seen
        });
        let ask = |index| {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, move || one_of_many(port, index).unwrap_or(0))
        };
        let asked = (0..REQUESTS).map(ask).collect::<std::io::Result<Vec<_>>>()?;
        let mut statuses = BTreeMap::new();
        for thread in asked {
            *statuses.entry(thread.join().unwrap_or(0)).or_insert(0) += 1;
        }
        is_done.store(true, Ordering::Relaxed);
        Ok((statuses, scrapes.join().ok().context("the scraper has failed")?))
    })
}

/// Good requests of all kinds, and every fifth is huge, malformed or slow.
fn one_of_many(port: u16, index: usize) -> std::io::Result<u16> {
    let raw = |text: &[u8], pause: Duration| {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(text)?;
        thread::sleep(pause);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).parse().unwrap_or(0))
    };
    let huge = || [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; 64 << 10]].concat();
    match index % 15 {
        0 => raw(&huge(), Duration::ZERO),
        5 => raw(b"no HTTP at all\r\n\r\n", Duration::ZERO),
        10 => raw(b"GET / HTTP/1.1\r\nHo", Duration::from_secs(2)),
        1 | 6 => Ok(daemon::get(port, ALL, "")?.status),
        2 | 7 => Ok(daemon::get(port, "/targets", GZIP)?.status),
        3 | 8 => Ok(daemon::get(port, "/", "")?.status),
        _ => Ok(daemon::get(port, "/metrics", GZIP)?.status),
    }
}

/// What it says when it has looked again.
fn settled(daemon: &Daemon) -> Result<BTreeMap<String, f64>> {
    thread::sleep(LOOK);
    daemon.metrics()
}

/// 0 if it is not there.
fn metric(all: &BTreeMap<String, f64>, name: &str) -> f64 {
    all.get(name).copied().unwrap_or_default()
}
