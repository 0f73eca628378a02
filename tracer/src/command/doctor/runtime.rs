//! What would be read of a process's Go runtime, and what of it would be probed.

use std::fmt::Write as _;

use serde::Serialize;

use crate::command::Failure;
use crate::command::session::go::{self, GoHeap, Probes, Wanted};
use crate::command::session::image::{self, Found};
use crate::kernel::attach::Kind;
use crate::mode::{GoSource, Mode};
use crate::model::snapshot;
use crate::options::Choice;
use crate::target::mappings::Mappings;

/// A runtime that tells what it allocates.
#[derive(Debug, Serialize)]
pub(super) struct Runtime {
    name: String,
    version: Option<String>,
    object: String,
    /// Probes count its allocations, since it takes no samples.
    is_probed: bool,
    /// Functions that are probed to see each stop of its world.
    stops: Vec<&'static str>,
    /// What of it cannot be read, and why.
    missing: Vec<String>,
}

/// What there is of Go in a process.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) runtime: Option<Runtime>,
    /// Its allocator, where that would be probed.
    pub(super) allocators: Vec<snapshot::Allocator>,
    /// What would not be probed or read, and why.
    pub(super) skipped: Vec<String>,
}

/// Looks for Go as `attach --go auto` would, beside what was found of C.
///
/// # Errors
///
/// Neither can be traced.
pub(super) fn examine(
    pid: u32,
    exe: &str,
    mappings: &Mappings,
    choice: &Choice,
    kind: Kind,
    found: Result<Found, Failure>,
) -> Result<Findings, Failure> {
    let mut programs = go::Programs::default();
    let mut heap = go::find(pid, mappings, exe, choice, &mut programs);
    let (mut found, refusal) = go::or_alone(found, &heap)?;
    let mut findings = Findings { skipped: refusal.into_iter().collect(), ..Findings::default() };
    let wanted = Wanted { source: GoSource::Auto, beside: (!found.is_nothing()).then_some(Mode::Live) };
    let runtime = heap.as_mut().ok().and_then(Option::as_mut);
    match go::probes(mappings, exe, choice, &mut programs, runtime, wanted) {
        Probes::None => {}
        Probes::Refused(why) => findings.skipped.push(why),
        Probes::These(object) => {
            findings.allocators = image::describe(&object.planned, &object.file, kind);
            findings.skipped.extend(object.planned.failures.iter().cloned());
            found.objects.push(object);
        }
    }
    let (heap, failure) = go::beside(&found, heap, pid, choice)?;
    findings.skipped.extend(failure);
    findings.runtime = heap.as_ref().map(Runtime::of);
    Ok(findings)
}

impl Runtime {
    fn of(go: &GoHeap) -> Self {
        let (version, object) = go.describe();
        let mut missing = go.missing();
        let stops = go.stops.functions().unwrap_or_else(|why| {
            missing.push(format!("{object}: its stops one by one: {why}"));
            Vec::new()
        });
        Self {
            name: go::NAME.to_owned(),
            version: version.map(str::to_owned),
            object: object.to_owned(),
            is_probed: go.is_probed(),
            stops,
            missing,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let version = self.version.as_deref().unwrap_or(go::UNKNOWN);
        let what = match self.is_probed {
            true => "by probes on its allocator, since it takes no samples",
            false => "as its runtime counts and samples it: no probe on an allocation",
        };
        let mut text = format!("  {}: the heap of {version}, {what}\n", self.object);
        if !self.stops.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    each stop of its world, by probes on {}", self.stops.join(", "));
        }
        for missing in &self.missing {
            let _ = writeln!(text, "    {missing}");
        }
        text
    }
}
