//! Names of functions that say what was asked for: Go's runtime and library, and the containers of C++ and Rust.

use super::rule::Family;

/// Packages of Go that allocate for whoever calls them, with all below them.
const RUNTIME: [&str; 6] =
    ["runtime", "internal/runtime", "reflect", "internal/reflectlite", "internal/bytealg", "maps"];

/// First parts of the paths of the packages of Go's library (`go list std`); `vendor` is what it carries along.
const LIBRARY: [&str; 51] = [
    "archive",
    "bufio",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "unicode",
    "unique",
    "unsafe",
    "uuid",
    "vendor",
    "weak",
];

/// Make a map's header (`runtime/map.go`, since 1.24 `runtime/map_swiss.go` and `internal/runtime/maps/map.go`; 1.26:
/// `runtime/map.go`).
const MAKERS: [&str; 7] = [
    "runtime.makemap_small",
    "runtime.makemap",
    "runtime.makemap64",
    "reflect.makemap",
    "internal/runtime/maps.NewMap",
    "internal/runtime/maps.NewEmptyMap",
    "internal/runtime/maps.(*Map).Clone",
];

/// Make what a map of a given size needs: buckets, or a table and its groups.
const ARRAYS: [&str; 4] = [
    "runtime.makeBucketArray",
    "internal/runtime/maps.newTable",
    "internal/runtime/maps.newGroups",
    "internal/runtime/maps.newarray",
];

/// Of these, what is made once for each map that was asked for with a size.
const ARRAYS_ONCE: [&str; 2] = ["runtime.makeBucketArray", "internal/runtime/maps.newGroups"];

/// Make a map larger, or give a bucket one more.
const GROWERS: [&str; 9] = [
    "runtime.hashGrow",
    "runtime.growWork",
    "runtime.evacuate",
    "runtime.(*hmap).newoverflow",
    "runtime.(*hmap).createOverflow",
    "internal/runtime/maps.(*Map).growToTable",
    "internal/runtime/maps.(*table).grow",
    "internal/runtime/maps.(*table).rehash",
    "internal/runtime/maps.(*table).split",
];

/// Put something into a map: they make its first bucket or group themselves.
const FILLERS: [&str; 3] = ["runtime.mapassign", "reflect.mapassign", FIRST_GROUP];
/// Makes the first group of a map, since Go 1.24.
const FIRST_GROUP: &str = "internal/runtime/maps.(*Map).growToSmall";

/// Bytes of a map's header: `hmap` up to Go 1.23, `maps.Map` since 1.24.
pub(super) const MAP_HEADER_BYTES: f64 = 48.0;

/// Functions of the runtime that say what they were called for, by the beginning of the name; the first that is on the stack
/// decides.
const RUNTIME_CALLS: [(&str, Family); 10] = [
    ("runtime.concatstring", Family::Concat),
    ("runtime.concatbytes", Family::Concat),
    ("runtime.slicebytetostring", Family::Conversion),
    ("runtime.stringtoslice", Family::Conversion),
    ("runtime.slicerunetostring", Family::Conversion),
    ("runtime.growslice", Family::SliceGrowth),
    ("runtime.reflect_growslice", Family::SliceGrowth),
    ("runtime.convT", Family::Boxing),
    ("runtime.makeslice", Family::Slice),
    ("runtime.newobject", Family::Object),
];

/// The same of functions of Go's library that the program calls directly.
const LIBRARY_CALLS: [(&str, Family); 14] = [
    ("strings.(*Builder).", Family::BufferGrowth),
    ("bytes.(*Buffer).", Family::BufferGrowth),
    ("fmt.", Family::Format),
    ("strconv.", Family::Format),
    ("strings.", Family::Text),
    ("regexp.Compile", Family::Compiled),
    ("regexp.MustCompile", Family::Compiled),
    // These compile on each call (`regexp/regexp.go`).
    ("regexp.Match", Family::Compiled),
    ("text/template.Parse", Family::Compiled),
    ("text/template.(*Template).Parse", Family::Compiled),
    ("html/template.Parse", Family::Compiled),
    ("html/template.(*Template).Parse", Family::Compiled),
    ("bufio.New", Family::Stream),
    // A writer takes its tables at the first write (`compress/gzip/gzip.go`).
    ("compress/", Family::Stream),
];

/// Parts of the names of functions that make a container's block larger: libstdc++'s, libc++'s, Rust's.
const CONTAINER_GROWERS: [&str; 11] = [
    "_M_realloc_insert",
    "_M_realloc_append",
    "_M_default_append",
    "_M_range_insert",
    "::_M_mutate(",
    "__push_back_slow_path",
    "__emplace_back_slow_path",
    "raw_vec::finish_grow",
    "::grow_amortized",
    "::grow_one",
    "do_reserve_and_handle",
];

/// What part of a map an allocation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapPart {
    /// The header: one per map.
    Header,
    /// The first bucket or group of a map that was asked for without a size.
    First,
    /// Buckets or groups of a map that was asked for with a size; `true`: one such per map.
    Sized(bool),
    /// A larger place for a map that was full, or an overflow bucket.
    Growth,
    /// A key or an element that is too large to lie in a group: one for each that is put in. Known since Go 1.24.
    Element,
}

/// The package of a function as Go writes it: `net/http` of `net/http.(*conn).serve`.
fn package(function: &str) -> &str {
    // Type arguments have paths of their own.
    let plain = function.split('[').next().unwrap_or(function);
    let last = plain.rfind('/').map_or(0, |slash| slash + 1);
    let end = plain.get(last..).and_then(|name| name.find('.')).map_or(plain.len(), |dot| last + dot);
    plain.get(..end).unwrap_or(plain)
}

/// Whether a function belongs to what allocates for whoever calls it.
pub(super) fn is_runtime(function: &str) -> bool {
    let package = package(function);
    RUNTIME.iter().any(|runtime| {
        package.strip_prefix(runtime).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Whether a function is of Go's library, its runtime included: nobody who writes a program changes it.
pub(super) fn is_library(function: &str) -> bool {
    let package = package(function);
    let first = package.split('/').next().unwrap_or(package);
    // What a plugin is called that was built from a list of files (`cmd/go/internal/work/gc.go`).
    LIBRARY.contains(&first) && !package.starts_with("plugin/unnamed-")
}

/// The part of a map that the functions of the runtime on a stack make; `None` if it is none. Objects of `mean_bytes` each.
pub(super) fn map_part(functions: &[&str], mean_bytes: f64) -> Option<MapPart> {
    let has = |names: &[&str]| functions.iter().any(|function| names.contains(function));
    // `growWork_faststr`, `mapassign_fast64`.
    let begins = |names: &[&str]| {
        functions.iter().any(|function| {
            names.iter().any(|name| {
                function
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '0']))
            })
        })
    };
    if begins(&GROWERS) {
        Some(MapPart::Growth)
    } else if has(&MAKERS) && has(&ARRAYS) {
        Some(MapPart::Sized(has(&ARRAYS_ONCE)))
    } else if has(&MAKERS) {
        let is_header = (mean_bytes - MAP_HEADER_BYTES).abs() < 1.0;
        Some(if is_header { MapPart::Header } else { MapPart::Sized(false) })
    } else if begins(&FILLERS) {
        // Before Go 1.24 both are made by the function that was called.
        let is_told = functions.iter().any(|function| function.starts_with("internal/runtime/maps."));
        let is_first = !is_told || has(&[FIRST_GROUP]);
        Some(if is_first { MapPart::First } else { MapPart::Element })
    } else {
        None
    }
}

/// What functions of the runtime were called for.
pub(super) fn runtime_family(functions: &[&str]) -> Option<Family> {
    let is_there = |name: &str| functions.iter().any(|function| function.starts_with(name));
    RUNTIME_CALLS.iter().find(|(name, _)| is_there(name)).map(|&(_, family)| family)
}

/// What a function of the library was called for.
pub(super) fn library_family(function: &str) -> Family {
    let found = LIBRARY_CALLS.iter().find(|(name, _)| function.starts_with(name));
    found.map_or(Family::Library, |&(_, family)| family)
}

/// Whether a function makes a container's block larger.
pub(super) fn grows_container(function: &str) -> bool {
    CONTAINER_GROWERS.iter().any(|part| function.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_from_names() {
        let check = |function: &str, expect: &str, library: bool, runtime: bool| {
            assert_eq!(
                (package(function), is_library(function), is_runtime(function)),
                (expect, library, runtime)
            );
        };
        check("main.main", "main", false, false);
        check("net/http.(*conn).serve", "net/http", true, false);
        check("runtime.makemap", "runtime", true, true);
        check("runtime/pprof.WriteHeapProfile", "runtime/pprof", true, true);
        check("internal/runtime/maps.(*Map).growToTable", "internal/runtime/maps", true, true);
        check("reflect.Value.SetMapIndex", "reflect", true, true);
        check("reflectx.New", "reflectx", false, false);
        check("github.com/shop/cart.Add", "github.com/shop/cart", false, false);
        check("slices.Collect[go.shape.int,github.com/a/b.T]", "slices", true, false);
        check("main.gen[...]", "main", false, false);
        check("maps.Clone[...]", "maps", true, true);
        check("plugin.Open", "plugin", true, false);
        check("plugin/unnamed-0123abcd.lookup", "plugin/unnamed-0123abcd", false, false);
        check("vendor/golang.org/x/net/http2/hpack.x", "vendor/golang.org/x/net/http2/hpack", true, false);
    }

    #[test]
    fn parts_of_maps_are_told_by_the_functions_that_make_them() {
        let check = |functions: &[&str], mean_bytes: f64, expect: Option<MapPart>| {
            assert_eq!(map_part(functions, mean_bytes), expect, "{functions:?}");
        };
        let maps = "internal/runtime/maps.";
        let (group, put) = (format!("{maps}newGroups"), format!("{maps}(*Map).putSlotSmall"));
        let (small, clone) = (format!("{maps}(*Map).growToSmall"), format!("{maps}(*Map).Clone"));
        check(&["runtime.makemap_small"], 48.0, Some(MapPart::Header));
        check(&["runtime.newobject", "runtime.mapassign_faststr"], 208.0, Some(MapPart::First));
        check(&[&group, &small, "runtime.mapassign_faststr"], 208.0, Some(MapPart::First));
        check(
            &["runtime.newobject", "internal/runtime/maps.newobject", &put, "runtime.mapassign"],
            256.0,
            Some(MapPart::Element),
        );
        check(&[&clone, "runtime.mapclone2"], 48.0, Some(MapPart::Header));
        check(&[&group, &clone, "runtime.mapclone2"], 416.0, Some(MapPart::Sized(true)));
        check(&["runtime.mallocgc", "runtime.newobject"], 48.0, None);
    }
}
