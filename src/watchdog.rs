//! The watchdog: ends a node whose loop stalls, for a load balancer does not notice.
//!
//! A stalled node still accepts connections (the kernel does) and, having few answers to give, looks
//! idle to nginx' `least_conn`. So it must end; its supervisor starts it again, and the browsers are
//! at other nodes by then. The watchdog counts its own wake-ups, not the clock: a process that was
//! frozen as a whole (SIGSTOP, a suspended machine) is not stalled when it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tracing::error;

const BEAT: Duration = Duration::from_millis(500);
/// Five seconds without a beat.
const MISSED: u32 = 10;
/// EX_SOFTWARE of sysexits.h.
const EXIT_CODE: i32 = 70;

/// Watches the runtime on which it is called.
pub(crate) fn start() {
    let missed = Arc::new(AtomicU32::new(0));
    let beaten = Arc::clone(&missed);
    tokio::spawn(async move {
        loop {
            beaten.store(0, Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
        }
    });
    let watch = move || {
        loop {
            thread::sleep(BEAT);
            if missed.fetch_add(1, Ordering::Relaxed) >= MISSED {
                // In a thread of its own: a log that nobody reads may be what the loop stalls on.
                thread::spawn(|| error!("the event loop has stalled for 5 s: this node ends itself"));
                thread::sleep(BEAT / 5);
                std::process::exit(EXIT_CODE);
            }
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch).expect("a process can have two threads");
}
