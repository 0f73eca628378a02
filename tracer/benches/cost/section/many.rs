//! Section `many`: what tracer needs for many processes of one image, and for as many images.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::{Section, rounds};
use crate::arguments::Arguments;
use crate::compile;
use crate::ours::{self, Outcome};
use crate::samples::Samples;
use crate::setting::Setting;
use crate::table::{format, head, mebibytes, milliseconds, number};
use crate::workload::{Shape, Workload};

/// Processes of one image.
const PROCESSES: [usize; 2] = [100, 200];
/// Images, each in a process of its own.
const IMAGES: usize = 50;
/// Smallest library that makes an image another one.
const LIBRARY_BYTES_MIN: u64 = 200_000;
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let one = compile::pairs()?;
    let mut values = Samples::default();
    let mut lines = Vec::new();
    for processes in PROCESSES {
        let all: Vec<_> = (0..processes)
            .map(|_| Workload::start_by(Command::new(&one), Shape::USUAL))
            .collect::<Result<_>>()?;
        lines.push(measure(&format!("{processes} processes of one image"), &all, arguments, &mut values)?);
    }
    let libraries = libraries()?;
    let start = |library: &PathBuf| {
        let mut command = Command::new(&one);
        command.env("LD_PRELOAD", library);
        Workload::start_by(command, Shape::USUAL)
    };
    let all: Vec<_> = libraries.iter().filter_map(|library| start(library).ok()).take(IMAGES).collect();
    lines.push(measure(
        &format!("{} processes, each with another library", all.len()),
        &all,
        arguments,
        &mut values,
    )?);
    let mut table = vec![head(&[
        "median of the rounds, mode live, every",
        "start to `counting`, ms",
        "CPU until then, ms",
        "CPU in 2 s of counting, ms",
        "peak RSS until SIGINT, MiB",
        "maps in the kernel, MiB",
        "SIGINT to exit, ms",
    ])];
    table.extend(lines);
    print!("{}", format(&table));
    Ok(())
}

fn measure(
    name: &str,
    all: &[Workload],
    arguments: &Arguments,
    values: &mut Samples<(String, usize)>,
) -> Result<Vec<String>> {
    let setting = Setting::new(tracer::mode::Mode::Live, false);
    let pids: Vec<u32> = all.iter().map(Workload::pid).collect();
    for _ in rounds(Section::Many, arguments) {
        let outcome = ours::measure_all(setting, &pids, |_| {
            std::thread::sleep(std::time::Duration::from_secs(2));
            Ok(())
        })?;
        let Outcome::Counted(run) = outcome else { bail!("tracer refused {name}") };
        let ends = &run.ends;
        let seen = [
            milliseconds(ends.attach),
            milliseconds(ends.cpu_attaching),
            milliseconds(ends.cpu_counting),
            mebibytes(ends.counting_resident_bytes),
            mebibytes(ends.map_bytes),
            milliseconds(ends.detach),
        ];
        seen.into_iter().enumerate().for_each(|(column, value)| values.add((name.to_owned(), column), value));
    }
    let columns = (0..6).map(|column| number(values.median(&(name.to_owned(), column)), 1));
    Ok(std::iter::once(name.to_owned()).chain(columns).collect())
}

/// The largest libraries here, each once.
fn libraries() -> Result<Vec<PathBuf>> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(LIBRARIES)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_allocator = ["jemalloc", "tcmalloc", "mimalloc", "profiler", "asan", "tsan", "lsan", "ubsan"]
            .iter()
            .any(|word| name.contains(word));
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.is_file() && name.contains(".so") && !is_allocator && metadata.len() >= LIBRARY_BYTES_MIN
        {
            found.push((metadata.len(), path));
        }
    }
    found.sort();
    Ok(found.into_iter().rev().map(|(_, path)| path).collect())
}
