//! The processes that are watched: who they are, whether they live, what they have mapped.

pub mod cgroup;
pub mod comm;
pub mod kubernetes;
pub mod labels;
pub mod loader;
pub mod mappings;
pub mod per_file;
pub mod policy;
pub mod seen;
pub mod selection;
pub mod vfork;

use std::os::fd::OwnedFd;
use std::time::Duration;

use procfs::Current as _;
use procfs::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Why a process cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is none with that pid.
    #[error("no process has pid {pid}. `ps -e` lists those that run")]
    NotFound {
        /// As given.
        pid: u32,
    },
    /// It has ended and waits to be reaped.
    #[error("process {pid} ({comm}) has ended: it is a zombie that its parent has not reaped")]
    Zombie {
        /// As given.
        pid: u32,
        /// Kernel's short name.
        comm: String,
    },
    /// The pid is a thread's.
    #[error("{pid} is a thread of process {process}. Use --pid {process}: a process is traced as a whole")]
    Thread {
        /// As given.
        pid: u32,
        /// The process.
        process: i32,
    },
    /// Its main thread has ended, and others go on.
    #[error(
        "process {pid} ({comm}) cannot be traced: its main thread has ended, and through that one a process is read"
    )]
    MainThreadEnded {
        /// As given.
        pid: u32,
        /// Kernel's short name.
        comm: String,
    },
    /// It has no user memory.
    #[error("process {pid} ({comm}) is a kernel thread: it has no malloc to trace")]
    KernelThread {
        /// As given.
        pid: u32,
        /// Kernel's short name.
        comm: String,
    },
    /// The tracer may not look at it.
    #[error("process {pid} cannot be read: {reason}. Run as root, or with CAP_SYS_PTRACE")]
    Denied {
        /// As given.
        pid: u32,
        /// The kernel's words.
        reason: String,
    },
}

/// A process, held so that its pid cannot come to mean another one.
#[derive(Debug)]
pub struct Target {
    /// In the tracer's pid namespace.
    pub pid: u32,
    /// Clock ticks since boot.
    pub start_time: u64,
    /// Kernel's short name.
    pub comm: String,
    /// Path of its program as it sees it.
    pub exe: String,
    /// Its system calls are filtered.
    pub seccomp_filtered: bool,
    pidfd: OwnedFd,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time since it started.
    pub cpu_seconds: f64,
    /// Resident set.
    pub resident_bytes: u64,
}

/// `PF_KTHREAD` of the kernel's include/linux/sched.h.
const PF_KTHREAD: u32 = 0x0020_0000;

impl Target {
    /// Looks a process up.
    ///
    /// # Errors
    ///
    /// It does not exist, has no user memory, or may not be looked at.
    pub fn open(pid: u32) -> Result<Self, TargetError> {
        let raw = i32::try_from(pid).map_err(|_| TargetError::NotFound { pid })?;
        let process = Process::new(raw).map_err(|error| proc_error(pid, &error))?;
        let stat = process.stat().map_err(|error| proc_error(pid, &error))?;
        let comm = stat.comm.clone();
        if stat.flags & PF_KTHREAD != 0 {
            return Err(TargetError::KernelThread { pid, comm });
        }
        let is_zombie = stat.state == 'Z' || stat.state == 'X';
        let status = process.status().map_err(|error| proc_error(pid, &error))?;
        if status.tgid != raw {
            return Err(TargetError::Thread { pid, process: status.tgid });
        }
        let pid_handle = Pid::from_raw(raw).ok_or(TargetError::NotFound { pid })?;
        let pidfd = pidfd_open(pid_handle, PidfdFlags::empty()).map_err(|error| match error {
            Errno::SRCH => TargetError::NotFound { pid },
            _ => TargetError::Denied { pid, reason: error.to_string() },
        })?;
        match (is_zombie, is_running(&pidfd)) {
            (true, true) => return Err(TargetError::MainThreadEnded { pid, comm }),
            (true, false) => return Err(TargetError::Zombie { pid, comm }),
            (false, _) => {}
        }
        let exe = seen::Root::of(&process).seen(&process.exe().map_err(|error| proc_error(pid, &error))?);
        // The pid may have come to mean another process while this one was read; the handle holds one of them.
        let start_time = process_stat(raw).map_err(|error| proc_error(pid, &error))?.starttime;
        if start_time != stat.starttime || !is_running(&pidfd) {
            return Err(TargetError::NotFound { pid });
        }
        Ok(Self {
            pid,
            start_time: stat.starttime,
            comm,
            exe,
            seccomp_filtered: status.seccomp == Some(2),
            pidfd,
        })
    }

    /// When it was started, seconds since 1970, to some hundredths; 0 if the kernel does not say when it booted.
    #[must_use]
    pub fn started_unix_seconds(&self) -> f64 {
        let booted = procfs::boot_time_secs().unwrap_or_default();
        booted as f64 + self.start_time as f64 / procfs::ticks_per_second() as f64
    }

    /// How long ago it was started, to some hundredths of a second; 0 if the kernel does not say how long it is up.
    #[must_use]
    pub fn age_seconds(&self) -> f64 {
        let up = procfs::Uptime::current().map_or(0.0, |uptime| uptime.uptime);
        (up - self.start_time as f64 / procfs::ticks_per_second() as f64).max(0.0)
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        is_running(&self.pidfd)
    }

    /// Its pidfd, readable when it ends.
    ///
    /// # Errors
    ///
    /// The table of open files is full.
    pub fn pidfd(&self) -> std::io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// What it has used; `None` once it is gone.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let stat = Process::new(i32::try_from(self.pid).ok()?).ok()?.stat().ok()?;
        if stat.starttime != self.start_time {
            return None;
        }
        let ticks = procfs::ticks_per_second();
        Some(Usage {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks as f64,
            resident_bytes: stat.rss * procfs::page_size(),
        })
    }
}

/// The state of whoever has the pid now.
fn process_stat(pid: i32) -> procfs::ProcResult<procfs::process::Stat> {
    Process::new(pid)?.stat()
}

/// A pidfd becomes readable when the last thread of the process has ended.
fn is_running(pidfd: &OwnedFd) -> bool {
    let now = Timespec::try_from(Duration::ZERO).ok();
    matches!(poll(&mut [PollFd::new(pidfd, PollFlags::IN)], now.as_ref()), Ok(0))
}

fn proc_error(pid: u32, error: &procfs::ProcError) -> TargetError {
    match error {
        procfs::ProcError::PermissionDenied(_) => TargetError::Denied { pid, reason: error.to_string() },
        // A process that ends while it is read has no files left: to the user it is not there.
        _ => TargetError::NotFound { pid },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_a_target_that_lives() {
        let target = Target::open(std::process::id()).expect("this process runs");
        assert!(target.is_alive());
        assert!(target.usage().is_some_and(|usage| usage.resident_bytes > 0));
    }

    #[test]
    fn a_pid_that_nobody_has_is_not_found() {
        for pid in [0, u32::MAX, 1 << 30] {
            assert!(matches!(Target::open(pid), Err(TargetError::NotFound { .. })), "{pid}");
        }
    }

    #[test]
    fn a_process_that_ended_is_a_zombie_until_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().expect("`true` is everywhere");
        let target = Target::open(child.id());
        let ended = |target: &Target| {
            let wait = Timespec::try_from(Duration::from_secs(10)).ok();
            poll(&mut [PollFd::new(&target.pidfd, PollFlags::IN)], wait.as_ref())
        };
        if let Ok(target) = &target {
            assert_eq!(ended(target), Ok(1));
            assert!(!target.is_alive());
            assert!(matches!(Target::open(child.id()), Err(TargetError::Zombie { .. })));
        }
        child.wait().expect("it is our child");
    }
}
