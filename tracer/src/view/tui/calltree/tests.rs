//! Trees of hand-made sites.

use super::*;
use crate::view::sample;
use crate::view::tui::testing::Shown;

/// One line per node, indented: name, value, what is its own.
fn outline(shown: &Shown, direction: Direction) -> String {
    let picture = shown.picture();
    let mut tree = CallTree::new(&picture, direction, Weigh::Change);
    let mut lines = Vec::new();
    let mut stack = vec![tree.root()];
    while let Some(node) = stack.pop() {
        if let Some(key) = node.key {
            let sign = if node.is_recursive { "↻" } else { "" };
            let (name, indent) = (tree.step(key).names(&picture).0, node.depth() - 1);
            lines.push(format!("{:indent$}{name}{sign} {} {}", "", node.total.value, node.own.value));
        }
        stack.extend(tree.children(&node).into_iter().rev());
    }
    lines.join("\n")
}

#[test]
fn sites_become_a_tree_from_either_end() {
    let check = |sites: &[(&str, u64)], direction, expect: &str| {
        assert_eq!(outline(&Shown::of(sites), direction), expect, "{sites:?}");
    };
    use Direction::{BottomUp, TopDown};
    let sites = &[("a m", 10), ("b a m", 30), ("b m", 5)][..];
    for (sites, direction, expect) in [
        (&[][..], TopDown, ""),
        (&[("a", 0)], TopDown, ""),
        (sites, TopDown, "m 45 0\n a 40 10\n  b 30 30\n b 5 5"),
        (sites, BottomUp, "b 35 0\n a 30 0\n  m 30 30\n m 5 5\na 10 0\n m 10 10"),
        // Recursion is one node, whatever its depth.
        (&[("f f f m", 4), ("f m", 2), ("g f f m", 1)], TopDown, "m 7 0\n f↻ 7 6\n  g 1 1"),
        (&[("f f f m", 4), ("f m", 2)], BottomUp, "f↻ 6 0\n m 6 6"),
        // Each other is a path of its own.
        (&[("f g f g m", 4)], TopDown, "m 4 0\n g 4 0\n  f 4 0\n   g 4 0\n    f 4 4"),
        // What is cut is never taken for a thread's start.
        (&[("f [no_table]", 3), ("f", 2)], TopDown, "[no_table] 3 0\n f 3 3\nf 2 2"),
        (&[("f [no_table]", 3), ("f", 2)], BottomUp, "f 5 2\n [no_table] 3 3"),
        (&[("", 3)], TopDown, "[no stack] 3 3"),
    ] {
        check(sites, direction, expect);
    }
}

#[test]
fn differences_have_signs_and_the_largest_change_is_first() {
    let sites = [("a m", 10), ("b m", 40), ("c m", 7), ("d m", 1)];
    let check = |before: &[u64], expect: &str| {
        assert_eq!(outline(&Shown::of(&sites).since(before), Direction::TopDown), expect, "{before:?}");
    };
    check(&[0, 0, 0, 0], "m 58 0\n b 40 40\n a 10 10\n c 7 7\n d 1 1");
    check(&[10, 100, 7, 0], "m -59 0\n b -60 -60\n d 1 1");
    check(&[10, 40, 7, 1], "");
    // What cancels out is still there, since its parts are.
    check(&[0, 50, 7, 1], "m 0 0\n a 10 10\n b -10 -10");
}

#[test]
fn several_processes_and_threads_come_first() {
    let mut shown = Shown::new(sample::two_targets());
    let first =
        |shown: &Shown| outline(shown, Direction::TopDown).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        first(&shown)[..3],
        ["leaky-4242 12583552 0", " _start 12582912 0", "  __libc_start_call_main 12582912 0"]
    );
    shown.pid = Some(4343);
    assert_eq!(first(&shown)[0], "_start 12582912 0");
    for site in &mut shown.snapshot.sites {
        site.thread = Some("worker".into());
    }
    assert_eq!(first(&shown)[0], "worker 12583552 0");
    assert_eq!(first(&shown)[8], " [read_fault] 640 640");
}

#[test]
fn matches_are_found_in_the_order_of_the_tree() {
    let shown = Shown::of(&[("x a m", 9), ("b m", 5), ("x c b m", 3), ("x", 1)]).filtered("^(x|b)$");
    let picture = shown.picture();
    let mut tree = CallTree::new(&picture, Direction::TopDown, Weigh::Change);
    let mut here = Vec::new();
    let mut names = |forward| {
        let found = super::super::matches::find(&mut tree, &picture, &here, forward).expect("a match");
        here = found;
        here.iter().map(|step| step.names(&picture).0).collect::<Vec<_>>().join("/")
    };
    let forward: Vec<String> = (0..5).map(|_| names(true)).collect();
    assert_eq!(forward, ["m/a/x", "m/b", "m/b/c/x", "x", "m/a/x"]);
    let back: Vec<String> = (0..3).map(|_| names(false)).collect();
    assert_eq!(back, ["x", "m/b/c/x", "m/b"]);
}
