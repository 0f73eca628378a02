//! What all screens have in common.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::Action;
use super::picture::Picture;

/// A key and what it does here, for the line at the bottom.
pub(super) type Hint = (&'static str, &'static str);

/// One screen: what the user has chosen on it, and how that and a picture become text.
pub(super) trait Screen {
    /// Does what a key asks for; false if it means nothing here. `area` is what the screen was last drawn in.
    fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool;

    /// Draws the picture; the same for the same state.
    fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer);

    /// The keys that matter most here.
    fn hints(&self) -> &'static [Hint];
}
