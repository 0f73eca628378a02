//! What this kernel and these privileges allow, found out by trying.

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, UProbeMultiFeature, is_helper_supported, is_uprobe_multi_supported};
use procfs::process::Process;

/// Capabilities by their bit (include/uapi/linux/capability.h).
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What is missing of the privileges, and what would fix it.
///
/// # Errors
///
/// A sentence that names the capabilities.
pub fn check_privileges() -> Result<(), String> {
    let effective = Process::myself()
        .and_then(|process| process.status())
        .map_err(|error| format!("failed to read this process's capabilities: {error}"))?
        .capeff;
    let has = |bit: u32| effective >> bit & 1 == 1;
    let wanted = [("CAP_BPF", CAP_BPF), ("CAP_PERFMON", CAP_PERFMON)];
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|&&(_, bit)| !has(bit) && !has(CAP_SYS_ADMIN))
        .map(|&(name, _)| name)
        .chain((!has(CAP_SYS_PTRACE)).then_some("CAP_SYS_PTRACE"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "missing capability: {}. Run as root (`sudo tracer …`), or give the program the capabilities: \
         `sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_checkpoint_restore,cap_dac_read_search+ep $(command -v tracer)`",
        missing.join(", ")
    ))
}

/// Whether one link can hold many probes of one process.
///
/// # Errors
///
/// Why not.
pub fn uprobe_multi() -> Result<(), String> {
    for (feature, what) in [
        (UProbeMultiFeature::LinkCreation, "this kernel has no uprobe_multi links (Linux 6.6)"),
        (
            UProbeMultiFeature::ProcessScopedPidFilter,
            "the pid filter of this kernel's uprobe_multi links sees one thread only (fixed in Linux 6.10)",
        ),
    ] {
        match is_uprobe_multi_supported(feature) {
            Ok(true) => {}
            Ok(false) => return Err(what.to_owned()),
            Err(error) => return Err(format!("failed to find out: {error}")),
        }
    }
    Ok(())
}

/// Whether this kernel is one of those whose return probes may be a system call that a seccomp filter kills for:
/// Linux 6.11 to 6.13. Only then it is worth trying before a program is started.
#[must_use]
pub fn return_probe_may_be_a_system_call() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(6), Some(11..=13)))
}

/// Whether the kernel has the helper `bpf_loop` (Linux 5.17). One that cannot be asked is taken for one that has not: the
/// walk is right without it, and less deep.
#[must_use]
pub fn has_bpf_loop() -> bool {
    is_helper_supported(ProgramType::KProbe, BpfHelper::BPF_FUNC_loop).unwrap_or(false)
}
