//! The call sites of a picture as a tree of functions. A level is made when it is looked at: a refresh has thousands of
//! deep stacks, and a terminal shows a few dozen lines of them.

use std::cmp::Reverse;
use std::ops::{ControlFlow, Range};

use super::names::FunctionId;
use super::picture::{Numbers, Picture};
use crate::model::snapshot::{CallSite, Dimension};
use crate::view::known;
pub(super) use paths::Step;
use paths::{Paths, RECURSIVE};

mod paths;

/// Which end of the stacks is the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Direction {
    /// The start of the thread.
    #[default]
    TopDown,
    /// The direct caller of the allocator.
    BottomUp,
}

/// A [`Step`] in a [`CallTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u32);

/// What sites weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weigh {
    /// How much there is; of differences, how much has changed, up or down.
    Change,
    /// How much there is, also where differences are shown.
    Present,
}

/// Sums over sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// In the picture's dimension; changes where differences are shown.
    pub(super) value: i64,
    /// What sorts and shares are made of; never negative.
    pub(super) weight: u64,
    /// Objects of the dimension's kind.
    pub(super) objects: i64,
    /// Call stacks.
    pub(super) sites: u32,
}

/// A function with the sites that reach it by the same path.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The root has none.
    pub(super) key: Option<Key>,
    /// Of all its sites.
    pub(super) total: Sums,
    /// Of the sites whose path ends here: top-down, what the function itself allocates.
    pub(super) own: Sums,
    /// It stands for several calls in a row of a function by itself.
    pub(super) is_recursive: bool,
    depth: u32,
    range: Range<u32>,
}

/// The sites, and how far they are sorted into nodes.
pub(super) struct CallTree {
    /// Its nodes: ranges of `order`.
    root: Node,
    sites: Vec<Site>,
    /// Of `sites`, one after the other, root first.
    steps: Vec<u32>,
    order: Vec<u32>,
    /// The steps that are no functions: their keys are those above the functions'.
    others: Vec<Step>,
    functions: u32,
    weigh: Weigh,
    /// By key, the place of its group while a node is split, plus one.
    groups: Vec<u32>,
    scratch: Vec<u32>,
}

struct Site {
    steps: Range<u32>,
    sums: Sums,
}

impl Node {
    /// Whether it has children.
    pub(super) fn has_children(&self) -> bool {
        self.own.sites < self.total.sites
    }

    /// From the root, which is at 0.
    pub(super) fn depth(&self) -> usize {
        self.depth as usize
    }
}

impl CallTree {
    pub(super) fn new(picture: &Picture<'_>, direction: Direction, weigh: Weigh) -> Self {
        let functions = picture.names.len() as u32;
        let mut paths = Paths::new(picture, direction, functions);
        let mut sites = Vec::with_capacity(picture.snapshot.sites.len());
        let mut steps = Vec::with_capacity(16 * picture.snapshot.sites.len());
        let dimension = known(picture.snapshot.mode, picture.dimension);
        let mut total = Sums::default();
        for site in picture.sites() {
            let sums = sums(site, picture, dimension, weigh);
            if sums.weight == 0 {
                continue;
            }
            let start = steps.len();
            paths.push(site, &mut steps);
            sites.push(Site { steps: start as u32..steps.len() as u32, sums });
            total.add(sums);
        }
        let count = sites.len() as u32;
        let groups = vec![0; functions as usize + paths.others.len()];
        let own = sites.iter().filter(|site| site.steps.is_empty());
        let own = own.fold(Sums::default(), |mut sum, site| {
            sum.add(site.sums);
            sum
        });
        Self {
            root: Node { key: None, total, own, is_recursive: false, depth: 0, range: 0..count },
            order: (0..count).collect(),
            sites,
            steps,
            others: paths.others,
            functions,
            weigh,
            groups,
            scratch: Vec::new(),
        }
    }

    /// Everything.
    pub(super) fn root(&self) -> Node {
        self.root.clone()
    }

    /// The functions below a node, heaviest first.
    pub(super) fn children(&mut self, node: &Node) -> Vec<Node> {
        let mut children = self.group(node);
        // Where all go the same way, they stand as they should.
        if children.len() > 1 || children.first().is_some_and(|child| child.range.len() < node.range.len()) {
            self.sort(node, &children);
        }
        let weigh = self.weigh;
        children.sort_by_key(|child| {
            let weights = (child.total.weight, child.total.value.unsigned_abs());
            let weights = if weigh == Weigh::Change { (weights.1, weights.0) } else { weights };
            (Reverse(weights), child.key.map(|key| key.0))
        });
        children
    }

    /// What a key of this tree stands for.
    pub(super) fn step(&self, key: Key) -> Step {
        match key.0.checked_sub(self.functions) {
            Some(at) => self.others[at as usize].clone(),
            None => Step::Function(FunctionId::new(key.0)),
        }
    }

    /// The nodes on the way that a path names, from the root's child on, as far as they exist.
    pub(super) fn find(&mut self, path: &[Step]) -> Vec<Node> {
        let mut found: Vec<Node> = Vec::new();
        for step in path {
            let parent = found.last().map_or_else(|| self.root(), Node::clone);
            let children = self.children(&parent);
            let child =
                children.into_iter().find(|child| child.key.is_some_and(|key| self.step(key) == *step));
            let Some(child) = child else { break };
            found.push(child);
        }
        found
    }

    /// The paths of the nodes that `wanted` says, in the order in which they are shown, until `visit` breaks. `here` is
    /// visited too, with `true`, so that the caller knows what lies before and after it.
    pub(super) fn search(
        &mut self,
        wanted: &dyn Fn(&Step) -> bool,
        here: &[Step],
        visit: &mut dyn FnMut(&[Step], bool) -> ControlFlow<()>,
    ) {
        let keys = (0..self.functions + self.others.len() as u32).map(Key);
        let used = self.used();
        let wanted: Vec<bool> = keys.map(|key| used[key.0 as usize] && wanted(&self.step(key))).collect();
        // The last step of each site that is wanted, plus one: below it nothing is to be found.
        let last: Vec<u32> = self
            .sites
            .iter()
            .map(|site| {
                let steps = &self.steps[site.steps.start as usize..site.steps.end as usize];
                let found = steps.iter().rposition(|&step| wanted[(step & !RECURSIVE) as usize]);
                found.map_or(0, |at| at as u32 + 1)
            })
            .collect();
        let mut path: Vec<Step> = Vec::new();
        let mut stack = vec![self.root()];
        while let Some(node) = stack.pop() {
            path.truncate(node.depth().saturating_sub(1));
            if let Some(key) = node.key {
                path.push(self.step(key));
                let is_here = path == here;
                if (wanted[key.0 as usize] || is_here) && visit(&path, is_here).is_break() {
                    return;
                }
            }
            let leads = |&at: &u32| last[at as usize] > node.depth;
            if here.starts_with(&path) || self.order_of(&node).iter().any(leads) {
                stack.extend(self.children(&node).into_iter().rev());
            }
        }
    }

    /// By key, whether any site has it.
    fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.functions as usize + self.others.len()];
        for &step in &self.steps {
            used[(step & !RECURSIVE) as usize] = true;
        }
        used
    }

    fn order_of(&self, node: &Node) -> &[u32] {
        &self.order[node.range.start as usize..node.range.end as usize]
    }

    /// The children, their ranges one after the other, in the order in which they were met.
    fn group(&mut self, node: &Node) -> Vec<Node> {
        let mut children: Vec<Node> = Vec::new();
        for &at in &self.order[node.range.start as usize..node.range.end as usize] {
            let site = &self.sites[at as usize];
            let place = site.steps.start + node.depth;
            if place >= site.steps.end {
                continue;
            }
            let step = self.steps[place as usize];
            let key = Key(step & !RECURSIVE);
            let group = &mut self.groups[key.0 as usize];
            if *group == 0 {
                children.push(Node {
                    key: Some(key),
                    total: Sums::default(),
                    own: Sums::default(),
                    is_recursive: false,
                    depth: node.depth + 1,
                    range: 0..0,
                });
                *group = children.len() as u32;
            }
            let child = &mut children[*group as usize - 1];
            child.total.add(site.sums);
            child.is_recursive |= step & RECURSIVE != 0;
            if place + 1 == site.steps.end {
                child.own.add(site.sums);
            }
        }
        let mut start = node.range.start;
        for child in &mut children {
            child.range = start..start + child.total.sites;
            start = child.range.end;
            if let Some(key) = child.key {
                self.groups[key.0 as usize] = 0;
            }
        }
        children
    }

    /// Puts the sites of a node where its children's ranges say, those that end in it last.
    fn sort(&mut self, node: &Node, children: &[Node]) {
        let range = node.range.start as usize..node.range.end as usize;
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.order[range]);
        for child in children {
            if let Some(key) = child.key {
                self.groups[key.0 as usize] = child.range.start;
            }
        }
        let mut rest = children.last().map_or(node.range.start, |child| child.range.end);
        for &at in &self.scratch {
            let site = &self.sites[at as usize];
            let place = site.steps.start + node.depth;
            let to = if place >= site.steps.end {
                &mut rest
            } else {
                &mut self.groups[(self.steps[place as usize] & !RECURSIVE) as usize]
            };
            self.order[*to as usize] = at;
            *to += 1;
        }
        for child in children {
            if let Some(key) = child.key {
                self.groups[key.0 as usize] = 0;
            }
        }
    }
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.value = self.value.saturating_add(other.value);
        self.weight = self.weight.saturating_add(other.weight);
        self.objects = self.objects.saturating_add(other.objects);
        self.sites += other.sites;
    }
}

fn sums(site: &CallSite, picture: &Picture<'_>, dimension: Dimension, weigh: Weigh) -> Sums {
    let numbers = picture.numbers(site);
    let value = numbers.value(dimension);
    let weight = match weigh {
        Weigh::Change => value,
        Weigh::Present => Numbers::of(site).value(dimension),
    };
    let objects = match dimension {
        Dimension::InuseSpace | Dimension::InuseObjects => numbers.inuse_objects,
        Dimension::AllocSpace | Dimension::AllocObjects => numbers.alloc_objects,
    };
    Sums { value, weight: weight.unsigned_abs(), objects, sites: 1 }
}

#[cfg(test)]
mod tests;
