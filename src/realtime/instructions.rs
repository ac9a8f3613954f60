//! Instructions on their way to the tasks of the connections that they concern, in line with the
//! disconnect commands before and after them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tracing::warn;

use crate::layer::{Disconnect, Instruction};
use crate::realtime::outbox::TOO_SLOW;
use crate::realtime::socket::Socket;
use crate::telemetry::{DropReason, LogThrottle, METRICS};
use crate::wire::close::{Close, CloseCode};

/// The most instructions that wait until their connections are looked for.
const MAX_ADDED: usize = 4096;
/// The most instructions that wait for the task of one connection.
const MAX_GIVEN: usize = 256;

/// An instruction, and when it arrived.
#[derive(Clone)]
pub(crate) struct Instructed {
    pub(crate) instruction: Arc<Instruction>,
    pub(crate) received_at: Instant,
}

/// The instructions that have not been carried out.
#[derive(Default)]
pub(crate) struct Instructions {
    added: Mutex<Added>,
    /// Those for a connection, by the address of its socket. Few connections have any, so that
    /// sockets do not hold them.
    given: Mutex<HashMap<usize, VecDeque<Instructed>>>,
    /// The connections in `given`.
    connections: AtomicUsize,
}

/// Instructions and disconnect commands whose connections have not been looked for.
#[derive(Default)]
struct Added {
    disconnects: Vec<Disconnect>,
    instructions: Vec<Instructed>,
    /// A task takes them.
    is_taken: bool,
}

/// What is done in one pass over the connections, the disconnects first: what an instruction before
/// one of them joins, that one ends when it is joined.
pub(crate) struct Taken {
    pub(crate) disconnects: Vec<Disconnect>,
    /// By user.
    pub(crate) instructions: HashMap<String, Vec<Instructed>>,
}

impl Instructions {
    /// Adds an instruction. Returns whether the caller has to [take](Self::take_added) what is
    /// added, until there is no more.
    pub(crate) fn add(&self, instruction: Instruction) -> bool {
        let mut added = self.added.lock();
        if added.instructions.len() >= MAX_ADDED {
            static THROTTLE: LogThrottle = LogThrottle::new();
            METRICS.dropped(DropReason::Overflow);
            if let Some(left_out) = THROTTLE.pass() {
                warn!(left_out, "instructions dropped: this node is too slow (logged once a minute)");
            }
            return false;
        }
        added
            .instructions
            .push(Instructed { instruction: Arc::new(instruction), received_at: Instant::now() });
        !std::mem::replace(&mut added.is_taken, true)
    }

    /// As [`add`](Self::add), for a disconnect command.
    pub(crate) fn add_disconnect(&self, command: Disconnect) -> bool {
        let mut added = self.added.lock();
        added.disconnects.push(command);
        !std::mem::replace(&mut added.is_taken, true)
    }

    /// Takes what was added; `None` if there is no more.
    pub(crate) fn take_added(&self) -> Option<Taken> {
        let mut added = self.added.lock();
        if added.instructions.is_empty() && added.disconnects.is_empty() {
            added.is_taken = false;
            return None;
        }
        let mut instructions: HashMap<String, Vec<Instructed>> = HashMap::new();
        for instructed in std::mem::take(&mut added.instructions) {
            instructions.entry(instructed.instruction.user.clone()).or_default().push(instructed);
        }
        Some(Taken { disconnects: std::mem::take(&mut added.disconnects), instructions })
    }

    /// Gives instructions to the task of a connection. One that does not carry them out is closed.
    pub(crate) fn give(&self, socket: &Arc<Socket>, instructed: &[Instructed]) {
        let mut given = self.given.lock();
        let waiting = given.get(&address(socket)).map_or(0, VecDeque::len);
        if waiting + instructed.len() > MAX_GIVEN {
            drop(given);
            return socket.close(&Close::new(CloseCode::Unresponsive, TOO_SLOW));
        }
        given.entry(address(socket)).or_default().extend(instructed.iter().cloned());
        self.connections.store(given.len(), Ordering::SeqCst);
        drop(given);
        socket.outbox().wake();
    }

    /// Returns the next instruction for a connection.
    pub(crate) fn next(&self, socket: &Arc<Socket>) -> Option<Instructed> {
        if self.connections.load(Ordering::SeqCst) == 0 {
            return None; // nearly always
        }
        let mut given = self.given.lock();
        let waiting = given.get_mut(&address(socket))?;
        let next = waiting.pop_front();
        if waiting.is_empty() {
            given.remove(&address(socket));
            self.connections.store(given.len(), Ordering::SeqCst);
        }
        next
    }

    /// Drops the instructions for a connection that has ended.
    pub(crate) fn forget(&self, socket: &Arc<Socket>) {
        if self.connections.load(Ordering::SeqCst) > 0 {
            let mut given = self.given.lock();
            given.remove(&address(socket));
            self.connections.store(given.len(), Ordering::SeqCst);
        }
    }
}

fn address(socket: &Arc<Socket>) -> usize {
    Arc::as_ptr(socket).addr()
}
