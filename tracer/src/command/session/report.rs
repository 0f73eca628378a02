//! Everything that a snapshot is made of, read at one moment.

use std::time::Duration;

use super::Session;
use super::unwinding::Unwinding;
use crate::collect;
use crate::command::Failure;
use crate::kernel::memory;
use crate::mode::Mode;
use crate::model::snapshot::Host;
use crate::model::{Ages, Moment, SlotState, TargetState};
use crate::options::TraceOptions;

/// Reads the counts of every slot and site.
pub(super) fn moment(session: &mut Session, options: &TraceOptions) -> Result<Moment, Failure> {
    let mut targets = Vec::new();
    for traced in &session.traced {
        let program = traced.program();
        let build_id = program.and_then(|file| session.symbols.build_id(&file));
        let last = traced.images.len().saturating_sub(1);
        let slots = traced.images.iter().enumerate().map(|(position, image)| {
            Ok(SlotState {
                index: image.slot,
                is_last_image: position == last,
                functions: image.functions.iter().map(|function| function.function.clone()).collect(),
                allocators: image.allocators.clone(),
                counts: image.counts(&session.kernel)?,
            })
        });
        let slots = slots.collect::<Result<Vec<_>, Failure>>()?;
        targets.push(TargetState { target: traced.describe(build_id), slots });
    }
    let now_ns = session.stopped_ns.unwrap_or_else(monotonic_ns);
    let ages = match session.mode {
        Mode::Live => {
            let old = options.filter.older_than;
            match session.stopped_ns {
                // Nothing changes any more.
                Some(_) => {
                    let all = 0..session.kernel.live_buckets();
                    Ages::of(collect::live_blocks(&session.kernel, all), now_ns, old)
                }
                None => session.ages.look(&session.kernel, now_ns, old),
            }
        }
        Mode::Alloc => Ages::default(),
    };
    let attached = match session.counting_since {
        Some(_) if session.counted > Duration::ZERO => session.counted,
        Some((_, since)) => since.elapsed(),
        None => Duration::ZERO,
    };
    Ok(Moment {
        started_at: session.counting_since.map_or_else(jiff::Timestamp::now, |(at, _)| at),
        duration: session.started.elapsed(),
        attached,
        mode: session.mode,
        sample_bytes: session.sample_bytes,
        was_sampled: session.was_sampled,
        labels: options.labels.clone(),
        host: host(),
        targets,
        sites: collect::sites(&session.kernel, session.was_sampled),
        ages,
        calls_in_flight: if session.mode == Mode::Live {
            session.traced.iter().map(|traced| session.kernel.calls_in_flight(traced.pid())).sum()
        } else {
            0
        },
        unknown_records: session.unknown_records,
        hit_costs: session.hit_costs,
        map_bytes: memory::map_bytes(),
        attach_failures: session.attach_failures.clone(),
        notes: notes(session),
    })
}

/// The clock of `bpf_ktime_get_ns`.
pub(super) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What readers should know: of the session, and of code without tables.
fn notes(session: &Session) -> Vec<String> {
    let unwinding = session.unwinding.iter().flat_map(Unwinding::notes);
    session.notes.iter().cloned().chain(unwinding).collect()
}

fn host() -> Host {
    let uname = rustix::system::uname();
    Host {
        kernel: uname.release().to_string_lossy().into_owned(),
        arch: uname.machine().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
    }
}
