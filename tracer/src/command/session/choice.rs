//! How probes are attached and what is traced: what was asked for, as far as this kernel allows it, found out by
//! trying.

use crate::cli::Attach;
use crate::command::Failure;
use crate::kernel::attach::Kind;
use crate::kernel::{preflight, seccomp_trial};
use crate::mode::Mode;
use crate::target::Target;

/// The way that was asked for, or the best that works here.
pub(super) fn kind(wanted: Attach, notes: &mut Vec<String>) -> Result<Kind, Failure> {
    match wanted {
        Attach::Perf => Ok(Kind::Perf),
        Attach::Multi | Attach::Auto => match preflight::uprobe_multi() {
            Ok(()) => Ok(Kind::Multi),
            Err(reason) if wanted == Attach::Auto => {
                notes.push(format!(
                    "perf-event uprobes are used, because uprobe_multi is not there: {reason}"
                ));
                Ok(Kind::Perf)
            }
            Err(reason) => Err(Failure::CannotTrace(format!(
                "uprobe_multi does not work here: {reason}. Use --attach auto or --attach perf"
            ))),
        },
    }
}

/// Mode `live` is refused for targets that a return probe would kill.
pub(super) fn mode(
    wanted: Mode,
    targets: &[Target],
    more_may_come: bool,
    kind: Kind,
    notes: &mut Vec<String>,
) -> Result<Mode, Failure> {
    // A program that is yet to start, a child, or one that is selected later, may have a filter.
    let may_come = more_may_come && preflight::return_probe_may_be_a_system_call();
    let filtered = targets.iter().find(|target| target.seccomp_filtered);
    if wanted == Mode::Alloc || !may_come && filtered.is_none() || seccomp_trial::return_probe_is_safe(kind)?
    {
        return Ok(wanted);
    }
    let whom =
        filtered.map_or_else(String::new, |target| format!(", such as {} ({}),", target.pid, target.comm));
    notes.push(format!(
        "mode alloc is used, because this kernel kills a process under a seccomp filter{whom} at a return probe \
         (Linux 6.11 to 6.13.2). Update the kernel for mode live"
    ));
    Ok(Mode::Alloc)
}
