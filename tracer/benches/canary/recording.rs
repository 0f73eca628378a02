//! What processes of a service really did: every allocation of each window, by call site.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tracer::frame::Frames;
use tracer::model::snapshot::Snapshot;
use tracer::view::read;

use crate::arguments::{Arguments, UNITS};
use crate::service::Service;

/// Site and percent: what the canary has more of. None is among the ten heaviest, all are above 0.3 % of the calls.
pub(crate) const PLANTED: [(usize, u32); 4] = [(40, 1), (45, 2), (50, 5), (55, 20)];

/// Every process of both releases.
pub(crate) struct Recording {
    /// The call sites of all; a window names them by their place here.
    pub(crate) sites: Vec<Frames>,
    /// Where each of [`PLANTED`] is among them.
    pub(crate) planted: [usize; 4],
    /// Twice as many as a side has: two sides of one release can be drawn of them.
    pub(crate) base: Vec<Process>,
    /// Of the release with [`PLANTED`].
    pub(crate) canary: Vec<Process>,
}

/// The windows of a process.
#[derive(Default)]
pub(crate) struct Process(pub(crate) Vec<Window>);

/// What a process did in some seconds.
#[derive(Clone, Default)]
pub(crate) struct Window {
    pub(crate) seconds: f64,
    pub(crate) requests: f64,
    /// By site; a site that is not there has done nothing.
    pub(crate) counts: BTreeMap<usize, Count>,
}

/// Allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

impl Recording {
    /// Starts the processes, and records them all at once.
    pub(crate) fn make(name: &str, program: &Path, arguments: &Arguments) -> Result<Self> {
        let changes: Vec<String> =
            PLANTED.iter().map(|(site, percent)| format!("{site}={percent}")).collect();
        let start = |seed: usize| {
            let args = if seed < 2 * UNITS { &[][..] } else { &changes[..] };
            Service::start(program, seed, args, arguments.requests)
        };
        let services: Vec<Service> = (0..3 * UNITS).map(start).collect::<Result<_>>()?;
        thread::sleep(Duration::from_secs(2));
        let mut catalog = Catalog::default();
        let mut processes: Vec<Process> = services.iter().map(|_| Process::default()).collect();
        for window in 0..arguments.windows {
            eprintln!("{name}: window {} of {}", window + 1, arguments.windows);
            record(&services, arguments, &mut catalog, &mut processes)?;
        }
        let canary = processes.split_off(2 * UNITS);
        Ok(Self { planted: catalog.planted()?, sites: catalog.frames, base: processes, canary })
    }

    /// Bytes of each site in the base, largest first, as shares of their sum.
    pub(crate) fn shares(&self) -> Vec<(usize, f64)> {
        let mut bytes = vec![0_u64; self.sites.len()];
        for (&site, count) in
            self.base.iter().flat_map(|process| &process.0).flat_map(|window| &window.counts)
        {
            bytes[site] += count.bytes;
        }
        let sum: u64 = bytes.iter().sum();
        let mut shares: Vec<(usize, f64)> =
            bytes.iter().enumerate().map(|(site, &bytes)| (site, bytes as f64 / sum as f64)).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }
}

/// One window of all processes.
fn record(
    services: &[Service],
    arguments: &Arguments,
    catalog: &mut Catalog,
    processes: &mut [Process],
) -> Result<()> {
    let file = arguments.folder.join("window.json");
    let mut tracer = Command::new(&arguments.tracer);
    tracer.args([
        "attach",
        "--quiet",
        "--mode",
        "alloc",
        "--duration",
        &format!("{}s", arguments.window_seconds),
    ]);
    for service in services {
        tracer.args(["--pid", &service.pid().to_string()]);
    }
    let status = tracer.arg("-o").arg(&file).args(["--format", "json"]).status();
    let status = status.with_context(|| format!("failed to start {}", arguments.tracer.display()))?;
    if !status.success() {
        bail!("{tracer:?} failed ({status})");
    }
    let bytes = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let snapshot = read::open(&bytes).with_context(|| format!("failed to read {}", file.display()))?;
    for (service, process) in services.iter().zip(processes) {
        let mut window = catalog.window(&snapshot, service.pid());
        if window.requests == 0.0 {
            bail!("no request of process {} was seen: {:?}", service.pid(), snapshot.quality);
        }
        window.seconds = snapshot.attached_seconds;
        process.0.push(window);
    }
    Ok(())
}

/// The call sites seen so far, by the names of their functions.
#[derive(Default)]
struct Catalog {
    numbers: BTreeMap<Vec<String>, usize>,
    frames: Vec<Frames>,
}

impl Catalog {
    /// What a process has done, by site, and how many requests that was.
    fn window(&mut self, snapshot: &Snapshot, pid: u32) -> Window {
        let mut window = Window::default();
        for site in snapshot.sites.iter().filter(|site| site.pid == pid) {
            let name = |function: &Option<String>| function.clone().unwrap_or_default();
            let names: Vec<String> = site.frames.iter().map(|frame| name(&frame.function)).collect();
            if names.iter().any(|name| name == "begin_request" || name == "main.beginRequest") {
                window.requests += site.alloc_objects as f64;
            }
            let next = self.frames.len();
            let number = *self.numbers.entry(names).or_insert(next);
            if number == next {
                self.frames.push(site.frames.clone());
            }
            let count = window.counts.entry(number).or_default();
            count.objects += site.alloc_objects;
            count.bytes += site.alloc_bytes;
        }
        window
    }

    fn planted(&self) -> Result<[usize; 4]> {
        let mut found = [0; 4];
        for ((site, _), place) in PLANTED.iter().zip(&mut found) {
            let names = [format!("site<{site}>"), format!("main.site{site}")];
            let is_it = |frames: &Frames| {
                let mut functions = frames.iter().filter_map(|frame| frame.function.as_deref());
                functions.any(|function| function == names[1] || function.contains(&names[0]))
            };
            *place =
                self.frames.iter().position(is_it).with_context(|| format!("site {site} was not seen"))?;
        }
        Ok(found)
    }
}
