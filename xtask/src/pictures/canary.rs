//! The pictures of a comparison: what a pull request shows of it, and what has changed as a flame graph.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use pulldown_cmark::{Options, Parser, html};

use crate::{
    process::{run, say, shown},
    stage::{Cast, Stage},
    toolchain,
};

/// Processes of each release: fewer say nothing of how processes differ.
const PROCESSES: u32 = 3;
/// Bytes of a value, before and after.
const PAYLOADS: [u32; 2] = [64, 160];
/// `compare` says that a pipeline must stop.
const STOP: i32 = 3;
const STYLE: &str = "body{font:14px 'DejaVu Sans',sans-serif;margin:20px}table{border-collapse:collapse;font-size:13px}\
    td,th{border:1px solid #d0d7de;padding:4px 10px}code{background:#eff1f3;border-radius:6px;padding:2px 5px;font-size:12px}\
    h3{font-size:17px}";

/// Compares redis with larger values to redis, and writes both pictures.
pub(super) fn take(stage: &Stage, folder: &Path) -> Result<()> {
    let release = |payload: u32| -> Result<Vec<Cast>> {
        (0..PROCESSES).map(|number| stage.redis(&format!("{payload}-{number}"), "set", payload)).collect()
    };
    let [base, canary] = PAYLOADS.map(release);
    let (base, canary) = (base?, canary?);
    let flame_graph = folder.join("canary-flamegraph.svg");
    let markdown = stage.path("comparison.md");
    say("comparing for 20 s");
    let mut compare = Command::new(toolchain::tracer(true));
    compare.arg("compare").args([&base, &canary].map(|casts| pids(casts)));
    compare.args(["--duration", "20s", "--sample-bytes", "16KiB", "--format", "markdown"]);
    compare.arg("-o").arg(&flame_graph).arg("-o").arg(&markdown);
    let status = compare.status().context("failed to start tracer")?;
    if status.code() != Some(STOP) {
        bail!("values of more than twice the size were not found worse ({status}): `{}`", shown(&compare));
    }
    let text =
        fs::read_to_string(&markdown).with_context(|| format!("failed to read {}", markdown.display()))?;
    let page = stage.path("comparison.html");
    fs::write(&page, document(&text)).with_context(|| format!("failed to write {}", page.display()))?;
    let picture = folder.join("canary-markdown.png");
    photograph(&page, &stage.path("browser"), &picture)?;
    for path in [flame_graph, picture] {
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

fn pids(casts: &[Cast]) -> String {
    let pids: Vec<String> = casts.iter().flat_map(Cast::pids).map(|pid| pid.to_string()).collect();
    format!("pid:{}", pids.join(","))
}

/// As a forge would show it, in a page. Its sign is no letter of any font that must be there.
fn document(markdown: &str) -> String {
    let mut body = String::new();
    html::push_html(&mut body, Parser::new_ext(markdown, Options::ENABLE_TABLES));
    let body = body.replace('🛑', "<span style=\"color:#cf222e\">\u{2b22}</span>");
    format!("<!doctype html><meta charset=utf-8><style>{STYLE}</style>{body}")
}

fn photograph(page: &Path, profile: &Path, picture: &Path) -> Result<()> {
    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    browser.args(["--hide-scrollbars", "--window-size=1240,480"]);
    browser.arg(format!("--user-data-dir={}", profile.display()));
    browser.arg(format!("--screenshot={}", picture.display()));
    browser.arg(format!("file://{}", page.display()));
    run(&mut browser).context("failed to render the Markdown; `cargo xtask setup --test` gets chromium")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_in_markdown_becomes_a_page_with_its_tables() {
        let page = document("### 🛑 worse\n\n| | base |\n|---|---:|\n| `a` | 1 |\n\n<details>x</details>\n");
        for expect in ["\u{2b22}", "<table>", "<code>a</code>", "<details>"] {
            assert!(page.contains(expect), "{expect}: {page}");
        }
        assert!(!page.contains('🛑'));
    }
}
