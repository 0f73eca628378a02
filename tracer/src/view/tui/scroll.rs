//! How far a screen that is taller than the terminal is scrolled.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::Action;
use super::marks::put;
use super::picture::Picture;

/// The first line that is shown, as far as there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scroll(usize);

impl Scroll {
    /// Does what a key asks for; false if it is none that scrolls.
    pub(super) fn act(&mut self, action: Action, lines: usize, height: usize) -> bool {
        let at = self.first(lines, height);
        let page = height.saturating_sub(2).max(1);
        let to = match action {
            Action::Up => at.saturating_sub(1),
            Action::Down => at + 1,
            Action::ScrollUp => at.saturating_sub(3),
            Action::ScrollDown => at + 3,
            Action::PageUp => at.saturating_sub(page),
            Action::PageDown => at + page,
            Action::Top => 0,
            Action::Bottom => lines,
            _ => return false,
        };
        self.0 = to.min(lines.saturating_sub(height));
        true
    }

    pub(super) fn first(self, lines: usize, height: usize) -> usize {
        self.0.min(lines.saturating_sub(height))
    }

    /// Says at the lower right what lies below.
    pub(super) fn draw(self, lines: usize, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let height = usize::from(area.height);
        let below = lines.saturating_sub(self.first(lines, height) + height);
        let text = format!(" ▾ {below} more ");
        let column = usize::from(area.width).saturating_sub(text.chars().count());
        if below > 0 && column > 0 {
            put(buffer, area, column as u16, area.height.saturating_sub(1), &text, picture.theme.accent());
        }
    }
}
