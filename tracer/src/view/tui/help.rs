//! What the keys do, and what signs mean.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, Clear, Widget};

use super::cells;
use super::theme::Theme;

/// Of the whole, its frame included: it fits the smallest usual terminal.
const COLUMNS: u16 = 80;
const LINES: u16 = 24;
/// Of a key's name.
const KEY_COLUMNS: u16 = 11;

type Group = (&'static str, &'static [(&'static str, &'static str)]);

const LEFT: [Group; 3] = [
    (
        "MOVE",
        &[
            ("↑ ↓ k j", "line"),
            ("PgUp PgDn", "page"),
            ("g G", "first, last line"),
            ("← → h l", "column, level or box"),
            ("Enter", "look into it"),
            ("Esc", "back, then clear the filter"),
            ("1-6 Tab", "screen"),
        ],
    ),
    (
        "CHOOSE",
        &[
            ("/", "filter: text or regex"),
            ("n N", "next, previous match"),
            ("s S", "sort by next, previous"),
            ("r", "reverse the order"),
            ("m", "by function, module, thread"),
            ("v", "in use, allocated; objects"),
            ("t", "tree from the other end"),
        ],
    ),
    ("COMPARE", &[("b", "this moment is the baseline"), ("d", "changes or numbers")]),
];

const RIGHT: [Group; 2] = [
    (
        "DO",
        &[
            ("Space", "hold still, go on"),
            ("w", "write a file"),
            ("+ -", "longer, shorter sampling"),
            ("M", "mouse: click, wheel"),
            ("Ctrl-Z", "stop; fg goes on"),
            ("q Ctrl-C", "quit"),
        ],
    ),
    (
        "READ",
        &[
            ("HIGH", "the sites that make 80%"),
            ("  fat", "of the bytes"),
            ("  many", "of the objects"),
            ("  both", "of bytes and objects"),
            ("GROWTH", "in use, last minute"),
            ("MINUTE", "its shape, lowest to"),
            ("", "highest; under 10% flat"),
            ("MEAN", "of the whole time"),
            ("±", "one standard error"),
            ("  *", "of under 30 samples"),
        ],
    ),
];

/// Draws it above everything else.
pub(super) fn draw(area: Rect, theme: Theme, buffer: &mut Buffer) {
    let (width, height) = (area.width.min(COLUMNS), area.height.min(LINES));
    let outer =
        Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
    Clear.render(outer, buffer);
    let block =
        Block::bordered().title(" Keys ").title_bottom(" any key closes ").border_style(theme.faint());
    let inner = block.inner(outer);
    block.render(outer, buffer);
    let half = inner.width / 2 + 2;
    column(Rect { x: inner.x + 1, width: half.saturating_sub(1), ..inner }, &LEFT, theme, buffer);
    let right = Rect { x: inner.x + half + 1, width: inner.width.saturating_sub(half + 1), ..inner };
    column(right, &RIGHT, theme, buffer);
}

fn column(area: Rect, groups: &[Group], theme: Theme, buffer: &mut Buffer) {
    let mut y = area.y;
    for (title, keys) in groups {
        cells::put(buffer, area, area.x, y, title, theme.strong());
        y += 1;
        for (key, what) in *keys {
            cells::put(buffer, area, area.x, y, key, theme.accent());
            cells::put(buffer, area, area.x + KEY_COLUMNS, y, what, ratatui::style::Style::new());
            y += 1;
        }
        y += 1;
    }
}
