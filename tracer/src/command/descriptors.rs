//! As many open files as this process may have: every mapped file and every probe is one.

use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The limit that this process was started with.
static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit to the most that is allowed without asking anybody.
pub(super) fn raise() {
    let original = *ORIGINAL.get_or_init(|| getrlimit(Resource::Nofile));
    // Where it stays, the first file too many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: original.maximum, ..original });
}

/// Gives a child that is about to become another program the limit that it would have had without the tracer.
pub(super) fn restore_for(child: Pid) {
    if let Some(original) = ORIGINAL.get() {
        // It may have ended.
        let _ = prlimit(Some(child), Resource::Nofile, *original);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_the_limit_that_the_tracer_was_started_with() {
        let before = getrlimit(Resource::Nofile);
        raise();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("`sleep` is everywhere");
        let pid = Pid::from_child(&child);
        restore_for(pid);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("it runs");
        let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("it has that limit");
        let soft = line.split_whitespace().nth(3).and_then(|text| text.parse().ok());
        assert_eq!(soft, before.current, "{line}");
        drop(child.kill());
        drop(child.wait());
    }
}
