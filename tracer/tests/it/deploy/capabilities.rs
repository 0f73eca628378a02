//! What a daemon in a pod may do beyond what every process may. Who tries it out with that few reads this list too.

/// As a manifest names them.
pub(super) const CAPABILITIES: [&str; 5] =
    ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "CHECKPOINT_RESTORE"];
