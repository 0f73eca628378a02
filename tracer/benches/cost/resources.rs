//! What a process of ours has used, read from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use procfs::process::Process;

/// Between two looks at a process that is about to end: as exact as its end is known.
const POLL: Duration = Duration::from_millis(1);
/// Between two looks at a process that has something to do; its own timer comes every 100 ms.
const LOOK: Duration = Duration::from_millis(120);
/// CPU time between two looks of a process that only looks round.
const IDLE: Duration = Duration::from_millis(3);
/// Looks at a process that is never idle.
const LOOKS: u32 = 40;
const KIB: u64 = 1024;

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time of all its threads; the kernel says it in ticks of 10 ms.
    pub(crate) cpu: Duration,
    /// Its largest resident set.
    pub(crate) peak_resident_bytes: u64,
}

/// Of a process that runs or is not yet waited for.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let process = process(pid)?;
    let stat = process.stat().context("failed to read a CPU time")?;
    let ticks = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    let peak_kib = process.status().context("failed to read a resident set")?.vmhwm.unwrap_or(0);
    Ok(Usage { cpu: Duration::from_secs_f64(ticks), peak_resident_bytes: peak_kib * KIB })
}

/// CPU time of all threads that a process has now, without the ticks of [`Usage`].
///
/// A thread that ends takes its time with it, so this is for processes that keep their threads.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let on_processor = text.split(' ').next().context("the kernel keeps no schedstat")?;
        nanoseconds += on_processor.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Memory of a process that is its own alone: neither mapped files nor BPF maps.
pub(crate) fn anonymous_bytes(pid: u32) -> Result<u64> {
    let kib = process(pid)?.status().context("failed to read a resident set")?.rssanon;
    Ok(kib.context("the kernel does not say what is anonymous")? * KIB)
}

/// Its resident set now.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let kib = process(pid)?.status().context("failed to read a resident set")?.vmrss;
    Ok(kib.context("the kernel does not say what is resident")? * KIB)
}

/// Whether a process has not ended yet.
pub(crate) fn is_running(pid: u32) -> bool {
    process(pid).and_then(|process| Ok(process.stat()?)).is_ok_and(|stat| stat.state != 'Z')
}

/// Waits until a process has nothing to do: longer than any of its timers, and without CPU time to speak of.
pub(crate) fn wait_until_idle(pid: u32) -> Result<()> {
    let mut before = cpu_time(pid)?;
    for _ in 0..LOOKS {
        thread::sleep(LOOK);
        let now = cpu_time(pid)?;
        if now.saturating_sub(before) < IDLE {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// The last usage of a child that is about to end. It must not be waited for meanwhile: a zombie keeps its times.
pub(crate) fn usage_until_exit(pid: u32, mut last: Usage) -> Result<Usage> {
    loop {
        let now = usage(pid)?;
        // A zombie has no memory any more.
        let peak_resident_bytes = now.peak_resident_bytes.max(last.peak_resident_bytes);
        last = Usage { peak_resident_bytes, ..now };
        if process(pid)?.stat()?.state == 'Z' {
            return Ok(Usage { cpu: usage(pid)?.cpu, ..last });
        }
        thread::sleep(POLL);
    }
}

/// Memory that the kernel charges for the BPF maps whose descriptors a process holds (`memlock` in fdinfo).
pub(crate) fn map_bytes(pid: u32) -> Result<u64> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).context("failed to list tracer's maps")? {
        // A descriptor may be closed meanwhile.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<u64>().ok()
        };
        if let (Some(_), Some(id), Some(bytes)) = (field("map_type:"), field("map_id:"), field("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    Ok(maps.values().sum())
}

fn process(pid: u32) -> Result<Process> {
    Process::new(i32::try_from(pid)?).with_context(|| format!("process {pid} is gone"))
}
