//! What the machine allows, found out by doing it.

use std::path::Path;

use procfs::process::Process;
use tracer_ebpf::abi::MAX_FRAMES;

use super::Check;
use crate::command::session::calibrate;
use crate::command::session::unwinding::Unwinding;
use crate::kernel::attach::Kind;
use crate::kernel::{Kernel, LoadOptions, btf, preflight, seccomp_trial};
use crate::mode::Mode;

/// Everything that was tried, and whether probes work.
pub(super) fn checks() -> (Vec<Check>, bool) {
    let uname = rustix::system::uname();
    let kernel = Check {
        name: "kernel",
        works: uname.machine().to_bytes() == b"x86_64",
        found: format!("{} {}", uname.release().to_string_lossy(), uname.machine().to_string_lossy()),
        help: (uname.machine().to_bytes() != b"x86_64").then(|| "only x86-64 can be traced yet".to_owned()),
    };
    let privileges = preflight::check_privileges();
    let is_privileged = privileges.is_ok();
    let multi = preflight::uprobe_multi();
    let kind = if multi.is_ok() { Kind::Multi } else { Kind::Perf };
    let multi = match multi {
        Ok(()) => works("uprobe_multi", "one link holds all probes of a kind".to_owned()),
        Err(reason) if !is_privileged => fails("uprobe_multi", reason, "see the lines above"),
        Err(reason) => fails(
            "uprobe_multi",
            reason,
            "perf-event uprobes are used instead: detaching takes longer, and kernels with the fix of July 2025 want \
             CAP_SYS_ADMIN for them",
        ),
    };
    let (alloc, alloc_works) = trial("mode alloc", Mode::Alloc, kind);
    // Before this process has a return probe itself: in a container it is under a filter too.
    let (seccomp, is_live_safe) = seccomp(kind);
    let live = match is_live_safe || !is_filtered() {
        true => trial("mode live", Mode::Live, kind).0,
        false => fails(
            "mode live",
            "not tried: this process is under a system call filter".to_owned(),
            "see below",
        ),
    };
    let checks = [kernel].into_iter().chain(self::privileges(privileges));
    (checks.chain([multi, alloc, live, stacks(is_privileged), seccomp, btf()]).collect(), alloc_works)
}

/// The privileges that everything needs, and what is missing of the others.
fn privileges(checked: Result<(), String>) -> Vec<Check> {
    const NAME: &str = "privileges";
    let needed = match checked {
        Ok(()) => works(NAME, "all that is needed".to_owned()),
        Err(reason) => Check { name: NAME, works: false, found: reason, help: None },
    };
    let missing = preflight::restrictions().into_iter();
    [needed]
        .into_iter()
        .chain(missing.map(|found| Check { name: NAME, works: false, found, help: None }))
        .collect()
}

/// Whether the system calls of this process are filtered.
fn is_filtered() -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.seccomp == Some(2))
}

/// How stacks are walked here.
fn stacks(is_privileged: bool) -> Check {
    let found = format!(
        "by unwind tables, {MAX_FRAMES} frames at most (x86-64; tracer has them for no other machine yet)"
    );
    if preflight::has_bpf_loop() {
        return works("stacks", found);
    }
    if !is_privileged {
        let found =
            format!("{found}; whether this kernel has bpf_loop cannot be asked without the privileges");
        return fails("stacks", found, "see the lines above");
    }
    let found = format!("{found}; this kernel has no bpf_loop (Linux 5.17)");
    fails(
        "stacks",
        found,
        "a deep stack is cut when it is met for the first time, and whole when it comes back",
    )
}

fn works(name: &'static str, found: String) -> Check {
    Check { name, works: true, found, help: None }
}

fn fails(name: &'static str, found: String, help: &str) -> Check {
    Check { name, works: false, found, help: Some(help.to_owned()) }
}

/// Attaches to this process and counts its allocations.
fn trial(name: &'static str, mode: Mode, kind: Kind) -> (Check, bool) {
    let load = LoadOptions {
        max_stacks: 64,
        functions: calibrate::FUNCTIONS,
        max_live: 4096,
        by_tables: true,
        by_thread: false,
        keep_rows: true,
        bpf_loop: true,
        stop_one_in: 0,
        max_unwind_bytes: 64 << 20,
        may_follow: mode == Mode::Live,
        kind,
        task: None,
        watch_all: false,
        log: false,
    };
    let cost = try_out(&load, mode);
    match cost {
        Ok(seen) if seen.counted > 0 => {
            let costs = seen.costs;
            let rest = match mode {
                Mode::Alloc => String::new(),
                Mode::Live => {
                    format!(", its return {:.0} ns, a free {:.0} ns", costs.return_ns, costs.free_ns)
                }
            };
            let found = format!(
                "{} calls counted on this process by {}: an entry costs {:.0} ns{rest}, a walked stack {:.0} ns more",
                seen.counted,
                kind.name(),
                costs.entry_ns,
                costs.sample_ns + costs.sample_free_ns,
            );
            (works(name, found), true)
        }
        Ok(_) => {
            let check = fails(
                name,
                "probes were placed and never hit".to_owned(),
                "report it with the kernel's version",
            );
            (check, false)
        }
        Err(reason) => (fails(name, reason, "see the lines above"), false),
    }
}

fn try_out(load: &LoadOptions, mode: Mode) -> Result<calibrate::Calibration, String> {
    let mut kernel = Kernel::load(load).map_err(|error| error.to_string())?;
    let unwinding = Unwinding::start(&mut kernel).map_err(|error| error.to_string())?;
    calibrate::measure(&mut kernel, mode, unwinding.as_ref()).map_err(|failure| failure.to_string())
}

/// Whether a return probe kills what is under a filter, and whether it is known that it does not.
fn seccomp(kind: Kind) -> (Check, bool) {
    const NAME: &str = "return probes under seccomp";
    match seccomp_trial::return_probe_is_safe(kind) {
        Ok(true) => (works(NAME, "a process under a system call filter survives them".to_owned()), true),
        Ok(false) => {
            let check = fails(
                NAME,
                "this kernel kills a process under a system call filter at a return probe".to_owned(),
                "mode alloc is used for such processes; update the kernel (fixed in 6.12.14, 6.13.3, 6.14)",
            );
            (check, false)
        }
        Err(error) => (fails(NAME, error.to_string(), "mode alloc is safe"), false),
    }
}

fn btf() -> Check {
    const NAME: &str = "kernel type information";
    match btf::task_offsets(Path::new(btf::KERNEL_BTF)) {
        Ok(_) => works(NAME, format!("{}: children can be followed", btf::KERNEL_BTF)),
        Err(reason) => fails(NAME, reason, "children are not followed without it (CONFIG_DEBUG_INFO_BTF)"),
    }
}
