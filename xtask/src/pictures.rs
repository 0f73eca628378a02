//! `pictures`: the pictures of the live view and of a comparison, out of real runs.

mod canary;
mod grid;

use std::{fs, path::Path};

use anstyle_svg::{Term, WIN10_CONSOLE};
use anyhow::{Context, Result, bail};
use lexopt::Parser;

use crate::{
    build, no_more,
    process::say,
    setup,
    stage::{Cast, Stage},
    toolchain,
};

const FOLDER: &str = "docs/pictures";

/// A run of the live view, and what is done before the picture is taken.
struct Picture {
    name: &'static str,
    cast: fn(&Stage) -> Result<Cast>,
    size: (u16, u16),
    seconds: u64,
    keys: &'static [&'static str],
}

/// The trends of the list are of the last minute.
const PICTURES: [Picture; 2] = [
    Picture {
        name: "sites",
        cast: |stage| Ok(Cast::of(vec![stage.leaky_service("leaky-service", &[])?])),
        size: (120, 24),
        seconds: 66,
        keys: &[],
    },
    Picture {
        name: "flame",
        cast: |stage| stage.redis("redis", "set,lpush,hset,zadd", 200),
        size: (120, 28),
        seconds: 66,
        // To a box of the program itself, below what starts every program.
        keys: &["3", "Down", "Down", "Down", "Down", "Down", "Down", "Down", "Down", "Down", "Down", "Down"],
    },
];

/// `cargo xtask pictures`
pub(crate) fn task(args: Parser) -> Result<()> {
    no_more(args)?;
    setup::prepare(setup::For::Testing)?;
    build::all(true)?;
    let folder = toolchain::repository().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let stage = Stage::set()?;
    say("running for a minute");
    let mut running = Vec::new();
    for picture in &PICTURES {
        let cast = (picture.cast)(&stage)?;
        let view = stage.view(picture.name, picture.size, &cast, &[])?;
        running.push((picture, view, cast));
    }
    for (picture, view, _cast) in running {
        view.wait(picture.seconds);
        view.keys(picture.keys)?;
        let screen = view.settled()?;
        save(&folder.join(format!("{}.svg", picture.name)), &screen)?;
        view.quit()?;
    }
    canary::take(&stage, &folder)
}

/// A dark terminal, whatever the page is that it stands on.
fn save(path: &Path, screen: &str) -> Result<()> {
    if screen.trim().is_empty() {
        bail!("there is nothing on the screen for {}", path.display());
    }
    let svg = grid::pinned(&Term::new().palette(WIN10_CONSOLE).render_svg(screen.trim_end()));
    fs::write(path, &svg).with_context(|| format!("failed to write {}", path.display()))?;
    say(&format!("wrote {} ({} bytes)", path.display(), svg.len()));
    Ok(())
}
