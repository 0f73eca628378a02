//! tracer on the service, and what of its document the table is made of.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::running::Running;
use crate::{
    process::{privileged, say},
    toolchain,
};

/// What tracer may need beyond its duration.
const SLACK: Duration = Duration::from_secs(60);
/// What [`PerRequest`](super::go::PerRequest) is about; everything below them counts.
const HOT_FUNCTIONS: [&str; 2] = ["main.summarizeMaps", "main.summarizeViews"];
const RUNTIME: [&str; 4] = ["runtime.", "internal/runtime/", "reflect.", "internal/reflectlite."];

/// tracer at work.
pub(super) struct Tracing {
    running: Running,
    document: PathBuf,
    messages: PathBuf,
    limit: Duration,
}

/// The document of one process of Go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    /// When counting began, since 1970.
    pub(super) from_ns: i64,
    /// When it ended.
    pub(super) to_ns: i64,
    /// Of its own clock.
    pub(super) seconds: f64,
    /// `MemProfileRate`.
    pub(super) sample_bytes: u64,
    pub(super) alloc_objects: u64,
    pub(super) alloc_bytes: u64,
    pub(super) gc: GcNumbers,
    pub(super) hot: Estimate,
    /// The function above the runtime's of the site with the most objects.
    pub(super) top_by_objects: Option<String>,
    /// The same by bytes.
    pub(super) top_by_bytes: Option<String>,
}

/// What tracer says of the collections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GcNumbers {
    pub(super) cycles: u64,
    pub(super) pause_seconds: f64,
    pub(super) longest_pause_seconds: Option<f64>,
    pub(super) cpu_ratio: Option<f64>,
}

/// The sum of the sites below the hot function.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Estimate {
    pub(super) objects: f64,
    pub(super) objects_error: f64,
    pub(super) bytes: f64,
    pub(super) bytes_error: f64,
}

impl Tracing {
    /// Attaches for so long, with further options of `attach`.
    pub(super) fn start(pid: u32, duration: Duration, options: &[&str], folder: &Path) -> Result<Self> {
        let (document, messages) = (folder.join("tracer.json"), folder.join("tracer.stderr"));
        let create =
            |path: &Path| File::create(path).with_context(|| format!("failed to create {}", path.display()));
        let mut tracer = privileged(toolchain::tracer(true))?;
        tracer
            .args(["attach", "--pid", &pid.to_string(), "--duration", &format!("{}s", duration.as_secs())])
            .args(["--format", "json"])
            .args(options)
            .stdout(Stdio::from(create(&document)?))
            .stderr(Stdio::from(create(&messages)?));
        let running = Running::start(&mut tracer)?;
        Ok(Self { running, document, messages, limit: duration + SLACK })
    }

    /// Waits for its end; what it has written.
    pub(super) fn end(mut self) -> Result<String> {
        let status = self.running.wait(self.limit)?;
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
        };
        let messages = read(&self.messages)?;
        if !status.success() {
            bail!("tracer failed ({status}): {}", messages.trim());
        }
        for line in messages.lines() {
            say(&format!("tracer says: {line}"));
        }
        read(&self.document)
    }
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("it is no JSON")?;
        let target = &value["targets"][0];
        let allocators = target["allocators"].as_array().context("it has no allocators")?;
        let go = allocators
            .iter()
            .find(|allocator| allocator["name"] == "go" && allocator["source"] == "runtime")
            .context("no allocator has the name go and the source runtime: was Go's runtime not read?")?;
        let whole =
            |of: &Value, name: &str| of[name].as_u64().with_context(|| format!("there is no number {name}"));
        let number =
            |of: &Value, name: &str| of[name].as_f64().with_context(|| format!("there is no number {name}"));
        let Span { from_ns, to_ns, seconds } = span_of(&value)?;
        let gc = target.get("gc").filter(|gc| !gc.is_null()).context("the target has no gc")?;
        let sites = value["sites"].as_array().context("it has no sites")?;
        Ok(Self {
            from_ns,
            to_ns,
            seconds,
            sample_bytes: whole(go, "sample_bytes")?,
            alloc_objects: whole(&go["totals"], "alloc_objects")?,
            alloc_bytes: whole(&go["totals"], "alloc_bytes")?,
            gc: GcNumbers {
                cycles: whole(gc, "cycles")?,
                pause_seconds: number(gc, "pause_seconds")?,
                longest_pause_seconds: gc["longest_pause_seconds"].as_f64(),
                cpu_ratio: gc["cpu_ratio"].as_f64(),
            },
            hot: hot(sites)?,
            top_by_objects: top(sites, "alloc_objects"),
            top_by_bytes: top(sites, "alloc_bytes"),
        })
    }
}

/// When it was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    /// Since 1970.
    pub(super) from_ns: i64,
    pub(super) to_ns: i64,
    seconds: f64,
}

impl Span {
    /// Of a document, whatever else is in it.
    pub(super) fn parse(text: &str) -> Result<Self> {
        span_of(&serde_json::from_str(text).context("it is no JSON")?)
    }
}

/// Whether the allocations of Go were counted by probes.
pub(super) fn is_probed(text: &str) -> Result<bool> {
    let document: Value = serde_json::from_str(text).context("it is no JSON")?;
    let allocators = document["targets"][0]["allocators"].as_array().into_iter().flatten();
    let mut of_go = allocators.filter(|allocator| allocator["name"] == "go");
    Ok(of_go.any(|allocator| allocator["source"] == "uprobe"))
}

fn span_of(document: &Value) -> Result<Span> {
    let seconds = document["attached_seconds"].as_f64().context("there is no number attached_seconds")?;
    let started = document["started_at"].as_str().context("there is no started_at")?;
    let started: jiff::Timestamp = started.parse().context("started_at is no time")?;
    let from_ns = i64::try_from(started.as_nanosecond())?;
    Ok(Span { from_ns, to_ns: from_ns.saturating_add((seconds * 1e9) as i64), seconds })
}

fn functions(site: &Value) -> impl Iterator<Item = &str> {
    site["frames"].as_array().into_iter().flatten().filter_map(|frame| frame["function"].as_str())
}

/// Sites are sampled independently of each other: the variances of their sum add up.
fn hot(sites: &[Value]) -> Result<Estimate> {
    let mut sum = Estimate::default();
    for site in sites.iter().filter(|site| functions(site).any(|function| HOT_FUNCTIONS.contains(&function)))
    {
        let number =
            |of: &Value, name: &str| of[name].as_f64().with_context(|| format!("a site has no {name}"));
        let errors = &site["standard_error"];
        sum.objects += number(site, "alloc_objects")?;
        sum.objects_error = sum.objects_error.hypot(number(errors, "alloc_objects")?);
        sum.bytes += number(site, "alloc_bytes")?;
        sum.bytes_error = sum.bytes_error.hypot(number(errors, "alloc_bytes")?);
    }
    Ok(sum)
}

/// The first function that is none of the runtime's, of the site with most.
fn top(sites: &[Value], name: &str) -> Option<String> {
    let most = sites.iter().max_by_key(|site| site[name].as_u64())?;
    let is_users = |function: &&str| !RUNTIME.iter().any(|prefix| function.starts_with(prefix));
    functions(most).find(is_users).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        let site = |objects: u64, bytes: u64, functions: &[&str]| {
            let frames: Vec<Value> = functions.iter().map(|function| json!({"function": function})).collect();
            json!({"alloc_objects": objects, "alloc_bytes": bytes, "frames": frames,
                "standard_error": {"alloc_objects": 3.0, "alloc_bytes": 40.0}})
        };
        json!({
            "schema": "tracer/1", "started_at": "2026-11-23T07:00:00.5Z", "attached_seconds": 10.25,
            "targets": [{
                "allocators": [
                    {"name": "glibc", "source": "uprobe", "totals": {"alloc_objects": 1, "alloc_bytes": 2}},
                    {"name": "go", "source": "runtime", "sample_bytes": 524_288,
                        "totals": {"alloc_objects": 1000, "alloc_bytes": 50_000}}],
                "gc": {"cycles": 80, "pause_seconds": 0.02, "longest_pause_seconds": null, "cpu_ratio": 0.1}}],
            "sites": [
                site(500, 24_000, &["runtime.makemap_small", "main.(*freshMaps).lookupLabels", "main.summarizeMaps"]),
                site(100, 30_000, &["main.(*freshMaps).lookupAttributes", "main.summarizeMaps", "net/http.x"]),
                site(400, 4000, &["net/http.x"])],
        })
    }

    #[test]
    fn gos_numbers_are_read_and_the_sites_below_the_hot_function_are_summed() {
        let read = Document::parse(&document().to_string()).unwrap();
        assert_eq!((read.alloc_objects, read.alloc_bytes, read.sample_bytes), (1000, 50_000, 524_288));
        assert_eq!(read.to_ns - read.from_ns, 10_250_000_000);
        assert_eq!(read.from_ns, 1_795_417_200_500_000_000);
        assert_eq!((read.gc.cycles, read.gc.longest_pause_seconds, read.gc.cpu_ratio), (80, None, Some(0.1)));
        assert_eq!((read.hot.objects, read.hot.bytes), (600.0, 54_000.0));
        assert!((read.hot.objects_error - 18.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!(read.top_by_objects.as_deref(), Some("main.(*freshMaps).lookupLabels"));
        assert_eq!(read.top_by_bytes.as_deref(), Some("main.(*freshMaps).lookupAttributes"));
    }

    #[test]
    fn a_document_without_gos_runtime_is_refused_with_what_is_missing() {
        let without = |change: &dyn Fn(&mut Value)| {
            let mut document = document();
            change(&mut document);
            format!("{:#}", Document::parse(&document.to_string()).expect_err("something is missing"))
        };
        let targets = |value: &mut Value, path: &str| *value.pointer_mut(path).unwrap() = Value::Null;
        for (path, word) in [
            ("/targets/0/allocators/1/source", "the source runtime"),
            ("/targets/0/gc", "gc"),
            ("/targets/0/allocators/1/totals/alloc_bytes", "alloc_bytes"),
            ("/started_at", "started_at"),
            ("/targets/0", "allocators"),
            ("/sites/0/standard_error", "alloc_objects"),
        ] {
            let error = without(&|value| targets(value, path));
            assert!(error.contains(word), "{path}: {error}");
        }
    }
}
