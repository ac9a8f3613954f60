//! Which nodes are dead, by what they write of themselves. Pure: readings and time are passed in.
//!
//! Each node writes a number that rises. A node is dead when its number did not change in several
//! readings of the observer. No clock but the observer's own counts, and that only after a node
//! said that it ends; an observer that cannot read takes no node for dead.

use std::collections::{HashMap, HashSet};
use std::mem::take;

use tokio::time::Instant;

use crate::layer::contract::LEAVE_GRACE;
use crate::wire::group::Group;

/// What a node writes that ends.
pub(super) const ENDED: &str = "end";
/// Readings without a change after which a node is dead.
const DEAD_AFTER: u32 = 5;
/// Readings without a change after which the entry of a dead node is removed.
const REMOVED_AFTER: u32 = 30;
/// Readings without a change after which a node is forgotten.
const FORGOTTEN_AFTER: u32 = 300;

#[derive(Default)]
pub(super) struct BeatWatch {
    nodes: HashMap<String, Watched>,
}

#[derive(Default)]
struct Watched {
    /// What was read last; `None` for a node that is known by seat ids only.
    beat: Option<String>,
    unchanged: u32,
    ended_at: Option<Instant>,
    is_dead: bool,
    /// Groups in which it was seen since its number changed.
    groups: HashSet<Group>,
}

/// What a reading shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Nodes that are dead since this reading, and did not say that they end.
    pub(super) dead: Vec<String>,
    /// Nodes that are dead since this reading, after the grace: they said that they end.
    pub(super) ended: Vec<String>,
    /// Groups in which these were seen.
    pub(super) groups: HashSet<Group>,
    /// Nodes whose entries can be removed.
    pub(super) removable: Vec<String>,
}

impl BeatWatch {
    /// Takes a reading of all nodes' numbers.
    pub(super) fn on_reading(&mut self, beats: &HashMap<String, String>, now: Instant) -> Reading {
        for node in beats.keys() {
            self.see(node);
        }
        let mut reading = Reading::default();
        for (node, watched) in &mut self.nodes {
            let beat = beats.get(node);
            if beat.is_some() && beat != watched.beat.as_ref() {
                *watched = Watched { beat: beat.cloned(), ..Watched::default() };
            } else {
                watched.unchanged += 1;
            }
            if watched.beat.as_deref() == Some(ENDED) {
                watched.ended_at.get_or_insert(now);
            }
            let has_ended = watched.ended_at.is_some_and(|at| now >= at + LEAVE_GRACE);
            if (has_ended || watched.unchanged >= DEAD_AFTER) && !watched.is_dead {
                watched.is_dead = true;
                let found = if watched.ended_at.is_some() { &mut reading.ended } else { &mut reading.dead };
                found.push(node.clone());
                reading.groups.extend(take(&mut watched.groups));
            }
            if beat.is_some() && watched.is_dead && watched.unchanged >= REMOVED_AFTER {
                reading.removable.push(node.clone());
            }
        }
        self.nodes.retain(|_, watched| watched.unchanged < FORGOTTEN_AFTER);
        reading
    }

    /// Watches a node that has a seat.
    pub(super) fn see(&mut self, node: &str) {
        if !self.nodes.contains_key(node) {
            self.nodes.insert(node.to_owned(), Watched::default());
        }
    }

    /// Watches a node that has a seat in this group; returns whether it is dead. If it is found
    /// dead later, the reading has the group.
    pub(super) fn see_in(&mut self, group: &Group, node: &str) -> bool {
        self.see(node);
        let watched = self.nodes.get_mut(node).expect("watched");
        if !watched.is_dead && !watched.groups.contains(group) {
            watched.groups.insert(group.clone());
        }
        watched.is_dead
    }

    pub(super) fn is_dead(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|watched| watched.is_dead)
    }

    /// Returns whether a dead node still has the number that it had when it was found dead.
    pub(super) fn is_still_dead(&self, node: &str, beats: &HashMap<String, String>) -> bool {
        let known = self.nodes.get(node);
        known.is_some_and(|watched| {
            watched.is_dead && beats.get(node).is_none_or(|beat| watched.beat.as_ref() == Some(beat))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn beats(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(node, beat)| ((*node).to_owned(), (*beat).to_owned())).collect()
    }

    #[test]
    fn a_node_is_dead_after_five_readings_without_a_change() {
        let (mut watch, now) = (BeatWatch::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(watch.on_reading(&beats(&[("a", "7")]), now), Reading::default());
        }
        assert_eq!(watch.on_reading(&beats(&[("a", "7")]), now).dead, ["a"]);
        assert!(watch.is_still_dead("a", &beats(&[("a", "7")])) && watch.is_still_dead("a", &beats(&[])));
        assert!(!watch.is_still_dead("a", &beats(&[("a", "8")])), "it wrote meanwhile");
        assert!(watch.is_dead("a"));
        // Also a number that goes back.
        watch.on_reading(&beats(&[("a", "6")]), now);
        assert!(!watch.is_dead("a"));
    }

    #[test]
    fn a_node_without_a_number_is_dead_after_five_readings() {
        let (mut watch, now) = (BeatWatch::default(), Instant::now());
        watch.see("a");
        let dead: Vec<usize> = (0..6).map(|_| watch.on_reading(&beats(&[]), now).dead.len()).collect();
        assert_eq!(dead, [0, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_node_that_ended_is_dead_after_the_grace() {
        let (mut watch, now) = (BeatWatch::default(), Instant::now());
        let end = beats(&[("a", ENDED)]);
        assert_eq!(watch.on_reading(&end, now), Reading::default());
        assert_eq!(watch.on_reading(&end, now + Duration::from_secs(4)), Reading::default());
        let reading = watch.on_reading(&end, now + Duration::from_secs(5));
        assert_eq!(reading, Reading { ended: vec!["a".to_owned()], ..Reading::default() });
        assert!(watch.is_dead("a"));
    }

    #[test]
    fn groups_in_which_a_dead_node_was_seen_are_returned_once() {
        let (mut watch, now) = (BeatWatch::default(), Instant::now());
        let [before, after] = ["before", "after"].map(Group::new);
        assert!(!watch.see_in(&before, "a"));
        watch.on_reading(&beats(&[("a", "7")]), now);
        assert!(!watch.see_in(&after, "a"), "{before:?} was seen before the number changed");
        let groups: Vec<_> = (0..6).map(|_| watch.on_reading(&beats(&[("a", "7")]), now).groups).collect();
        assert_eq!(groups[4], HashSet::from([after.clone()]));
        assert!(groups.iter().enumerate().all(|(n, groups)| n == 4 || groups.is_empty()), "{groups:?}");
        assert!(watch.see_in(&after, "a"));
    }

    #[test]
    fn the_entry_of_a_dead_node_is_removed_a_minute_later() {
        let (mut watch, now) = (BeatWatch::default(), Instant::now());
        let stale = beats(&[("a", "7")]);
        let first = (0..60).find(|_| !watch.on_reading(&stale, now).removable.is_empty());
        assert_eq!(first, Some(30));
    }
}
