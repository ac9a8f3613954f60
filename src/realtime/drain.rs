//! Drain: a node closes sockets one by one, so that their clients do not all reconnect to the other
//! nodes at once. A node that stops drains all sockets; see also
//! [`Realtime::move_clients_on`](crate::realtime::runtime::Realtime::move_clients_on).

use std::sync::{Arc, Weak};
use std::time::Duration;

use rand::seq::SliceRandom;
use tokio::time::{Instant, sleep_until};

use crate::realtime::socket::Socket;
use crate::wire::close::Close;

/// Announces to each socket when it will be closed, and closes it then. The closes are spread
/// evenly over the grace period, in random order, each at a random moment of its share.
///
/// Keeps no socket: its connection ends with it, not with the drain.
pub(crate) async fn run(mut sockets: Vec<Arc<Socket>>, grace: Duration, close: &Close) {
    let begun = Instant::now();
    sockets.shuffle(&mut rand::rng());
    let share = grace / u32::try_from(sockets.len().max(1)).unwrap_or(u32::MAX);
    let mut turns: Vec<(Duration, Weak<Socket>)> = Vec::with_capacity(sockets.len());
    for (turn, socket) in (0..).zip(sockets) {
        let delay = share * turn + share.mul_f64(rand::random());
        if let Some(bye) = socket.wire().bye(delay) {
            socket.send(&bye);
        }
        turns.push((delay, Arc::downgrade(&socket)));
    }
    for (delay, socket) in turns {
        sleep_until(begun + delay).await;
        if let Some(socket) = socket.upgrade() {
            socket.close(close);
        }
    }
}
