//! The totals and the call sites of a comparison, in lines.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::canary::{Comparison, MeanSize, Per, Quantity, Row, SiteChange};
use crate::view::comparison::words;
use crate::view::frame;
use crate::view::tui::cells;
use crate::view::tui::list::List;
use crate::view::tui::theme::Theme;

/// Columns of a line of numbers: heading, width, and of how wide a terminal on they are shown.
const COLUMNS: [(&str, u16, u16); 6] = [
    ("", 5, 0),
    ("CHANGE", 9, 0),
    ("95% INTERVAL", 21, 100),
    ("OF ALL", 8, 0),
    ("BASE", 11, 120),
    ("CANARY", 11, 120),
];
const MATCH_COLUMNS: u16 = 8;
/// Of the name of a total, where a site has its mark.
const NAME_COLUMNS: u16 = 26;

/// Where the user is in the list.
pub(super) struct Place<'a> {
    pub(super) selected: usize,
    pub(super) list: &'a List<usize>,
    pub(super) keys: &'a [usize],
}

/// The lines of the list, below its header.
pub(super) fn body(area: Rect) -> Rect {
    Rect { y: area.y.saturating_add(1).min(area.bottom()), height: area.height.saturating_sub(1), ..area }
}

/// Draws the call sites.
pub(super) fn draw(
    comparison: &Comparison,
    quantity: Quantity,
    theme: Theme,
    place: &Place<'_>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let header = COLUMNS.map(|(title, ..)| title.to_owned());
    let x = numbers(&header, theme.faint(), area, area.y, buffer);
    let title = format!("MATCH   CALL SITE by {}", words::quantity(quantity));
    cells::put(buffer, area, x, area.y, &title, theme.faint());
    let body = body(area);
    let top = place.list.top(place.keys, usize::from(body.height));
    let sites = comparison.sites.iter().map(|site| (site, site.name.clone()));
    let rest =
        comparison.rest.iter().map(|rest| (rest, "all that are too small or of too few samples".to_owned()));
    for ((y, at), (site, name)) in (body.top()..body.bottom()).zip(top..).zip(sites.chain(rest).skip(top)) {
        line(site, &name, quantity, theme, Rect { y, height: 1, ..area }, buffer);
        if at == place.selected {
            let line = Rect { y, height: 1, ..area }.intersection(buffer.area);
            buffer.set_style(line, theme.selected());
        }
    }
    if place.keys.is_empty() {
        cells::put(buffer, area, area.x, body.y, "No call site was compared.", theme.strong());
    }
}

fn line(site: &SiteChange, name: &str, quantity: Quantity, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let row = words::row(site, quantity);
    let of = |cell: fn(&Row) -> String| row.map_or_else(|| "-".to_owned(), cell);
    let texts = [
        row.map_or("", words::mark).to_owned(),
        of(words::estimate),
        of(words::interval),
        words::weight(site),
        of(|row| words::amount(row.quantity, row.base.amount)),
        of(|row| words::amount(row.quantity, row.canary.amount)),
    ];
    let x = numbers(&texts, style(row, theme), area, area.y, buffer);
    cells::put(buffer, area, x, area.y, words::matched(site.matched), theme.accent());
    let x = x.saturating_add(MATCH_COLUMNS);
    let room = usize::from(area.right().saturating_sub(x));
    cells::put(buffer, area, x, area.y, &cells::cut(&frame::printable(name), room), Style::new());
}

/// More is to be known, less is good; what may be chance is neither.
pub(super) fn style(row: Option<&Row>, theme: Theme) -> Style {
    match row.map_or("", words::mark) {
        "more" => theme.bad(),
        "less" => theme.good(),
        _ => Style::new(),
    }
}

/// Writes a line of numbers; where what follows it begins.
fn numbers(texts: &[String; 6], style: Style, area: Rect, y: u16, buffer: &mut Buffer) -> u16 {
    let mut x = area.x;
    for (text, (_, width, _)) in texts.iter().zip(COLUMNS).filter(|(_, (.., from))| area.width >= *from) {
        let cell = Rect::new(x, y, width, 1).intersection(area);
        cells::put_right(buffer, cell, y, text, style);
        x = x.saturating_add(width + 1);
    }
    x.saturating_add(1)
}

/// Draws the heading of the totals.
pub(super) fn total_header(area: Rect, theme: Theme, buffer: &mut Buffer) {
    let texts = ["TOTAL", "CHANGE", "95% INTERVAL", "DETECTABLE", "BASE", "CANARY"].map(str::to_owned);
    total_line(&texts, theme.faint(), area, buffer);
}

/// Draws a total.
pub(super) fn total(row: &Row, per: Per, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let texts = [
        words::quantity(row.quantity).to_owned(),
        words::estimate(row),
        words::interval(row),
        words::detectable(row),
        words::amount(row.quantity, row.base.amount),
        words::amount(row.quantity, row.canary.amount),
    ];
    let x = total_line(&texts, style(Some(row), theme), area, buffer);
    let text = format!("per {}", words::per(row.quantity, per));
    cells::put(buffer, area, x, area.y, &text, theme.faint());
}

/// Draws the mean size of all objects, which follows from the totals.
pub(super) fn mean_size(size: &MeanSize, area: Rect, buffer: &mut Buffer) {
    let [base, canary] = size.bytes.map(words::mean_size_of);
    let (change, interval) = words::mean_size_change(size);
    let texts = ["mean size".to_owned(), change, interval, String::new(), base, canary];
    total_line(&texts, Style::new(), area, buffer);
}

fn total_line(texts: &[String; 6], style: Style, area: Rect, buffer: &mut Buffer) -> u16 {
    const WIDTHS: [u16; 6] = [NAME_COLUMNS, 9, 21, 11, 11, 11];
    let mut x = area.x;
    for ((text, width), at) in texts.iter().zip(WIDTHS).zip(0..) {
        let cell = Rect::new(x, area.y, width, 1).intersection(area);
        if at == 0 {
            cells::put(buffer, cell, x, area.y, text, Style::new());
        } else {
            cells::put_right(buffer, cell, area.y, text, style);
        }
        x = x.saturating_add(width + 1);
    }
    x.saturating_add(1)
}
