//! Section `unwind`: stacks by unwind tables, hot and cold, against stacks by frame pointers, in the same rounds; and what
//! the tables take.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use tracer::elf::Image;
use tracer::mode::Mode;
use tracer::unwind::UnwindSource;

use super::{Section, rounds, say};
use crate::arguments::Arguments;
use crate::compile;
use crate::floor::ProbeSet;
use crate::rig::Rig;
use crate::rows::Row;
use crate::samples::median;
use crate::setting::{Setting, Walk};
use crate::table::{format, head, milliseconds, number};
use crate::workload::Shape;

const WALKS: [Walk; 3] = [Walk::FramePointers, Walk::Tables, Walk::TablesEachTime];

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let settings: Vec<Setting> = [(Mode::Alloc, false), (Mode::Alloc, true), (Mode::Live, false)]
        .into_iter()
        .flat_map(|(mode, is_sampled)| WALKS.map(|walk| Setting::new(mode, is_sampled).walked(walk)))
        .collect();
    let mut rig = Rig::start(Shape::USUAL)?;
    for _ in rounds(Section::Unwind, arguments) {
        rig.round(&[ProbeSet::E, ProbeSet::L], &settings, arguments.pairs)?;
    }
    let mut table =
        vec![head(&["16 stacks, 16 calls deep", "ns per pair", "× floor", "× by frame pointers", "bound"])];
    for setting in settings {
        let row = Row::Ours(setting);
        let pointers = rig.rows.median(Row::Ours(setting.walked(Walk::FramePointers)));
        let over = rig.rows.median(row).zip(pointers).map(|(ours, theirs)| ours / theirs);
        let bound = match (setting.mode, setting.is_sampled, setting.walk) {
            (Mode::Alloc, false, Walk::Tables) => "1.6 × by frame pointers".to_owned(),
            _ => format!("{:.2} × {:?}", setting.bound(), setting.floor()),
        };
        table.push(vec![
            row.name(),
            number(rig.rows.median(row), 1),
            rig.rows
                .over_floor(row)
                .map_or_else(String::new, |ratio| format!("{ratio:.2} × {:?}", setting.floor())),
            number(over, 2),
            bound,
        ]);
    }
    print!("{}", format(&table));
    say(&[("16 stacks".to_owned(), &rig.rows)]);
    print!("{}", format(&tables(arguments)?));
    Ok(())
}

/// Sizes and times of tables: of the libraries that every process has, and of a huge one.
fn tables(arguments: &Arguments) -> Result<Vec<Vec<String>>> {
    let mut table = vec![head(&["table of", "file, MB", "rows", "KiB", "built in, ms", "bound"])];
    let objects: [(PathBuf, &str); 4] = [
        ("/lib/x86_64-linux-gnu/libc.so.6".into(), "128 KiB"),
        ("/usr/lib/x86_64-linux-gnu/libstdc++.so.6".into(), ""),
        ("/usr/bin/python3".into(), ""),
        (compile::large_library()?, "8 MiB, 2000 ms"),
    ];
    for (path, bound) in objects {
        let Ok(file) = std::fs::File::open(&path) else {
            println!("no table of {}: it is not there", path.display());
            continue;
        };
        let file_bytes = file.metadata()?.len();
        let mut times = Vec::new();
        let mut built = None;
        for _ in 0..arguments.rounds {
            let image = Image::open(file.try_clone()?)?;
            let started = Instant::now();
            let source =
                UnwindSource::load(&image).map_err(anyhow::Error::msg)?.context("no frame descriptions")?;
            built = Some(source.build().map_err(anyhow::Error::msg)?);
            times.push(milliseconds(started.elapsed()));
        }
        let built = built.context("no round")?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        table.push(vec![
            name.unwrap_or_default(),
            format!("{:.1}", file_bytes as f64 / 1e6),
            built.statistics().rows.to_string(),
            (built.words().len() / 256).to_string(),
            number(median(times.into_iter()), 1),
            bound.to_owned(),
        ]);
    }
    Ok(table)
}
