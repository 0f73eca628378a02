//! Which line of a list is selected, and which part of it is seen. What is selected stays selected, wherever a new
//! order puts it.

use ratatui::layout::Rect;

use super::action::Action;

/// Lines that one turn of the wheel moves.
const WHEEL_LINES: usize = 3;

/// The user's place in a list of things that each have a key.
#[derive(Clone, Debug)]
pub(super) struct List<K> {
    selected: Option<K>,
    /// Where that was; it keeps the place when what was selected is gone.
    at: usize,
    top: usize,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self { selected: None, at: 0, top: 0 }
    }
}

impl<K: Copy + PartialEq> List<K> {
    /// The place of the selected line among `keys`.
    pub(super) fn index(&self, keys: &[K]) -> usize {
        let found = self.selected.and_then(|selected| keys.iter().position(|key| *key == selected));
        found.unwrap_or(self.at).min(keys.len().saturating_sub(1))
    }

    /// The first line that is seen, where `height` lines are.
    pub(super) fn top(&self, keys: &[K], height: usize) -> usize {
        let (index, height) = (self.index(keys), height.max(1));
        let last = keys.len().saturating_sub(height);
        self.top.clamp((index + 1).saturating_sub(height), index).min(last)
    }

    /// Selects a line.
    pub(super) fn select(&mut self, key: K) {
        self.selected = Some(key);
    }

    /// Moves, where the keys are in lines in `area`; false for what is no movement.
    pub(super) fn act(&mut self, action: Action, keys: &[K], area: Rect) -> bool {
        let height = usize::from(area.height).max(1);
        let top = self.top(keys, height);
        let (index, last) = (self.index(keys), keys.len().saturating_sub(1));
        let index = match action {
            Action::Up => index.saturating_sub(1),
            Action::Down => index + 1,
            Action::PageUp => index.saturating_sub(height),
            Action::PageDown => index + height,
            Action::ScrollUp => index.saturating_sub(WHEEL_LINES),
            Action::ScrollDown => index + WHEEL_LINES,
            Action::Top => 0,
            Action::Bottom => last,
            Action::Click { column, row } if area.contains((column, row).into()) => {
                let index = top + usize::from(row - area.y);
                if index > last {
                    return true;
                }
                index
            }
            _ => return false,
        };
        self.top = match action {
            Action::PageUp => top.saturating_sub(height),
            Action::PageDown => top + height,
            _ => top,
        };
        self.at = index.min(last);
        self.selected = keys.get(self.at).copied();
        self.top = self.top(keys, height);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Rect = Rect { x: 0, y: 2, width: 20, height: 3 };

    fn after(actions: &[Action], keys: &[u32]) -> List<u32> {
        let mut list = List::default();
        for &action in actions {
            assert!(list.act(action, keys, AREA));
        }
        list
    }

    #[test]
    fn keys_move_within_the_list() {
        let keys: Vec<u32> = (0..10).collect();
        let check = |actions: &[Action], index, top| {
            let list = after(actions, &keys);
            assert_eq!((list.index(&keys), list.top(&keys, 3)), (index, top), "{actions:?}");
        };
        for (actions, index, top) in [
            (&[Action::Up][..], 0, 0),
            (&[Action::Down], 1, 0),
            (&[Action::Down; 3], 3, 1),
            (&[Action::Down, Action::Down, Action::Down, Action::Up], 2, 1),
            (&[Action::PageDown], 3, 3),
            (&[Action::PageDown, Action::PageUp], 0, 0),
            (&[Action::Bottom], 9, 7),
            (&[Action::Bottom, Action::Down], 9, 7),
            (&[Action::Bottom, Action::Top], 0, 0),
            (&[Action::ScrollDown, Action::ScrollUp], 0, 0),
            (&[Action::Click { column: 3, row: 4 }], 2, 0),
            (&[Action::Bottom, Action::Click { column: 3, row: 2 }], 7, 7),
        ] {
            check(actions, index, top);
        }
    }

    #[test]
    fn what_is_selected_stays_selected_in_a_new_order() {
        let list = after(&[Action::Down], &[10, 20, 30]);
        let check = |keys: &[u32], expect| assert_eq!(list.index(keys), expect, "{keys:?}");
        for (keys, expect) in
            [(&[20, 10, 30][..], 0), (&[30, 10, 40, 20], 3), (&[10, 30, 40], 1), (&[10], 0), (&[], 0)]
        {
            check(keys, expect);
        }
    }

    #[test]
    fn an_empty_list_has_no_places() {
        for action in [Action::Down, Action::Bottom, Action::PageDown, Action::Click { column: 1, row: 2 }] {
            let mut list: List<u32> = List::default();
            list.act(action, &[], AREA);
            assert_eq!((list.index(&[]), list.top(&[], 0)), (0, 0));
        }
        let mut list: List<u32> = List::default();
        assert!(!list.act(Action::Sort, &[1], AREA));
        assert!(!list.act(Action::Click { column: 1, row: 1 }, &[1], AREA));
    }
}
