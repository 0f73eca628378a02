//! The one list of all metrics: name, meaning, and where the numbers come from. `docs/metrics.md` is made of it.

use super::canary;
use super::metric::{Metric, Source, Truth, Value, metric};
use super::points::{attach_failures, by_allocator, by_cause, by_map, by_site, of_gc, of_pods};

/// Every metric, in the order of the page.
pub const METRICS: &[Metric] = &[
    metric(
        "tracer_alloc_bytes_total",
        Truth::Exact,
        Source::SeriesBy("allocator", |series| by_allocator(series, |counts| Some(counts.alloc_bytes))),
        "Bytes that were asked for by allocations; of `go` rounded to its size classes.",
    ),
    metric(
        "tracer_alloc_objects_total",
        Truth::Exact,
        Source::SeriesBy("allocator", |series| by_allocator(series, |counts| Some(counts.alloc_objects))),
        "Allocations; also those that failed, where they are not told apart (mode `alloc`, or sampled).",
    ),
    metric(
        "tracer_free_bytes_total",
        Truth::ExactUnlessSampled,
        Source::SeriesBy("allocator", |series| by_allocator(series, |counts| counts.free_bytes)),
        "Bytes of freed blocks whose allocation was seen.",
    ),
    metric(
        "tracer_free_objects_total",
        Truth::Exact,
        Source::SeriesBy("allocator", |series| by_allocator(series, |counts| counts.free_objects)),
        "Frees; also those of blocks that are older than the tracing.",
    ),
    metric(
        "tracer_inuse_bytes",
        Truth::ExactUnlessSampled,
        Source::Series(|series| series.inuse_bytes.map(Value::Integer)),
        "Bytes of live blocks whose allocation was seen; what a runtime counts by itself (`go`) with those that are older.",
    ),
    metric(
        "tracer_inuse_objects",
        Truth::ExactUnlessSampled,
        Source::Series(|series| series.inuse_objects.map(Value::Integer)),
        "Live blocks whose allocation was seen; what a runtime counts by itself (`go`) with those that are older.",
    ),
    metric(
        "tracer_alloc_size_bytes",
        Truth::Exact,
        Source::Sizes,
        "Allocations by the bytes that they asked for.",
    ),
    metric(
        "tracer_estimate_relative_error",
        Truth::Calculated,
        Source::SeriesBy("quantity", |series| {
            series.relative_errors.iter().map(|(&quantity, &error)| (quantity, Value::Real(error))).collect()
        }),
        "Standard error of an estimated quantity as a ratio of the estimate; exact quantities have none.",
    ),
    metric(
        "tracer_target_processes",
        Truth::Exact,
        Source::Series(|series| Some(Value::Integer(series.processes))),
        "Processes that are traced at present.",
    ),
    metric(
        "tracer_target_cpu_seconds_total",
        Truth::Exact,
        Source::Series(|series| Some(Value::Real(series.cpu_seconds))),
        "User and system CPU time of the traced processes while they were traced, in seconds.",
    ),
    metric(
        "tracer_target_overhead_seconds_total",
        Truth::Calculated,
        Source::Series(|series| Some(Value::Real(series.overhead_seconds))),
        "CPU time that tracing has added to the traced processes, in seconds.",
    ),
    metric(
        "tracer_overhead_ratio",
        Truth::Calculated,
        Source::Series(|series| series.overhead_ratio.map(Value::Real)),
        "CPU time that tracing adds as a ratio of the CPU time of the traced processes, in the last seconds.",
    ),
    metric(
        "tracer_target_resident_bytes",
        Truth::Exact,
        Source::Series(|series| series.resident_bytes.map(Value::Integer)),
        "Resident memory of the traced processes in bytes.",
    ),
    metric(
        "tracer_target_memory_limit_bytes",
        Truth::Exact,
        Source::Series(|series| series.memory_limit_bytes.map(Value::Integer)),
        "Memory limits of the control groups of the traced processes in bytes, each limit once; absent if a process has none.",
    ),
    metric(
        "tracer_sample_interval_bytes",
        Truth::Exact,
        Source::Series(|series| series.sample_interval_bytes.map(Value::Integer)),
        "Mean bytes between two allocations that are followed, the greatest of the processes (of Go `MemProfileRate`); 0 is every \
         allocation.",
    ),
    metric(
        "tracer_attached_ratio",
        Truth::Exact,
        Source::Series(|series| series.attached_ratio.map(Value::Real)),
        "Traced processes as a ratio of the processes that the configuration wants.",
    ),
    metric(
        "tracer_gc_cycles_total",
        Truth::Exact,
        Source::Series(|series| of_gc(series, |gc| Value::Integer(gc.cycles))),
        "Garbage collections that have finished.",
    ),
    metric(
        "tracer_gc_forced_cycles_total",
        Truth::Exact,
        Source::Series(|series| of_gc(series, |gc| Value::Integer(gc.forced_cycles))),
        "Garbage collections that the program asked for, of all that have finished.",
    ),
    metric(
        "tracer_gc_pause_seconds",
        Truth::Exact,
        Source::Pauses,
        "How long garbage collections stopped the program, per cycle, in seconds.",
    ),
    metric(
        "tracer_gc_pauses_missed_total",
        Truth::Exact,
        Source::Series(|series| of_gc(series, |gc| Value::Integer(gc.pauses_missed))),
        "Garbage collections that are in no bucket of the pauses: more than the runtime remembers between two looks.",
    ),
    metric(
        "tracer_gc_stop_seconds",
        Truth::Exact,
        Source::Stops("reason"),
        "How long Go's runtime stopped the program each time, in seconds, by its reason, where probes see it; without the \
         wake-up of the other threads.",
    ),
    metric(
        "tracer_gc_triggers_total",
        Truth::Exact,
        Source::SeriesBy("cause", by_cause),
        "Garbage collections that were begun, by cause: the heap has grown, two minutes are over, or the program asked for it.",
    ),
    metric(
        "tracer_gc_cpu_ratio",
        Truth::Calculated,
        Source::Series(|series| series.gc_cpu_ratio.map(Value::Real)),
        "CPU time that garbage collections took as a ratio of what the program could have had since tracing began, by what its \
         runtime says of its whole life, the mean of the processes.",
    ),
    metric(
        "tracer_gc_heap_goal_bytes",
        Truth::Exact,
        Source::Series(|series| series.gc_heap_goal_bytes.map(Value::Integer)),
        "Heap at which the next garbage collection is to end, in bytes, of all processes.",
    ),
    metric(
        "tracer_gc_heap_live_bytes",
        Truth::Exact,
        Source::Series(|series| series.gc_heap_live_bytes.map(Value::Integer)),
        "What the last garbage collection found live, in bytes, of all processes.",
    ),
    metric(
        "tracer_site_inuse_bytes",
        Truth::ExactUnlessSampled,
        Source::SeriesBy("site", |series| by_site(series, |site| site.inuse_bytes)),
        "Bytes of live blocks by the place in the code that asked for them, the top ones only (opt-in).",
    ),
    metric(
        "tracer_site_alloc_bytes_total",
        Truth::ExactUnlessSampled,
        Source::SeriesBy("site", |series| by_site(series, |site| Some(site.alloc_bytes))),
        "Bytes that were asked for by the place in the code that asked, the top ones only (opt-in).",
    ),
    metric(
        "tracer_canary_verdict",
        Truth::Calculated,
        Source::Canary(&["verdict"], canary::verdicts),
        "1 for the verdict on the canary that holds on this node, 0 for the others: `better`, `same`, `worse`, `not_enough_data`.",
    ),
    metric(
        "tracer_canary_gate",
        Truth::Calculated,
        Source::Canary(&[], canary::gate),
        "1 if the canary may go on, 0 if it is worse by more than `max_increase`; absent while the data cannot tell.",
    ),
    metric(
        "tracer_canary_change_ratio",
        Truth::Calculated,
        Source::Canary(&["quantity", "bound"], canary::changes),
        "Change from stable to canary as a ratio (0.05 is 5 % more), all call sites together: the estimate and the bounds of its \
         95 % interval; a bound that is not known is absent.",
    ),
    metric(
        "tracer_canary_detectable_ratio",
        Truth::Calculated,
        Source::Canary(&["quantity"], canary::detectable),
        "Smallest increase that four of five comparisons like the last one would have called an increase, as a ratio.",
    ),
    metric(
        "tracer_canary_units",
        Truth::Exact,
        Source::Canary(&["canary_group"], canary::units),
        "Processes of each side that were compared; below 3 a side there is no verdict.",
    ),
    metric(
        "tracer_canary_timestamp_seconds",
        Truth::Exact,
        Source::Canary(&[], canary::computed_at),
        "When the verdict was computed, in seconds since 1970.",
    ),
    metric(
        "tracer_events_total",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(page.own.events))),
        "Allocations and frees that were counted.",
    ),
    metric(
        "tracer_events_lost_total",
        Truth::Exact,
        Source::OwnBy("reason", |page| {
            page.own.lost.iter().map(|(reason, &count)| (reason.as_str(), Value::Integer(count))).collect()
        }),
        "Counted allocations and frees that are in no call site or were not followed, by reason.",
    ),
    metric(
        "tracer_probes_attached",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(page.own.probes_attached))),
        "Probes in place at present.",
    ),
    metric(
        "tracer_attach_failures_total",
        Truth::Exact,
        Source::OwnBy("reason", attach_failures),
        "Attempts to attach that failed, by reason; what has no room among 50 reasons is in `other`.",
    ),
    metric(
        "tracer_map_entries",
        Truth::Exact,
        Source::OwnBy("map", |page| by_map(page, |(entries, _)| entries)),
        "Entries that a table of the kernel side holds.",
    ),
    metric(
        "tracer_map_max_entries",
        Truth::Exact,
        Source::OwnBy("map", |page| by_map(page, |(_, max_entries)| max_entries)),
        "Entries that a table of the kernel side has room for.",
    ),
    metric(
        "tracer_map_bytes",
        Truth::Exact,
        Source::Own(|page| page.own.map_bytes.map(Value::Integer)),
        "Kernel memory that the tables take, in bytes; absent if the kernel does not say it.",
    ),
    metric(
        "tracer_series_suppressed_total",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(page.own.series_suppressed))),
        "Label sets that had no room of their own; they are added up in the one with service `__other__`.",
    ),
    metric(
        "tracer_config_reload_success",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(u64::from(page.own.config_is_good)))),
        "1 if the last load of the configuration was taken, 0 if it was refused.",
    ),
    metric(
        "tracer_config_reload_success_timestamp_seconds",
        Truth::Exact,
        Source::Own(|page| Some(Value::Real(page.own.config_loaded_at.as_millisecond() as f64 / 1e3))),
        "When a configuration was last taken, in seconds since 1970.",
    ),
    metric(
        "tracer_look_duration_seconds",
        Truth::Exact,
        Source::Own(|page| Some(Value::Real(page.own.look_seconds))),
        "How long the last reading of all tables took, in seconds.",
    ),
    metric(
        "tracer_http_requests_refused_total",
        Truth::Exact,
        Source::OwnBy("reason", |page| {
            page.refused.iter().map(|&(reason, count)| (reason, Value::Integer(count))).collect()
        }),
        "HTTP requests and connections that were refused, by reason.",
    ),
    metric(
        "tracer_kube_watch_errors_total",
        Truth::Exact,
        Source::Own(|page| Some(of_pods(page, |pods| pods.watch_errors).unwrap_or(Value::Integer(0)))),
        "Requests to the Kubernetes API that failed, and watches that broke.",
    ),
    metric(
        "tracer_kube_synced",
        Truth::Exact,
        Source::Own(|page| of_pods(page, |pods| u64::from(pods.is_synced))),
        "1 if the pods of the node were listed once; before, their labels are `unknown`.",
    ),
    metric(
        "tracer_kube_pods",
        Truth::Exact,
        Source::Own(|page| of_pods(page, |pods| pods.pods)),
        "Pods of the node that are known, also those that are gone since a short time.",
    ),
    metric(
        "tracer_kube_containers_waiting",
        Truth::Exact,
        Source::Own(|page| of_pods(page, |pods| pods.waiting)),
        "Containers with processes that were looked at, of which no pod is known yet.",
    ),
    metric(
        "tracer_kube_containers_unresolved_total",
        Truth::Exact,
        Source::Own(|page| of_pods(page, |pods| pods.unresolved)),
        "Containers whose processes ended before a pod was known.",
    ),
    metric(
        "tracer_build_info",
        Truth::Exact,
        Source::OwnBy("version", |_| vec![(env!("CARGO_PKG_VERSION"), Value::Integer(1))]),
        "Always 1; the label says which version runs.",
    ),
    metric(
        "process_cpu_seconds_total",
        Truth::Exact,
        Source::Own(|page| Some(Value::Real(page.process.cpu_seconds))),
        "User and system CPU time of the daemon in seconds.",
    ),
    metric(
        "process_resident_memory_bytes",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(page.process.resident_bytes))),
        "Resident memory of the daemon in bytes.",
    ),
    metric(
        "process_virtual_memory_bytes",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(page.process.virtual_bytes))),
        "Address space of the daemon in bytes.",
    ),
    metric(
        "process_open_fds",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(page.process.open_fds))),
        "Open file descriptors of the daemon.",
    ),
    metric(
        "process_max_fds",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(page.process.max_fds))),
        "Most file descriptors that the daemon may have open.",
    ),
    metric(
        "process_start_time_seconds",
        Truth::Exact,
        Source::Own(|page| Some(Value::Real(page.process.start_time_seconds))),
        "When the daemon started, in seconds since 1970.",
    ),
    metric(
        "process_threads",
        Truth::Exact,
        Source::Own(|page| Some(Value::Integer(page.process.threads))),
        "Threads of the daemon.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_naming_practices() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for Metric { name, help, .. } in METRICS {
            assert!(name.starts_with("tracer_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
        }
    }

    #[test]
    fn nothing_that_has_no_end_is_a_label() {
        for metric in METRICS {
            for label in metric.labels() {
                assert!(!["pid", "stack", "function", "address"].contains(&label), "{}", metric.name);
                assert!(label != "site" || metric.name.starts_with("tracer_site_"), "{}", metric.name);
            }
        }
    }
}
