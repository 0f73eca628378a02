//! A frame as text: its name, its place, what of a long name matters, and which frame tells most.

use std::sync::Arc;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::snapshot::Frame;
use crate::units::Age;

/// Functions that allocate for others, beside everything called malloc, calloc or realloc: the frame that
/// tells most lies above them.
const PLUMBING: [&str; 35] = [
    "operator new",
    "std::",
    "__gnu_cxx::",
    "alloc::",
    "core::",
    "hashbrown::",
    "__rust_",
    "__rdl_",
    "__rg_",
    "_Zn",
    "g_strdup",
    "g_strndup",
    "g_slice_",
    "xstrdup",
    "strdup",
    "__strdup",
    "strndup",
    "__strndup",
    "vasprintf",
    "asprintf",
    "PyMem_",
    "PyType_GenericAlloc",
    "_PyObject_GC_",
    "ngx_alloc",
    // Go's runtime, and what of its library makes texts and containers for whoever calls it.
    "runtime.",
    "internal/runtime/",
    "internal/bytealg.",
    "internal/reflectlite.",
    "reflect.",
    "strings.",
    "bytes.",
    "slices.",
    "maps.",
    "strconv.",
    "fmt.",
];

/// Of a name beside its place: less says nothing.
const NAME_COLUMNS_MIN: usize = 16;

/// `function`, else `module+0xoffset`, else `[unknown]`.
#[must_use]
pub fn name(frame: &Frame) -> String {
    match (&frame.function, &frame.module, frame.file_offset) {
        (Some(function), _, _) => function.clone(),
        (None, Some(module), Some(offset)) => format!("{}+{offset:#x}", basename(module)),
        (None, Some(module), None) => basename(module).to_owned(),
        (None, None, _) => "[unknown]".to_owned(),
    }
}

/// Seconds as a duration; those that are none print as `?`.
#[must_use]
pub fn age(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), |duration| Age(duration).to_string())
}

/// The last component of a path.
#[must_use]
pub fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// One line of at most `width` columns: `function (file:line)`, `function [module]`, or what stands for them.
#[must_use]
pub fn line(frame: &Frame, width: usize) -> String {
    let (name, place) = parts(frame, width);
    join(&name, &place)
}

/// The two parts of a [`line`]: the function, and where it is; that is empty if it has no room.
#[must_use]
pub fn parts(frame: &Frame, width: usize) -> (String, String) {
    let name = printable(&name(frame));
    let long = place(frame, Place::Long);
    if columns(&join(&name, &long)) <= width {
        return (name, long);
    }
    let whole = fold(&name, width);
    let is_cut = |text: &str| text.starts_with('…') || text.ends_with('…');
    let short = place(frame, Place::Short);
    for place in [&short, &place(frame, Place::Line)] {
        let folded = fold(&name, width.saturating_sub(columns(place) + 1));
        if !is_cut(&folded) && columns(&join(&folded, place)) <= width {
            return (folded, place.clone());
        }
    }
    let room = width.saturating_sub(columns(&short) + 1);
    // The place goes before the name is cut, but of a name that is cut anyway some more can go, too.
    if is_cut(&whole) && room >= NAME_COLUMNS_MIN {
        (fold(&name, room), short)
    } else {
        (whole, String::new())
    }
}

fn join(name: &str, place: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{name} {place}") }
}

/// How much of a place is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The file with its folder.
    Long,
    /// The file.
    Short,
    /// The line alone: it tells two calls of a function apart.
    Line,
}

fn place(frame: &Frame, form: Place) -> String {
    let mut place = match (&frame.function, &frame.file, &frame.module) {
        (Some(_), Some(file), _) => {
            let file = match form {
                Place::Long => last_two(file),
                Place::Short => basename(file),
                Place::Line if frame.line.is_some() => "",
                Place::Line => return String::new(),
            };
            frame.line.map_or_else(|| format!("({file})"), |line| format!("({file}:{line})"))
        }
        (Some(_), None, Some(module)) => format!("[{}]", basename(module)),
        (Some(_), None, None) => String::new(),
        (None, _, Some(_)) => format!("({})", frame.reason.as_deref().unwrap_or("no symbol")),
        (None, _, None) => format!("{} ({})", frame.address, frame.reason.as_deref().unwrap_or("no module")),
    };
    if frame.inlined {
        place.push_str(if place.is_empty() { "inlined" } else { " inlined" });
    }
    printable(&place)
}

fn last_two(path: &str) -> &str {
    let Some(last) = path.rfind('/') else { return path };
    path[..last].rfind('/').map_or(path, |start| &path[start + 1..])
}

/// The text without control characters: names come from the target, and a terminal obeys them.
#[must_use]
pub fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}

/// Columns that a text takes in a terminal: some characters take two, some none.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The first characters of a text that fit into `width` columns.
#[must_use]
pub fn start(text: &str, width: usize) -> &str {
    let mut room = width;
    for (at, c) in text.char_indices() {
        let Some(left) = room.checked_sub(c.width().unwrap_or(0)) else { return &text[..at] };
        room = left;
    }
    text
}

/// The last characters of a text that fit into `width` columns.
#[must_use]
pub fn end(text: &str, width: usize) -> &str {
    let mut room = width;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let Some(left) = room.checked_sub(c.width().unwrap_or(0)) else { break };
        (room, start) = (left, at);
    }
    &text[start..]
}

/// A name in at most `width` columns: first inner, then all template arguments, then the parameters are
/// folded to `…`, and last it is cut: a qualified name at its front, since its end tells most, any other at its end.
#[must_use]
pub fn fold(name: &str, width: usize) -> String {
    let name = &name.replace("(anonymous namespace)", "{anonymous}");
    let steps: [fn(&str) -> String; 4] = [
        str::to_owned,
        |name| elide(name, '<', '>', 1),
        |name| elide(name, '<', '>', 0),
        |name| elide(&elide(name, '<', '>', 0), '(', ')', 0),
    ];
    let mut folded = String::new();
    for step in steps {
        folded = step(name);
        if columns(&folded) <= width {
            return folded;
        }
    }
    match width.checked_sub(1) {
        None => String::new(),
        Some(room) if folded.contains("::") => format!("…{}", end(&folded, room)),
        Some(room) => format!("{}…", start(&folded, room)),
    }
}

/// Replaces what stands in brackets at a depth above `keep` by `…`. Arrows, comparison operators and a leading
/// `<` (Rust's `<T as Trait>`) are no arguments.
fn elide(name: &str, open: char, close: char, keep: usize) -> String {
    let keep = keep + usize::from(name.starts_with(open));
    let mut out = String::with_capacity(name.len());
    let mut depth = 0_usize;
    for (at, c) in name.char_indices() {
        let operator = open == '<'
            && (name[..at].trim_end_matches(['<', '>', '-', '=']).ends_with("operator")
                || (c == '>' && name[..at].ends_with(['-', '='])));
        if c == open && !operator {
            depth += 1;
            if depth == keep + 1 {
                out.push(open);
                if !name[at + 1..].starts_with(close) {
                    out.push('…');
                }
            }
        } else if c == close && !operator && depth > 0 {
            depth -= 1;
            if depth == keep {
                out.push(close);
                continue;
            }
        }
        if depth <= keep {
            out.push(c);
        }
    }
    out
}

/// How much a frame tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// It has no name.
    Nothing,
    /// It allocates on behalf of others.
    Plumbing,
    /// What allocates, and for whom.
    Something,
}

/// How much a frame tells.
#[must_use]
pub fn tells(frame: &Frame) -> Tells {
    match frame.function.as_deref() {
        None => Tells::Nothing,
        Some(function) if is_plumbing(function) => Tells::Plumbing,
        Some(_) => Tells::Something,
    }
}

/// The frame that tells most: the first named one that does not allocate on behalf of others, else the first
/// named one, else the first. `None` if there is no frame.
#[must_use]
pub fn telling(frames: &[Arc<Frame>]) -> Option<usize> {
    most_telling(frames.iter().map(|frame| tells(frame)))
}

/// As [`telling`], of frames that tell so much.
#[must_use]
pub fn most_telling(mut frames: impl Iterator<Item = Tells> + Clone) -> Option<usize> {
    let (mut named, is_empty) = (frames.clone(), frames.clone().next().is_none());
    frames
        .position(|tells| tells == Tells::Something)
        .or_else(|| named.position(|tells| tells != Tells::Nothing))
        .or((!is_empty).then_some(0))
}

fn is_plumbing(function: &str) -> bool {
    // glibc's other name of a function, for its own calls: `__GI___strdup`.
    let function = function.strip_prefix("__GI_").unwrap_or(function);
    let folded = elide(function, '<', '>', 0);
    let head = folded.split('(').next().unwrap_or(&folded);
    // C++ puts the return type of a template function first: `void std::vector<…>::push_back<…>`.
    let qualified = match head.find("operator new") {
        Some(at) => &head[at..],
        None => head.rsplit(' ').next().unwrap_or(head),
    };
    let bare = function.trim_start_matches(['<', '&', '_']);
    let c_name = !function.contains("::");
    PLUMBING.iter().any(|prefix| qualified.starts_with(prefix) || bare.starts_with(prefix))
        || (c_name
            && ["malloc", "calloc", "realloc"].iter().any(|word| qualified.to_lowercase().contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(function: &str) -> Frame {
        Frame {
            address: "0x1000".to_owned(),
            function: Some(function.to_owned()),
            module: Some("/usr/bin/app".to_owned()),
            build_id: None,
            file_offset: Some(0x1000),
            file: None,
            line: None,
            inlined: false,
            reason: None,
        }
    }

    #[test]
    fn names_fold_from_the_inside_to_the_width() {
        let check = |name: &str, width, expect: &str| assert_eq!(fold(name, width), expect, "{name}");
        for (name, width, expect) in [
            ("main", 10, "main"),
            ("std::map<int, std::vector<long>>::at(int)", 60, "std::map<int, std::vector<long>>::at(int)"),
            ("std::map<int, std::vector<long>>::at(int)", 38, "std::map<int, std::vector<…>>::at(int)"),
            ("std::map<int, std::vector<long>>::at(int)", 30, "std::map<…>::at(int)"),
            ("std::map<int, std::vector<long>>::at(int)", 18, "std::map<…>::at(…)"),
            ("std::map<int, std::vector<long>>::at(int)", 12, "…p<…>::at(…)"),
            ("A::operator->(B<C>)", 17, "A::operator->(…)"),
            ("A::operator<(B<C, D> const&)", 25, "A::operator<(B<…> const&)"),
            ("<alloc::vec::Vec<T, A> as Drop>::drop", 34, "<alloc::vec::Vec<…> as Drop>::drop"),
            ("<alloc::vec::Vec<T, A> as Drop>::drop", 30, "…c::vec::Vec<…> as Drop>::drop"),
            ("(anonymous namespace)::leak(std::vector<int>)", 26, "{anonymous}::leak(…)"),
            ("createEmbeddedStringObject", 14, "createEmbedde…"),
            ("キャッシュ::挿入", 16, "キャッシュ::挿入"),
            ("キャッシュ::挿入", 10, "…ュ::挿入"),
            ("キャッシュ::挿入", 8, "…::挿入"),
            ("キャッシュ::挿入", 1, "…"),
            ("キャッシュ::挿入", 0, ""),
        ] {
            check(name, width, expect);
        }
    }

    #[test]
    fn telling_frame_lies_above_those_that_allocate_for_others() {
        let check = |functions: &[&str], expect: &str| {
            let frames: Vec<Arc<Frame>> =
                functions.iter().map(|function| Arc::new(named(function))).collect();
            assert_eq!(telling(&frames).map(|at| functions[at]), Some(expect), "{functions:?}");
        };
        for (functions, expect) in [
            (&["main"][..], "main"),
            (&["operator new(unsigned long)", "Cache::insert(int)", "main"], "Cache::insert(int)"),
            (&["void std::vector<A>::push_back<B>(B&&)", "f()"], "f()"),
            (&["<alloc::vec::Vec<T> as core::iter::Extend<T>>::extend", "app::load"], "app::load"),
            (&["xmalloc", "read_file"], "read_file"),
            (&["PyMem_RawMalloc", "_PyObject_Malloc", "list_append"], "list_append"),
            (&["__GI___strdup", "parse_header"], "parse_header"),
            (&["__GI_setlocale", "main"], "__GI_setlocale"),
            (&["___asprintf", "write_access_log"], "write_access_log"),
            (&["Cache::reallocate(int)", "main"], "Cache::reallocate(int)"),
            (&["xmalloc"], "xmalloc"),
            (&["runtime.mallocgc", "runtime.newobject", "main.keep"], "main.keep"),
            (&["internal/runtime/maps.NewEmptyMap", "main.(*shop).labels"], "main.(*shop).labels"),
            (&["runtime.growslice", "bytes.growSlice", "bytes.(*Buffer).Write", "net/http.x"], "net/http.x"),
            (&["runtime.slicebytetostring", "strings.(*Builder).String", "main.f[...]"], "main.f[...]"),
            (&["runtime.malg", "runtime.newproc1"], "runtime.malg"),
            (&["runtimes.open", "main.main"], "runtimes.open"),
        ] {
            check(functions, expect);
        }
        assert_eq!(telling(&[]), None);
    }

    #[test]
    fn lines_keep_the_place_before_the_whole_name() {
        let mut frame = named("std::vector<std::string>::push_back(std::string const&)");
        assert_eq!(line(&frame, 80), "std::vector<std::string>::push_back(std::string const&) [app]");
        assert_eq!(line(&frame, 40), "std::vector<…>::push_back(…) [app]");
        frame.file = Some("/usr/include/c++/12/bits/stl_vector.h".to_owned());
        frame.line = Some(1287);
        frame.inlined = true;
        assert_eq!(line(&frame, 60), "std::vector<…>::push_back(…) (stl_vector.h:1287) inlined");
        frame.inlined = false;
        frame.function = Some("build_response".to_owned());
        assert_eq!(line(&frame, 37), "build_response (stl_vector.h:1287)");
        assert_eq!(line(&frame, 30), "build_response (:1287)");
        assert_eq!(line(&frame, 18), "build_response");
        assert_eq!(line(&frame, 10), "build_res…");
        frame.inlined = true;
        frame.function = None;
        assert_eq!(line(&frame, 60), "app+0x1000 (no symbol) inlined");
        frame.module = None;
        assert_eq!(line(&frame, 60), "[unknown] 0x1000 (no module) inlined");
    }
}
