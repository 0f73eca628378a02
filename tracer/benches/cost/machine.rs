//! The machine that the numbers are of, and how busy it is.

use std::fs;

/// Date, kernel, processors.
pub(crate) fn line() -> String {
    let uname = rustix::system::uname();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!(
        "machine: {}, Linux {} {}, {} CPUs, {}; {}",
        jiff::Timestamp::now().strftime("%F"),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy(),
        std::thread::available_parallelism().map_or(0, usize::from),
        model.map_or("unknown", |(_, model)| model),
        load()
    )
}

/// How much wants to run besides us: numbers of a busy machine are worth little.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load of the last minute {}", text.split(' ').next().unwrap_or("unknown"))
}
