//! A call stack in its parts: what allocates for others, Go's library, and the function that asked.

use std::sync::Arc;

use super::names::{self, MapPart};
use super::rule::{Family, Language};
use crate::frame::Frame;
use crate::model::snapshot::CallSite;

/// Frame above the function that `sync.Pool` makes new objects by (`sync/pool.go`).
const POOL_GET: &str = "sync.(*Pool).Get";
/// They stand on stacks of Go and of nothing else.
const GO_ROOTS: [&str; 3] = ["runtime.main", "runtime.goexit", "main.main"];

/// They begin the names of functions on stacks of Rust: of its start, and of its closures that threads run.
const RUST_ROOTS: [&str; 2] = ["std::rt::lang_start", "std::sys::backtrace::__rust_begin_short_backtrace"];

/// What a call site was asked for, and by whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) family: Family,
    pub(super) part: Option<MapPart>,
    /// The function that asked.
    pub(super) user: &'a Frame,
    /// The outermost function of the library that it called for that.
    pub(super) via: Option<&'a str>,
    pub(super) language: Language,
}

/// Whether a call site is Go's. C that stands in a Go file, before `import "C"`, is C.
pub(super) fn is_go_site(site: &CallSite) -> bool {
    site.allocator.as_deref().map_or_else(|| is_go(&site.frames), |name| name == "go")
}

/// Whether a stack is Go's.
fn is_go(frames: &[Arc<Frame>]) -> bool {
    frames.iter().any(|frame| {
        let by_file = || frame.file.as_deref().is_some_and(|file| file.ends_with(".go"));
        frame.function.as_deref().is_some_and(|name| GO_ROOTS.contains(&name)) || by_file()
    })
}

/// Whether a stack of Go begins in its runtime and leads to a function of the program: `runtime/pprof` leaves out such
/// beginnings (`runtime/pprof/protomem.go`), and not those of the runtime's own stacks.
pub(super) fn begins_in_runtime(frames: &[Arc<Frame>]) -> bool {
    let of = |frame: &Arc<Frame>, is: fn(&str) -> bool| frame.function.as_deref().is_some_and(is);
    let is_runtime = |name: &str| name.starts_with("runtime.") || name.starts_with("internal/runtime/");
    frames.first().is_some_and(|frame| of(frame, is_runtime))
        && frames.iter().any(|frame| of(frame, |name| !names::is_library(name)))
}

/// What a call site was asked for; `None` if nobody with a name asked.
pub(super) fn asked<'a>(
    site: &'a CallSite,
    hides_runtime: bool,
    telling: fn(&[Arc<Frame>]) -> Option<usize>,
) -> Option<Asked<'a>> {
    if is_go_site(site) { by_go(site, hides_runtime) } else { by_others(site, telling) }
}

/// Objects of so many bytes each.
fn mean_bytes(site: &CallSite) -> f64 {
    site.alloc_bytes as f64 / (site.alloc_objects as f64).max(1.0)
}

fn by_go(site: &CallSite, hides_runtime: bool) -> Option<Asked<'_>> {
    let mut frames = site.frames.iter().map(AsRef::as_ref).peekable();
    let of = |is: fn(&str) -> bool| move |frame: &&Frame| frame.function.as_deref().is_some_and(is);
    let mut runtime = Vec::new();
    while let Some(frame) = frames.next_if(of(names::is_runtime)) {
        runtime.extend(frame.function.as_deref());
    }
    let mut library = Vec::new();
    while let Some(frame) = frames.next_if(of(names::is_library)) {
        library.extend(frame.function.as_deref());
    }
    let user = frames.next().filter(|frame| frame.function.is_some())?;
    let is_for_pool = frames.next().is_some_and(|frame| frame.function.as_deref() == Some(POOL_GET));
    let part = names::map_part(&runtime, mean_bytes(site));
    let is_header_sized = (mean_bytes(site) - names::MAP_HEADER_BYTES).abs() < 0.5;
    let family = match (part, library.last()) {
        _ if is_for_pool => Family::Pool,
        (Some(_), None) => Family::Map,
        (Some(_), Some(_)) => Family::LibraryMap,
        (None, Some(called)) => names::library_family(called),
        (None, None) if hides_runtime && is_header_sized => Family::MaybeMap,
        (None, None) => names::runtime_family(&runtime).unwrap_or(Family::Object),
    };
    Some(Asked { family, part, user, via: library.last().copied(), language: Language::Go })
}

fn by_others(site: &CallSite, telling: fn(&[Arc<Frame>]) -> Option<usize>) -> Option<Asked<'_>> {
    let at = telling(&site.frames)?;
    let user = site.frames.get(at).filter(|frame| frame.function.is_some())?;
    let callees = || site.frames.iter().take(at).filter_map(|frame| frame.function.as_deref());
    let is_growth = callees().any(names::grows_container);
    let is_realloc = matches!(site.called.as_deref(), Some("realloc" | "reallocarray" | "rallocx"));
    let family = if is_growth {
        Family::ContainerGrowth
    } else if is_realloc {
        Family::Realloc
    } else {
        Family::Other
    };
    Some(Asked {
        family,
        part: None,
        user,
        via: callees().next_back(),
        language: language(user, &site.frames),
    })
}

/// By the file, else by the form of the name. A Rust program without line tables is known by the functions that start its
/// threads.
fn language(frame: &Frame, stack: &[Arc<Frame>]) -> Language {
    let extension =
        frame.file.as_deref().and_then(|file| file.rsplit_once('.')).map(|(_, extension)| extension);
    match extension {
        Some("rs") => Language::Rust,
        Some("cc" | "cpp" | "cxx" | "C" | "hpp" | "hh" | "tcc") => Language::Cpp,
        _ => {
            let name = frame.function.as_deref().unwrap_or_default();
            let is_rust = |name: &str| RUST_ROOTS.iter().any(|root| name.starts_with(root));
            if stack.iter().filter_map(|frame| frame.function.as_deref()).any(is_rust) {
                return Language::Rust;
            }
            if name.contains("::") || name.contains('(') { Language::Cpp } else { Language::C }
        }
    }
}
