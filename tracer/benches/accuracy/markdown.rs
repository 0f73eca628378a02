//! A table in Markdown.

/// The first line is the head; columns stand right from the `texts`-th on.
pub(crate) fn table(lines: &[Vec<String>], texts: usize) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::from("\n");
    for (index, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let cell =
                if column < texts { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") };
            text.push_str(&cell);
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                text.push_str(&format!(
                    "|{}{}",
                    "-".repeat(width + 1),
                    if column < texts { "-" } else { ":" }
                ));
            }
            text.push_str("|\n");
        }
    }
    text.push('\n');
    text
}

/// A head, or any line of words.
pub(crate) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
