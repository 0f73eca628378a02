//! Styles by meaning. Only the terminal's own 16 colours, so that light and dark terminals both stay readable, and
//! never a colour alone: what it says is also said in words or signs.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// False with `NO_COLOR`: bold, dim and reversed text remain.
    pub colour: bool,
}

impl Theme {
    /// What matters: titles, the telling function.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What stands behind: units, callers, hints.
    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The line, tab or box that keys act on.
    pub(super) fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// All is well.
    pub(super) fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    /// To be known.
    pub(super) fn warning(self) -> Style {
        self.coloured(Color::Yellow)
    }

    /// Wrong, lost, grown.
    pub(super) fn bad(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Keys, and what a search has found.
    pub(super) fn accent(self) -> Style {
        self.coloured(Color::Cyan)
    }

    /// A box of a flame graph. Neighbours have numbers that differ by one.
    pub(super) fn flame(self, shade: Shade, nth: usize, is_found: bool, is_selected: bool) -> Style {
        let odd = nth % 2 == 1;
        let style = if self.colour {
            let back = match (shade, odd) {
                _ if is_found => Color::Cyan,
                (Shade::Program, false) => Color::Yellow,
                (Shade::Program, true) => Color::LightYellow,
                (Shade::Library, false) => Color::Green,
                (Shade::Library, true) => Color::LightGreen,
                // Black on the darker red is hard to read.
                (Shade::Grown, _) => Color::LightRed,
                (Shade::Shrunk, false) => Color::Green,
                (Shade::Shrunk, true) => Color::LightGreen,
                (Shade::Other, false) => Color::Gray,
                (Shade::Other, true) => Color::White,
            };
            Style::new().fg(Color::Black).bg(back)
        } else if odd {
            Style::new().add_modifier(Modifier::REVERSED | Modifier::DIM)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        };
        let style = if is_found { style.add_modifier(Modifier::UNDERLINED) } else { style };
        match (is_selected, self.colour) {
            (false, _) => style,
            (true, true) => style.add_modifier(Modifier::REVERSED | Modifier::BOLD),
            (true, false) => Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        }
    }

    fn coloured(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }
}

/// What a box of a flame graph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shade {
    /// A function of the program.
    Program,
    /// A function of a library.
    Library,
    /// More than at the baseline.
    Grown,
    /// Less than at the baseline.
    Shrunk,
    /// No function, or one that has not changed.
    Other,
}
