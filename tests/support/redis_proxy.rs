//! A TCP proxy between a node and its Redis that cuts connections, holds or delays bytes, drops
//! what subscribers receive, or turns to another Redis.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::ports::Ports;
use super::redis::Redis;
use super::wait::PATIENCE;

/// The delay of a reply; shorter than a node's timeout.
const LATE: Duration = Duration::from_millis(400);

pub struct RedisProxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
}

/// The state of all connections.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    fate: Fate,
    /// The address of the Redis behind the proxy. A connection to another one ends.
    target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// Subscribers receive nothing and see no error; other connections work.
    Deaf,
    /// Replies to other connections than subscribers are delayed.
    Late,
    /// Bytes in this direction arrive when the proxy is opened again.
    Held(Direction),
    /// The bytes to Redis are held from those on that contain this text.
    HeldFrom(&'static str),
    /// All that comes from Redis is delayed.
    Slow,
    /// Connections are cut, new ones too.
    Cut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    FromRedis,
    ToRedis,
    Both,
}

impl RedisProxy {
    pub async fn start(redis: &Redis) -> Self {
        Self::translating(redis, Ports::default()).await
    }

    /// Starts a proxy that writes these ports into what Redis says.
    pub(super) async fn translating(redis: &Redis, ports: Ports) -> Self {
        let receiver = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = receiver.local_addr().expect("an address");
        let state = Arc::new(watch::Sender::new(State { fate: Fate::Open, target: redis.address() }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = receiver.accept().await {
                tokio::spawn(carry(near, Arc::clone(&shared), ports.clone()));
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Subscribers receive nothing from now on, on old and new connections.
    pub fn mute_subscribers(&self) {
        self.set(Fate::Deaf);
    }

    /// Delays replies to commands from now on, but not published messages.
    pub fn delay_replies(&self) {
        self.set(Fate::Late);
    }

    /// Holds all bytes in this direction, without an error on either side.
    pub fn hold(&self, direction: Direction) {
        self.set(Fate::Held(direction));
    }

    /// Holds all bytes to Redis, from those on that contain this text.
    pub fn hold_from(&self, text: &'static str) {
        self.set(Fate::HeldFrom(text));
    }

    /// Waits until bytes to Redis are held.
    pub async fn wait_until_held(&self) {
        let mut state = self.state.subscribe();
        let held = state.wait_for(|state| state.fate.holds(Direction::ToRedis));
        timeout(PATIENCE, held).await.expect("bytes to Redis").expect("a proxy");
    }

    /// Cuts all connections and each new one, until the proxy is opened again.
    pub fn cut(&self) {
        self.set(Fate::Cut);
    }

    /// Delays everything that Redis sends from now on, replies and published messages alike.
    pub fn delay_everything(&self) {
        self.set(Fate::Slow);
    }

    /// Lets all bytes through again.
    pub fn open(&self) {
        self.set(Fate::Open);
    }

    /// Cuts all connections; new ones reach this Redis.
    pub fn turn_to(&self, redis: &Redis) {
        self.state.send_modify(|state| state.target = redis.address());
    }

    fn set(&self, fate: Fate) {
        self.state.send_modify(|state| state.fate = fate);
    }
}

impl Fate {
    fn holds(self, direction: Direction) -> bool {
        matches!(self, Self::Held(held) if held == direction || held == Direction::Both)
    }
}

/// Copies bytes both ways until one side ends, the proxy is cut, or it turns to another Redis.
async fn carry(mut near: TcpStream, shared: Arc<watch::Sender<State>>, ports: Ports) {
    let mut state = shared.subscribe();
    let State { fate, target } = state.borrow().clone();
    if fate == Fate::Cut {
        return;
    }
    let Ok(mut far) = TcpStream::connect(&target).await else { return };
    let (mut near_reads, mut near_writes) = near.split();
    let (mut far_reads, mut far_writes) = far.split();
    let subscribes = Arc::new(AtomicBool::new(false));
    let (mut downward, mut upward) = (state.clone(), state.clone());
    let down = async {
        // A connection that has lost a byte stays mute: TCP never skips bytes.
        let (mut bytes, mut lost, mut unread) = (vec![0; 65_536], false, 0);
        while let Ok(count @ 1..) = far_reads.read(&mut bytes[unread..]).await {
            let (end, count) = (unread + count, ports.translate(&mut bytes[..unread + count]));
            downward.wait_for(|state| !state.fate.holds(Direction::FromRedis)).await.ok();
            let (fate, subscribes) = (downward.borrow().fate, subscribes.load(Ordering::Relaxed));
            lost |= fate == Fate::Deaf && subscribes;
            if fate == Fate::Slow || fate == Fate::Late && !subscribes {
                tokio::time::sleep(LATE).await;
            }
            if !lost && near_writes.write_all(&bytes[..count]).await.is_err() {
                return;
            }
            bytes.copy_within(count..end, 0);
            unread = end - count;
        }
    };
    let up = async {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = near_reads.read(&mut bytes).await {
            let text = bytes[..count].to_ascii_lowercase();
            if text.windows(9).any(|window| window == b"subscribe") {
                subscribes.store(true, Ordering::Relaxed);
            }
            let fate = upward.borrow().fate;
            if let Fate::HeldFrom(start) = fate
                && bytes[..count].windows(start.len()).any(|window| window == start.as_bytes())
            {
                shared.send_modify(|state| state.fate = Fate::Held(Direction::ToRedis));
            }
            upward.wait_for(|state| !state.fate.holds(Direction::ToRedis)).await.ok();
            if far_writes.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    let ends = async {
        state.wait_for(|state| state.fate == Fate::Cut || state.target != target).await.ok();
    };
    tokio::select! { () = down => {}, () = up => {}, () = ends => {} }
}
