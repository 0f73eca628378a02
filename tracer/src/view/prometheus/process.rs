//! What the daemon itself uses, as `/proc/self` says.

use procfs::process::{LimitValue, Process};

use super::ProcessUsage;

impl ProcessUsage {
    /// At this moment. What cannot be read stays 0.
    #[must_use]
    pub fn read() -> Self {
        let mut usage = Self::default();
        let Ok(process) = Process::myself() else { return usage };
        if let Ok(stat) = process.stat() {
            usage.cpu_seconds = seconds(stat.utime + stat.stime);
            usage.resident_bytes = stat.rss * procfs::page_size();
            usage.virtual_bytes = stat.vsize;
            usage.threads = u64::try_from(stat.num_threads).unwrap_or_default();
            if let Ok(boot_seconds) = procfs::boot_time_secs() {
                usage.start_time_seconds = boot_seconds as f64 + seconds(stat.starttime);
            }
        }
        if let Ok(count) = process.fd_count() {
            usage.open_fds = count as u64;
        }
        if let Ok(limits) = process.limits() {
            usage.max_fds = match limits.max_open_files.soft_limit {
                LimitValue::Value(fds) => fds,
                LimitValue::Unlimited => u64::MAX,
            };
        }
        usage
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = ProcessUsage::read();
        assert!(usage.resident_bytes > 0 && usage.virtual_bytes > usage.resident_bytes, "{usage:?}");
        assert!(usage.threads > 0 && usage.open_fds > 0 && usage.max_fds >= usage.open_fds, "{usage:?}");
        let now = jiff::Timestamp::now().as_second() as f64;
        assert!((now - 86_400.0..=now + 1.0).contains(&usage.start_time_seconds), "{usage:?}");
    }
}
