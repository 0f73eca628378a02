//! Pins the text of a terminal's picture to the grid of the terminal.
//!
//! A reader's font may lack box-drawing characters, or have other widths than ours: each piece of text gets its place and
//! its length, and backgrounds become rectangles, so that columns and boxes stay where they were.

use std::fmt::Write as _;

/// What `anstyle-svg` takes for a column, and its line height, margin and baseline.
const COLUMN: f64 = 8.4;
const LINE: f64 = 18.0;
const MARGIN: f64 = 10.0;
const ASCENT: f64 = 14.0;
/// Of dim text, which `anstyle-svg` makes harder to read than a terminal does.
const DIM: (&str, &str) = (".dimmed { opacity: 0.4; }", ".dimmed { opacity: 0.65; }");

/// The same picture, pinned. What is not as `anstyle-svg` writes it stays as it is.
pub(super) fn pinned(svg: &str) -> String {
    let (mut boxes, mut lines) = (String::new(), String::new());
    let mut head = String::new();
    for line in svg.replace(DIM.0, DIM.1).lines() {
        let Some((baseline, spans)) = line_of_text(line) else {
            let is_text = line.trim_start().starts_with("<text") || !lines.is_empty();
            let to = if is_text { &mut lines } else { &mut head };
            // The end of a line of text stands on a line of its own.
            if line != "</tspan>" {
                to.push_str(line);
                to.push('\n');
            }
            continue;
        };
        let mut column = 0;
        for (class, text) in spans {
            // Readers do different things to blanks at the ends; none of a background is one.
            let bare = text.trim_start();
            let (from, count) = (column + columns(text) - columns(bare), columns(bare.trim_end()));
            column += columns(text);
            let (x, width) = (MARGIN + from as f64 * COLUMN, count as f64 * COLUMN);
            let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
            // Writing to a string cannot fail.
            let _written = if class.contains("\"bg-") {
                let y = baseline - ASCENT;
                writeln!(
                    boxes,
                    "  <rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{LINE}\"{class}/>"
                )
            } else if count == 0 {
                Ok(())
            } else {
                let place = format!("x=\"{x:.1}\" y=\"{baseline}\" textLength=\"{width:.1}\"");
                writeln!(
                    lines,
                    "    <tspan {place} lengthAdjust=\"spacingAndGlyphs\"{class}>{}</tspan>",
                    bare.trim_end()
                )
            };
        }
    }
    head + &boxes + &lines
}

/// A line of the terminal: its baseline, and its pieces with their classes.
fn line_of_text(line: &str) -> Option<(f64, Vec<(&str, &str)>)> {
    let rest = line.trim_start().strip_prefix("<tspan x=\"")?;
    let (_, rest) = rest.split_once("y=\"")?;
    let (baseline, rest) = rest.split_once("px\">")?;
    let spans = rest.split("</tspan>").filter_map(|one| {
        let (tag, text) = one.split_once('>')?;
        let class = tag.split_once("class=\"").and_then(|(_, rest)| rest.split_once('"'));
        Some((class.map_or("", |(class, _)| class), text))
    });
    Some((baseline.parse().ok()?, spans.collect()))
}

/// Columns of a text in which some characters are written as entities.
fn columns(text: &str) -> usize {
    let entities: usize =
        text.split('&').skip(1).filter_map(|rest| rest.find(';')).map(|length| length + 1).sum();
    text.chars().count() - entities
}

#[cfg(test)]
mod tests {
    use anstyle_svg::Term;

    use super::*;

    #[test]
    fn every_piece_has_its_place_and_backgrounds_are_rectangles() {
        let svg = pinned(&Term::new().render_svg("ab \x1b[1m<c>\x1b[0m\n\x1b[43mbox\x1b[0m end"));
        for part in [
            "<tspan x=\"35.2\" y=\"28\" textLength=\"25.2\" lengthAdjust=\"spacingAndGlyphs\" class=\"bold\">&lt;c&gt;</tspan>",
            "<rect x=\"10.0\" y=\"32\" width=\"25.2\" height=\"18\" class=\"bg-",
            ">box</tspan>",
            ">end</tspan>",
        ] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert_eq!(svg.matches("<tspan").count(), svg.matches("</tspan>").count());
        assert!(svg.find("<rect x=") < svg.find("<text"), "backgrounds lie behind the text");
    }
}
