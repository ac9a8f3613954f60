//! A TCP proxy between a node and its Redis that cuts or holds connections, delays replies, or
//! drops what subscribers receive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::redis::Redis;

/// The delay of a reply; shorter than a node's timeout.
const LATE: Duration = Duration::from_millis(400);

pub struct RedisProxy {
    address: SocketAddr,
    fate: watch::Sender<Fate>,
}

/// The state of all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// Subscribers receive nothing and see no error; other connections work.
    Deaf,
    /// Replies to other connections than subscribers are delayed.
    Late,
    /// No byte passes in either direction, and no connection ends.
    Held,
    /// Connections are cut, new ones too.
    Cut,
}

impl RedisProxy {
    pub async fn start(redis: &Redis) -> Self {
        let receiver = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = receiver.local_addr().expect("an address");
        let (fate, watched) = watch::channel(Fate::Open);
        let target = redis.address();
        tokio::spawn(async move {
            while let Ok((near, _)) = receiver.accept().await {
                tokio::spawn(carry(near, target.clone(), watched.clone()));
            }
        });
        Self { address, fate }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Subscribers receive nothing from now on, on old and new connections.
    pub fn mute_subscribers(&self) {
        self.fate.send_replace(Fate::Deaf);
    }

    /// Delays replies to commands from now on, but not published messages.
    pub fn delay_replies(&self) {
        self.fate.send_replace(Fate::Late);
    }

    /// Cuts all connections and each new one, until the proxy is opened again.
    pub fn cut(&self) {
        self.fate.send_replace(Fate::Cut);
    }

    /// Holds every byte from now on, on old and new connections, as a network that loses packets.
    pub fn hold(&self) {
        self.fate.send_replace(Fate::Held);
    }

    /// Lets all bytes through again.
    pub fn open(&self) {
        self.fate.send_replace(Fate::Open);
    }
}

/// Copies bytes both ways until one side ends or the proxy is cut.
async fn carry(mut near: TcpStream, target: String, mut fate: watch::Receiver<Fate>) {
    if *fate.borrow() == Fate::Cut {
        return;
    }
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let (mut near_reads, mut near_writes) = near.split();
    let (mut far_reads, mut far_writes) = far.split();
    let subscribes = Arc::new(AtomicBool::new(false));
    let (watched, mut above, mut below) = (fate.clone(), fate.clone(), fate.clone());
    let down = async {
        // A connection that has lost a byte stays mute: TCP never skips bytes.
        let (mut bytes, mut lost) = (vec![0; 65_536], false);
        while let Ok(count @ 1..) = far_reads.read(&mut bytes).await {
            below.wait_for(|fate| *fate != Fate::Held).await.ok();
            let (fate, subscribes) = (*watched.borrow(), subscribes.load(Ordering::Relaxed));
            lost |= fate == Fate::Deaf && subscribes;
            if fate == Fate::Late && !subscribes {
                tokio::time::sleep(LATE).await;
            }
            if !lost && near_writes.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    let up = async {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = near_reads.read(&mut bytes).await {
            above.wait_for(|fate| *fate != Fate::Held).await.ok();
            let text = bytes[..count].to_ascii_lowercase();
            if text.windows(9).any(|window| window == b"subscribe") {
                subscribes.store(true, Ordering::Relaxed);
            }
            if far_writes.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    let cut = async {
        fate.wait_for(|fate| *fate == Fate::Cut).await.ok();
    };
    tokio::select! { () = down => {}, () = up => {}, () = cut => {} }
}
