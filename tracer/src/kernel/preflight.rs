//! What this kernel and these privileges allow, found out by trying.

use aya::programs::ProgramType;
use aya::sys::{BpfHelper, UProbeMultiFeature, is_helper_supported, is_uprobe_multi_supported};
use procfs::process::Process;

/// Bits of include/uapi/linux/capability.h.
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;
const CAP_CHECKPOINT_RESTORE: u32 = 40;

/// A capability that tracer uses (capabilities(7)).
#[derive(Debug)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// Its number.
    pub bit: u32,
    /// Another one that stands for it, with much else.
    stands_in: Option<u32>,
    /// Without it nothing is traced.
    pub is_needed: bool,
    /// What does not work without it.
    pub without: &'static str,
}

/// All that tracer uses on a kernel with `uprobe_multi` (Linux 6.6).
pub const CAPABILITIES: [Capability; 5] = [
    Capability {
        name: "CAP_BPF",
        bit: CAP_BPF,
        stands_in: Some(CAP_SYS_ADMIN),
        is_needed: true,
        without: "no program can be loaded into the kernel",
    },
    Capability {
        name: "CAP_PERFMON",
        bit: CAP_PERFMON,
        stands_in: Some(CAP_SYS_ADMIN),
        is_needed: true,
        without: "no program that reads memory can be loaded, and no probe placed",
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        bit: CAP_SYS_PTRACE,
        stands_in: None,
        is_needed: true,
        without: "no program and library of another user's process, or of one in a container, can be opened",
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        bit: CAP_DAC_READ_SEARCH,
        stands_in: Some(CAP_DAC_OVERRIDE),
        is_needed: false,
        without: "the environment of other users' processes, where labels come from, is not read, and their programs and \
                  libraries are not opened where only their owner may read them, or where they were deleted or replaced",
    },
    Capability {
        name: "CAP_CHECKPOINT_RESTORE",
        bit: CAP_CHECKPOINT_RESTORE,
        stands_in: Some(CAP_SYS_ADMIN),
        is_needed: false,
        without: "programs and libraries that were deleted or replaced since they were started are not opened",
    },
];

/// Those that this process has, one bit each.
fn effective() -> Result<u64, String> {
    let status = Process::myself().and_then(|process| process.status());
    Ok(status.map_err(|error| format!("failed to read this process's capabilities: {error}"))?.capeff)
}

impl Capability {
    fn is_in(&self, effective: u64) -> bool {
        let has = |bit: u32| effective >> bit & 1 == 1;
        has(self.bit) || self.stands_in.is_some_and(has)
    }
}

/// What is missing of the privileges without which nothing works, and what would fix it.
///
/// # Errors
///
/// A sentence that names the capabilities.
pub fn check_privileges() -> Result<(), String> {
    let effective = effective()?;
    let missing: Vec<&str> = CAPABILITIES
        .iter()
        .filter(|capability| capability.is_needed && !capability.is_in(effective))
        .map(|capability| capability.name)
        .collect();
    match missing[..] {
        [] => Ok(()),
        _ => Err(format!("missing capability: {}. {}", missing.join(", "), remedy())),
    }
}

/// Those that are missing and without which the rest works.
#[must_use]
pub fn missing() -> Vec<&'static Capability> {
    // Whoever cannot read that has been refused already.
    let effective = effective().unwrap_or(u64::MAX);
    CAPABILITIES.iter().filter(|capability| !capability.is_needed && !capability.is_in(effective)).collect()
}

/// What does not work because of that: a sentence for each, with what would fix it.
#[must_use]
pub fn restrictions() -> Vec<String> {
    let sentence = |Capability { name, without, .. }: &Capability| {
        format!("missing capability: {name}: {without}. {}", remedy())
    };
    missing().into_iter().map(sentence).collect()
}

/// How a process gets the capabilities.
fn remedy() -> String {
    if rustix::process::geteuid().is_root() {
        let names: Vec<&str> =
            CAPABILITIES.iter().map(|capability| capability.name.trim_start_matches("CAP_")).collect();
        return format!(
            "This is root without it: in a container add it to `securityContext.capabilities.add` ({}), in a unit of \
             systemd to CapabilityBoundingSet",
            names.join(", ")
        );
    }
    let names = CAPABILITIES.map(|capability| capability.name.to_lowercase()).join(",");
    format!(
        "Run as root (`sudo tracer …`), or give the program the capabilities: \
         `sudo setcap {names}+ep $(command -v tracer)`"
    )
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
