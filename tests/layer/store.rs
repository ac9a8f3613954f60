//! The clauses of the store's contract (see `layer::store`), on all layers.

use std::time::Duration;

use parlor::{Change, Guard, Index, LayerError, SharedStore, Store};

use crate::support::layer_nodes::{LayerNodes, clauses};
use crate::support::wait::{seconds, until};

const SHORT: Duration = Duration::from_millis(150);

/// The stores of the first and the last node.
fn ends(peers: &LayerNodes) -> (&SharedStore, &SharedStore) {
    let [first, last] =
        [peers.nodes.first(), peers.nodes.last()].map(|node| node.expect("a node").layer.store());
    (first, last)
}

async fn a_record_is_the_same_on_every_node_until_it_expires(peers: LayerNodes) {
    let (here, there) = ends(&peers);
    assert_eq!(here.get("a b").await.unwrap(), None);
    here.put("a b", "1", None).await.unwrap();
    here.put("short", "x", Some(SHORT)).await.unwrap();
    assert_eq!(there.get("a b").await.unwrap().as_deref(), Some("1"));
    assert_eq!(there.get("short").await.unwrap().as_deref(), Some("x"));
    assert_eq!(there.refresh("a b", SHORT).await.unwrap().as_deref(), Some("1"));
    assert_eq!(there.refresh("nothing", SHORT).await.unwrap(), None);
    for key in ["short", "a b"] {
        until(seconds(2), &format!("{key} to end"), async || match there.get(key).await.unwrap() {
            None => Ok(()),
            Some(value) => Err(value),
        })
        .await;
    }
    assert!(here.create("short", "y", None).await.unwrap(), "what has ended is not there");
}

async fn concurrent_create_and_take_each_succeed_once(peers: LayerNodes) {
    let (here, there) = ends(&peers);
    let create = || async move { here.create("k", "one", None).await.unwrap() };
    let made = futures_util::future::join_all((0..10).map(|_| create())).await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    let taken = futures_util::future::join_all((0..10).map(|_| there.take("k"))).await;
    let taken: Vec<String> = taken.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(taken, ["one"]);
    assert!(!here.delete("k").await.unwrap());
}

async fn concurrent_updates_of_a_record_are_all_kept(peers: LayerNodes) {
    let (here, there) = ends(&peers);
    here.write("list", &Vec::<u32>::new(), Some(seconds(60))).await.unwrap();
    let changes = (0..40_u32).map(|number| async move {
        let store = if number % 2 == 0 { here } else { there };
        store.change("list", move |list: &mut Vec<u32>| list.push(number)).await.unwrap().expect("a list");
    });
    futures_util::future::join_all(changes).await;
    let mut list: Vec<u32> = there.read("list").await.unwrap().expect("a list");
    list.sort_unstable();
    assert_eq!(list, (0..40).collect::<Vec<_>>());
    assert_eq!(here.change("none", |list: &mut Vec<u32>| list.clear()).await.unwrap(), None);
    here.write("short", &1, Some(SHORT)).await.unwrap();
    there.change("short", |number: &mut u32| *number += 1).await.unwrap();
    until(seconds(2), "a changed record to end", async || match there.get("short").await.unwrap() {
        None => Ok(()),
        Some(value) => Err(value),
    })
    .await;
}

async fn an_index_is_ordered_by_rank(peers: LayerNodes) {
    let (here, there) = ends(&peers);
    for (name, rank) in [("ann", 1_800_000_000_000), ("bob", 3), ("eve", 2), ("b", 3)] {
        assert!(here.add("i", name, rank).await.unwrap());
    }
    assert!(!there.add("i", "eve", 4).await.unwrap(), "it was there");
    let names = |top: Vec<(String, u64)>| top.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(there.top("i", 10).await.unwrap()), ["ann", "eve", "bob", "b"]);
    assert_eq!(there.top("i", 1).await.unwrap(), [("ann".to_owned(), 1_800_000_000_000)]);
    assert_eq!(there.top("i", 0).await.unwrap(), []);
    assert_eq!(
        (there.rank("i", "bob").await.unwrap(), there.rank("i", "none").await.unwrap()),
        (Some(3), None)
    );
    there.trim("i", 2).await.unwrap();
    assert_eq!(
        (names(here.top("i", 10).await.unwrap()), here.count("i").await.unwrap()),
        (vec!["ann".to_owned(), "eve".to_owned()], 2)
    );
    assert!(here.remove("i", "ann").await.unwrap() && !here.remove("i", "ann").await.unwrap());
    here.clear("i").await.unwrap();
    assert_eq!(there.count("i").await.unwrap(), 0);
}

async fn a_step_makes_all_changes_or_none(peers: LayerNodes) {
    let (here, there) = ends(&peers);
    let (key, list) = ("room:{a}", "members:{a}");
    let add = |name| Change::Add { index: list, name, rank: 5 };
    let absent = Guard::Record { key, value: None };
    assert_eq!(here.step(&[absent], &[Change::Put { key, value: "1" }, add("ann")]).await.unwrap(), None);
    assert_eq!(there.get(key).await.unwrap().as_deref(), Some("1"));
    let fits = |name, limit| Guard::Fits { index: list, name, limit };
    let above = |name, rank| Guard::RankAbove { index: list, name, rank };
    for (guards, failed) in [
        (vec![absent], Some(0)),
        (vec![Guard::Record { key, value: Some("1") }, Guard::Record { key, value: Some("2") }], Some(1)),
        (vec![fits("bob", 1)], Some(0)),
        (vec![fits("ann", 1), fits("bob", 2)], None),
        (vec![above("ann", 5)], Some(0)),
        (vec![above("ann", 4)], None),
        (vec![above("eve", 0)], Some(0)),
    ] {
        let changes = [Change::Put { key: "other:{a}", value: "x" }];
        assert_eq!(there.step(&guards, &changes).await.unwrap(), failed, "{guards:?}");
        assert_eq!(here.delete("other:{a}").await.unwrap(), failed.is_none(), "{guards:?}");
    }
    let changes = [
        Change::Add { index: list, name: "ann", rank: 9 },
        Change::Add { index: list, name: "bob", rank: 7 },
        Change::Add { index: list, name: "eve", rank: 8 },
        Change::Trim { index: list, keep: 2 },
        Change::Delete { key },
    ];
    there.step(&[], &changes).await.unwrap();
    let expected = [("eve".to_owned(), 8), ("bob".to_owned(), 7)];
    assert_eq!(here.top(list, 9).await.unwrap(), expected, "a name that is there keeps its rank");
    assert_eq!(here.get(key).await.unwrap(), None);
    let changes = [
        Change::Remove { index: list, name: "eve" },
        Change::RemoveRanked { index: list, name: "bob", rank: 8 },
        Change::RemoveRanked { index: list, name: "none", rank: 8 },
        Change::Clear { index: "none:{a}" },
    ];
    here.step(&[], &changes).await.unwrap();
    assert_eq!(there.count(list).await.unwrap(), 1, "bob has another rank");
    there.step(&[], &[Change::RemoveRanked { index: list, name: "bob", rank: 7 }]).await.unwrap();
    assert_eq!(there.count(list).await.unwrap(), 0);
    there.step(&[], &[add("ann"), Change::Clear { index: list }]).await.unwrap();
    assert_eq!(here.count(list).await.unwrap(), 0);
}

async fn concurrent_steps_keep_a_limit(peers: LayerNodes) {
    let (here, there) = ends(&peers);
    let steps = (0..40_u32).map(|number| async move {
        let store = if number % 2 == 0 { here } else { there };
        let name = number.to_string();
        let fits = Guard::Fits { index: "few", name: &name, limit: 7 };
        let add = Change::Add { index: "few", name: &name, rank: number.into() };
        store.step(&[fits], &[add]).await.unwrap()
    });
    let outcomes = futures_util::future::join_all(steps).await;
    assert_eq!(outcomes.iter().filter(|failed| failed.is_none()).count(), 7);
    assert_eq!(here.count("few").await.unwrap(), 7);
}

async fn many_keys_are_read_in_their_order(peers: LayerNodes) {
    // More than one round trip has.
    const KEYS: u64 = 300;
    let (here, there) = ends(&peers);
    let keys: Vec<String> = (0..KEYS).map(|n| format!("k{n}")).collect();
    for n in (0..KEYS).step_by(3) {
        let key = &keys[usize::try_from(n).unwrap()];
        here.write(key, &n, None).await.unwrap();
        here.add(key, "ann", n).await.unwrap();
        here.add(key, "bob", n + 1).await.unwrap();
    }
    let held = |n: u64| n.is_multiple_of(3).then_some(n);
    let expected: Vec<Option<u64>> = (0..KEYS).map(held).collect();
    assert_eq!(there.read_all::<u64>(&keys).await.unwrap(), expected);
    assert_eq!(there.ranks(&keys, "ann").await.unwrap(), expected);
    let counts: Vec<usize> = expected.iter().map(|held| if held.is_some() { 2 } else { 0 }).collect();
    assert_eq!(there.counts(&keys).await.unwrap(), counts);
    for limit in 0..3 {
        let top = |n: &u64| {
            [("bob".to_owned(), n + 1), ("ann".to_owned(), *n)].into_iter().take(limit).collect::<Vec<_>>()
        };
        let tops: Vec<Vec<(String, u64)>> =
            expected.iter().map(|held| held.as_ref().map(top).unwrap_or_default()).collect();
        assert_eq!(there.tops(&keys, limit).await.unwrap(), tops);
    }
    here.put("k1", "no number", None).await.unwrap();
    let error = there.read_all::<u64>(&keys).await.unwrap_err();
    assert!(matches!(&error, LayerError::CorruptRecord { key, .. } if key == "k1"), "{error}");
    assert_eq!(there.get_all(&[]).await.unwrap(), []);
    let ended = ["ann".to_owned(), "eve".to_owned()];
    here.remove_all("k0", &ended).await.unwrap();
    assert_eq!(there.top("k0", 9).await.unwrap(), [("bob".to_owned(), 1)]);
    here.remove_all("k0", &[]).await.unwrap();
}

clauses! {
    many_keys_are_read_in_their_order
    a_step_makes_all_changes_or_none
    concurrent_steps_keep_a_limit
    a_record_is_the_same_on_every_node_until_it_expires
    concurrent_create_and_take_each_succeed_once
    concurrent_updates_of_a_record_are_all_kept
    an_index_is_ordered_by_rank
}
