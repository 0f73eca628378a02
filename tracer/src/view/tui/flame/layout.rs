//! Where the boxes of a flame graph lie: as wide as what they stand for, below what calls them.

use crate::view::tui::calltree::{CallTree, Node, Step};

/// What is drawn.
pub(super) struct Graph {
    pub(super) tree: CallTree,
    /// The way to the box of the first row.
    pub(super) zoomed: Vec<Step>,
    /// Row by row, from the left.
    pub(super) boxes: Vec<Box>,
    /// How many there are.
    pub(super) rows: usize,
    /// Its place in `boxes`.
    pub(super) selected: usize,
}

/// A box.
pub(super) struct Box {
    pub(super) kind: Kind,
    pub(super) row: usize,
    /// Its first column and the first one after it.
    pub(super) columns: (u16, u16),
    /// Its place among its neighbours, for what tells them apart.
    pub(super) nth: usize,
    /// Its place in `boxes`.
    pub(super) parent: Option<usize>,
}

/// What a box stands for.
pub(super) enum Kind {
    /// Everything.
    All,
    /// A function.
    Node(Node, Step),
    /// So many functions that are narrower than a column.
    Rest(usize),
}

/// More rows than a stack has frames do not come from a stack.
const ROWS_MAX: usize = 1024;

impl Graph {
    pub(super) fn new(mut tree: CallTree, zoom: &[Step], selected: &[Step], width: u16) -> Self {
        let mut path = tree.find(zoom);
        let zoomed = zoom[..path.len()].to_vec();
        let top = path.pop();
        let kind = match (top, zoomed.last()) {
            (Some(node), Some(step)) => Kind::Node(node, step.clone()),
            _ => Kind::All,
        };
        let mut graph = Self { tree, zoomed, boxes: Vec::new(), rows: 0, selected: 0 };
        if graph.tree.root().total.weight == 0 || width == 0 {
            return graph;
        }
        graph.boxes.push(Box { kind, row: 0, columns: (0, width), nth: 0, parent: None });
        let mut at = 0;
        while at < graph.boxes.len() {
            if graph.boxes[at].row < ROWS_MAX {
                graph.split(at);
            }
            at += 1;
        }
        graph.rows = graph.boxes.last().map_or(0, |last| last.row + 1);
        graph.selected = graph.place(selected);
        graph
    }

    /// Boxes of the functions below one.
    fn split(&mut self, at: usize) {
        let node = match &self.boxes[at].kind {
            Kind::All => self.tree.root(),
            Kind::Node(node, _) => node.clone(),
            Kind::Rest(_) => return,
        };
        if !node.has_children() || node.total.weight == 0 {
            return;
        }
        let (left, right) = self.boxes[at].columns;
        let scale = f64::from(right - left) / node.total.weight as f64;
        let edge = |weight: u64| left + (weight as f64 * scale).round() as u16;
        let row = self.boxes[at].row + 1;
        let children = self.tree.children(&node);
        let (mut weight, mut nth, mut rest) = (0, 0, 0);
        let count = children.len();
        for (index, child) in children.into_iter().enumerate() {
            let (start, end) = (edge(weight), edge(weight + child.total.weight));
            // The heaviest comes first: what comes after one that has no column has none either.
            if end <= start {
                rest = count - index;
                break;
            }
            weight += child.total.weight;
            let Some(key) = child.key else { continue };
            let kind = Kind::Node(child, self.tree.step(key));
            self.boxes.push(Box { kind, row, columns: (start, end), nth, parent: Some(at) });
            nth += 1;
        }
        let end = edge(node.total.weight - node.own.weight).min(right);
        if rest > 0 && end > edge(weight) {
            let columns = (edge(weight), end);
            self.boxes.push(Box { kind: Kind::Rest(rest), row, columns, nth, parent: Some(at) });
        }
    }

    /// The box of a path, or of what of it is wide enough.
    fn place(&self, path: &[Step]) -> usize {
        let Some(path) = path.strip_prefix(self.zoomed.as_slice()) else { return 0 };
        let mut found = 0;
        for step in path {
            let child = self
                .below(found)
                .find(|&at| matches!(&self.boxes[at].kind, Kind::Node(_, other) if other == step));
            let Some(child) = child else { break };
            found = child;
        }
        found
    }

    fn below(&self, at: usize) -> impl Iterator<Item = usize> {
        self.boxes
            .iter()
            .enumerate()
            .skip(at + 1)
            .filter(move |(_, one)| one.parent == Some(at))
            .map(|(at, _)| at)
    }

    /// From the root; what stands for several has none.
    pub(super) fn path(&self, at: usize) -> Option<Vec<Step>> {
        let mut path = Vec::new();
        let mut at = at;
        loop {
            let one = self.boxes.get(at)?;
            match (&one.kind, one.parent) {
                (Kind::Rest(_), _) => return None,
                (Kind::Node(_, step), Some(parent)) => {
                    path.push(step.clone());
                    at = parent;
                }
                (_, None) | (Kind::All, _) => break,
            }
        }
        path.extend(self.zoomed.iter().rev().cloned());
        path.reverse();
        Some(path)
    }

    pub(super) fn weight(&self, at: usize) -> u64 {
        match &self.boxes[at].kind {
            Kind::Node(node, _) => node.total.weight,
            Kind::All | Kind::Rest(_) => self.tree.root().total.weight,
        }
    }

    pub(super) fn parent(&self, at: usize) -> Option<usize> {
        self.boxes.get(at)?.parent
    }

    /// The widest one below.
    pub(super) fn child(&self, at: usize) -> Option<usize> {
        self.below(at).find(|&at| !matches!(self.boxes[at].kind, Kind::Rest(_)))
    }

    /// The next one in the row.
    pub(super) fn beside(&self, at: usize, right: bool) -> Option<usize> {
        let row = self.boxes.get(at)?.row;
        let is_beside =
            |&at: &usize| self.boxes[at].row == row && !matches!(self.boxes[at].kind, Kind::Rest(_));
        if right { (at + 1..self.boxes.len()).find(is_beside) } else { (0..at).rev().find(is_beside) }
    }

    /// As often as it goes.
    pub(super) fn times(
        &self,
        times: usize,
        from: usize,
        step: fn(&Self, usize) -> Option<usize>,
    ) -> Option<usize> {
        std::iter::successors(Some(from), |&at| step(self, at)).take(times.saturating_add(1)).last()
    }

    pub(super) fn at(&self, column: u16, row: usize) -> Option<usize> {
        self.boxes.iter().position(|one| one.row == row && (one.columns.0..one.columns.1).contains(&column))
    }

    /// The first row that is shown, so that the selected one is, with some below it.
    pub(super) fn first(&self, height: usize) -> usize {
        let selected = self.boxes.get(self.selected).map_or(0, |one| one.row);
        let room = self.rows.saturating_sub(height);
        (selected + 1 + height / 4).saturating_sub(height).min(room)
    }
}
