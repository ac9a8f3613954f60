//! The watchdog: ends a node whose event loop stalls, which a load balancer does not notice.
//!
//! A stalled node still accepts connections (the kernel does) and, having few answers to give,
//! looks idle to nginx' `least_conn`. So it must end; its supervisor starts it again, and the
//! browsers are at other nodes by then. The watchdog counts its own wake-ups, not the clock: a
//! process that was frozen as a whole (SIGSTOP, a suspended machine) is not stalled when it goes
//! on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tracing::error;

const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// Missed heartbeats until the node ends: five seconds.
const MAX_MISSED_HEARTBEATS: u32 = 10;
/// EX_SOFTWARE of sysexits.h.
const EXIT_CODE: i32 = 70;

/// Watches the runtime on which it is called.
pub(crate) fn start() {
    let missed = Arc::new(AtomicU32::new(0));
    let beaten = Arc::clone(&missed);
    tokio::spawn(async move {
        loop {
            beaten.store(0, Ordering::Relaxed);
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        }
    });
    let watch = move || {
        loop {
            thread::sleep(HEARTBEAT_INTERVAL);
            if missed.fetch_add(1, Ordering::Relaxed) >= MAX_MISSED_HEARTBEATS {
                // On its own thread: the loop may have stalled on a log whose reader is stuck.
                thread::spawn(|| error!("the event loop has stalled for 5 s: this node ends itself"));
                thread::sleep(HEARTBEAT_INTERVAL / 5);
                std::process::exit(EXIT_CODE);
            }
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch).expect("a process can have two threads");
}
