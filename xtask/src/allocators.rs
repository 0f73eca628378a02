//! `allocators`: runs the matrix of allocators and writes its result into the documents.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use lexopt::Parser;
use serde_json::Value;

use crate::{
    build, no_more,
    process::{run, say},
    setup,
    test::suites,
    toolchain,
};

/// Where the tests leave their results, by this name in the environment.
const FOLDER: &str = "TRACER_ALLOCATORS";
/// The tests of the matrix.
const TESTS: &str = "allocators::";
const BEGIN: &str = "<!-- begin: written by `cargo xtask allocators` -->";
const END: &str = "<!-- end -->";
const HEAD: [&str; 8] =
    ["allocator", "link form", "seen as", "entry points", "live", "alloc", "live, sampled", "note"];

/// `cargo xtask allocators`
pub(crate) fn task(args: Parser) -> Result<()> {
    no_more(args)?;
    setup::prepare(setup::For::Testing)?;
    build::all(true)?;
    let folder = toolchain::target_dir().join("allocators");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let tests = run(suites::end_to_end_command(Some(TESTS))?.env(FOLDER, &folder));
    // Also when a cell is wrong: then the table says so.
    let document = toolchain::repository().join("docs/allocators.md");
    let text =
        fs::read_to_string(&document).with_context(|| format!("failed to read {}", document.display()))?;
    let written = replaced(&text, &table(&rows(&folder)?)?)?;
    fs::write(&document, written).with_context(|| format!("failed to write {}", document.display()))?;
    say(&format!("wrote {}", document.display()));
    tests
}

/// What the tests left, by allocator, then in the order of the tests.
fn rows(folder: &Path) -> Result<Vec<Value>> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no result", path.display()))
    };
    let mut rows: Vec<Value> = paths.into_iter().map(read).collect::<Result<_>>()?;
    rows.sort_by_key(|row| row["allocator"].as_str().unwrap_or_default().to_owned());
    if rows.is_empty() {
        bail!("the tests left no result in {}: were they skipped?", folder.display());
    }
    Ok(rows)
}

fn table(rows: &[Value]) -> Result<String> {
    let mut lines = vec![HEAD.map(str::to_owned).to_vec(), HEAD.map(|_| "---".to_owned()).to_vec()];
    for row in rows {
        lines.push(cells(row).ok_or_else(|| anyhow!("{row} is no result of the matrix"))?);
    }
    Ok(lines.iter().map(|cells| format!("| {} |\n", cells.join(" | "))).collect())
}

fn cells(row: &Value) -> Option<Vec<String>> {
    let seen = row["seen"].as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let mut cells = vec![
        row["allocator"].as_str()?.to_owned(),
        row["link"].as_str()?.to_owned(),
        seen,
        row["entry_points"].as_u64()?.to_string(),
    ];
    let results = row["results"].as_array()?;
    cells.extend(results.iter().filter_map(Value::as_str).map(str::to_owned));
    // What a program says may hold what a table takes for its own.
    cells.push(row["note"].as_str()?.replace('|', "\\|").replace('\n', " "));
    (cells.len() == HEAD.len()).then_some(cells)
}

/// The document with another table between the marks.
fn replaced(document: &str, table: &str) -> Result<String> {
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| anyhow!("the document has no {BEGIN} and {END}"))?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_becomes_a_line_between_the_marks() {
        let row = serde_json::json!({
            "allocator": "musl", "link": "static", "seen": ["musl 1.2.3"], "entry_points": 7,
            "results": ["exact", "exact", "wrong"], "note": "a | b",
        });
        let table = table(&[row]).unwrap();
        let line = "| musl | static | musl 1.2.3 | 7 | exact | exact | wrong | a \\| b |\n";
        assert!(table.ends_with(line), "{table}");
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        assert_eq!(replaced(&document, &table).unwrap(), format!("before\n{BEGIN}\n{table}{END}\nafter\n"));
    }

    #[test]
    fn a_document_without_marks_and_a_result_without_fields_are_errors() {
        assert!(replaced("nothing", "").is_err());
        assert!(table(&[serde_json::json!({"allocator": "musl"})]).is_err());
    }
}
