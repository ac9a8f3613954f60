//! Micro-benchmarks: the time of single calls on the path of a message.
//!
//! They use the public API: events, ids, idempotency keys, and the memory layer, which does what
//! Redis and its scripts do in a cluster.

use divan::{Bencher, black_box};
use parlor::{Event, Id, IdempotencyKey};

/// Bytes of the texts: a short line, the text of the load benchmark, a long paragraph.
const LENGTHS: [usize; 3] = [16, 128, 4096];

fn main() {
    divan::main();
}

fn event(length: usize) -> Event {
    Event::new("chat_message").with("message", &"x".repeat(length)).with("user", "0123456789abcdef")
}

#[divan::bench(args = LENGTHS)]
fn encode(bencher: Bencher, length: usize) {
    let event = event(length);
    bencher.bench(|| black_box(&event).encode());
}

#[divan::bench(args = LENGTHS)]
fn decode(bencher: Bencher, length: usize) {
    let bytes = event(length).encode();
    bencher.bench(|| Event::decode(black_box(&bytes)));
}

/// As Redis pushes it: with its position in the log.
#[divan::bench(args = LENGTHS)]
fn decode_logged(bencher: Bencher, length: usize) {
    let bytes = event(length).with("id", "1764017100000-3").with("prev", "1764017100000-2").encode();
    bencher.bench(|| Event::decode(black_box(&bytes)));
}

#[divan::bench]
fn parse_id() -> Option<Id> {
    black_box("1764017100000-3").parse().ok()
}

#[divan::bench]
fn format_id(bencher: Bencher) {
    let id: Id = "1764017100000-3".parse().expect("an id");
    bencher.bench(|| black_box(id).to_string());
}

/// The key under which a message is appended once.
#[divan::bench(args = LENGTHS)]
fn key(bencher: Bencher, length: usize) {
    let event = event(length);
    bencher.bench(|| IdempotencyKey::new("0123456789abcdef:a-name".to_owned(), black_box(&event)));
}

mod memory_layer {
    //! The layer of one node alone, with a listener that does nothing.

    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use divan::{Bencher, black_box};
    use parlor::{
        Broker, Delivery, Disconnect, Group, HistoryRange, IdempotencyKey, Instruction, Layer, LayerError,
        LayerListener, NodeFigures, Retention,
    };
    use tokio::runtime::{Builder, Runtime};

    use super::{LENGTHS, event};

    struct NullListener;

    impl LayerListener for NullListener {
        fn is_full(&self) -> bool {
            false
        }

        fn deliver(&self, _: &str, events: &[Arc<Delivery>]) {
            black_box(events);
        }
        fn figures(&self) -> NodeFigures {
            NodeFigures::default()
        }
        fn on_interval_started(&self, _: &str) {}
        fn on_disconnect(&self, _: Disconnect) {}
        fn on_instruction(&self, _: Instruction) {}
        fn on_missed_disconnects(&self, _: &[Disconnect]) {}
        fn ask_again(&self) -> Pin<Box<dyn Future<Output = Result<(), LayerError>> + Send + '_>> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn on_resubscribed(&self) {}
    }

    /// Returns a layer with one group that has a member.
    fn layer() -> (Runtime, Layer, Group) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let keep = Retention { messages: 1000, bytes: 0, age: Duration::from_hours(1), replicas: 0 };
        let (layer, group) = (Layer::memory(keep, Arc::new(NullListener)), Group::new("chat_bench"));
        {
            let _inside = runtime.enter(); // the grace of a member is a task
            drop(layer.subscribe(&group, Some(&"0123456789abcdef".into())));
        }
        (runtime, layer, group)
    }

    #[divan::bench(args = LENGTHS)]
    fn publish(bencher: Bencher, length: usize) {
        let (runtime, layer, group) = layer();
        let event = event(length);
        bencher.bench_local(|| runtime.block_on(layer.publish(&group, &event)));
    }

    #[divan::bench(args = LENGTHS)]
    fn append(bencher: Bencher, length: usize) {
        let (runtime, layer, group) = layer();
        let event = event(length);
        bencher.bench_local(|| runtime.block_on(layer.append(&group, &event, None)));
    }

    /// Under a new key each time, as for messages of clients.
    #[divan::bench]
    fn append_once(bencher: Bencher) {
        let (runtime, layer, group) = layer();
        let (event, count) = (event(128), AtomicU64::new(0));
        bencher.bench_local(|| {
            let key = IdempotencyKey::new(count.fetch_add(1, Ordering::Relaxed).to_string(), &event);
            runtime.block_on(layer.append(&group, &event, Some(&key)))
        });
    }

    /// The events that a client missed, read from the log.
    #[divan::bench(args = [10, 100, 200])]
    fn after(bencher: Bencher, missed: usize) {
        let (runtime, layer, group) = layer();
        let event = event(128);
        for _ in 0..1000 {
            runtime.block_on(layer.append(&group, &event, None)).expect("memory never fails");
        }
        let page = runtime
            .block_on(layer.history(&group, HistoryRange::Before(None, missed + 1)))
            .expect("memory never fails");
        let id = page.events[0].position().expect("it is in the log").id;
        bencher.bench_local(|| runtime.block_on(layer.history(&group, HistoryRange::After(id))));
    }
}
