//! From one function that the filter finds to the next, in the order in which the tree and the flame show them.

use std::ops::ControlFlow;

use super::calltree::{CallTree, Step};
use super::picture::Picture;

/// The path of the next match after `here`, or of the one before; around the end it begins anew.
pub(super) fn find(
    tree: &mut CallTree,
    picture: &Picture<'_>,
    here: &[Step],
    forward: bool,
) -> Option<Vec<Step>> {
    picture.filter?;
    let (mut first, mut before, mut after, mut last) = (None, None, None, None);
    let mut passed = false;
    tree.search(&|step| step.is_found(picture), here, &mut |path, is_here| {
        if is_here {
            passed = true;
            return if !forward && before.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            };
        }
        let found = Some(path.to_vec());
        if forward && passed {
            after = found;
            return ControlFlow::Break(());
        }
        if first.is_none() {
            first.clone_from(&found);
        }
        if !passed {
            before.clone_from(&found);
        }
        last = found;
        ControlFlow::Continue(())
    });
    if forward { after.or(first) } else { before.or(last) }
}
