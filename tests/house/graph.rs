//! Circles in a directed graph.

use std::collections::{BTreeMap, BTreeSet};

/// Edges by the node that they leave.
pub(crate) type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Returns the strongly connected components of two nodes and more: each node reaches each other.
///
/// Takes quadratic time, which is milliseconds for the files of one crate.
pub(crate) fn circles<'a>(graph: &Graph<'a>) -> Vec<BTreeSet<&'a str>> {
    let reach: BTreeMap<_, _> = graph.keys().map(|node| (*node, reachable(graph, node))).collect();
    let mut found: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for (node, reached) in &reach {
        let back = reached.iter().filter(|other| reach.get(*other).is_some_and(|reach| reach.contains(node)));
        let circle: BTreeSet<&str> = back.copied().collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

fn reachable<'a>(graph: &Graph<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = graph.get(from).into_iter().flatten().copied().collect();
    while let Some(node) = open.pop() {
        let next = graph.get_key_value(node).map_or((None, None), |(node, next)| (Some(*node), Some(next)));
        if let (Some(node), Some(next)) = next
            && reached.insert(node)
        {
            open.extend(next);
        }
    }
    reached
}
