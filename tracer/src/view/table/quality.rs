//! The quality block as lines of the table.

use crate::model::snapshot::Snapshot;
use crate::view::quality;
use crate::view::table::style::Style;
use crate::view::text::wrap;

/// Columns of the first words of a line.
const NAME_COLUMNS: usize = 14;

/// The verdict first.
pub(super) fn lines(snapshot: &Snapshot, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    for fact in quality::facts(snapshot) {
        for (at, text) in wrap(&fact.text, style.width - NAME_COLUMNS - 1).into_iter().enumerate() {
            let label = if at == 0 { fact.label } else { "" };
            let text = fact.ink.map_or_else(|| text.clone(), |ink| style.paint(ink, &text));
            lines.push(format!("{label:NAME_COLUMNS$} {text}"));
        }
    }
    lines
}
