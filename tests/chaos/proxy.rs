//! A TCP proxy for all clients: it resets connections, delays bytes, and can tamper with one frame.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::tampering::{Tamper, Tampering};

/// The kernel's buffer for each direction, which it doubles.
const SMALL: usize = 65_536;

pub struct ChaosProxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    armed: Arc<AtomicBool>,
}

/// The state of all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// Incremented by each reset storm, and the percentage of connections that it resets.
    storm: u64,
    resets: u64,
    /// Delays bytes, some by as much as a retransmission takes.
    bad: bool,
}

impl ChaosProxy {
    pub async fn before(target: SocketAddr) -> Self {
        Self::with(target, None).await
    }

    /// A proxy that tampers with one frame once it is armed.
    pub async fn with(target: SocketAddr, tampering: Option<Tampering>) -> Self {
        let receiver = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = receiver.local_addr().expect("an address");
        let (weather, watched) = watch::channel(Weather::default());
        let armed = Arc::<AtomicBool>::default();
        let loose = Arc::clone(&armed);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((near, _)) = receiver.accept().await {
                number += 1;
                let tamper = tampering.map(|tampering| Tamper::new(tampering, Arc::clone(&loose)));
                tokio::spawn(carry(near, target, number, watched.clone(), tamper));
            }
        });
        Self { address, weather, armed }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets about this percentage of the connections, chosen by the seed, in both directions.
    pub fn reset(&self, percent: u64, seed: u64) {
        self.weather.send_modify(|weather| (weather.storm, weather.resets) = (seed, percent));
    }

    /// Turns delays on or off.
    pub fn bad(&self, bad: bool) {
        self.weather.send_modify(|weather| weather.bad = bad);
    }

    /// Tampers with the next suitable message.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether the frame to tamper with has not come yet.
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }
}

/// Copies bytes both ways until one side ends or a storm resets the connection.
async fn carry(
    mut near: TcpStream,
    target: SocketAddr,
    number: u64,
    mut weather: watch::Receiver<Weather>,
    tamper: Option<Tamper>,
) {
    weather.mark_unchanged();
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    for stream in [&near, &far] {
        stream.set_nodelay(true).ok();
        // Keeps buffers small, so that the node notices a slow reader.
        setsockopt(stream, sockopt::SndBuf, &SMALL).ok();
        setsockopt(stream, sockopt::RcvBuf, &SMALL).ok();
    }
    let storms = weather.clone();
    let reset = {
        let (near_reads, near_writes) = near.split();
        let (far_reads, far_writes) = far.split();
        tokio::select! {
            () = pump(near_reads, far_writes, None, number, weather.clone()) => false,
            () = pump(far_reads, near_writes, tamper, number + (1 << 32), weather) => false,
            () = struck(number, storms) => true,
        }
    };
    if reset {
        for stream in [&near, &far] {
            setsockopt(stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).ok();
        }
    }
}

/// Waits until a storm hits this connection.
async fn struck(number: u64, mut weather: watch::Receiver<Weather>) {
    let mut survived = weather.borrow_and_update().storm;
    loop {
        if weather.changed().await.is_err() {
            return std::future::pending().await;
        }
        let now = *weather.borrow_and_update();
        if now.storm != survived && chance(now.storm, number) < now.resets {
            return;
        }
        survived = now.storm;
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut tamper: Option<Tamper>,
    number: u64,
    weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16_384];
    for turn in 0_u64.. {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if weather.borrow().bad {
            let lost = chance(turn, number) < 5;
            let delay = 10 + chance(number, turn) + if lost { 400 } else { 0 };
            sleep(Duration::from_millis(delay)).await;
        }
        let written = match &mut tamper {
            Some(tamper) => to.write_all(&tamper.pass(&buffer[..count])).await,
            None => to.write_all(&buffer[..count]).await,
        };
        if written.is_err() {
            return;
        }
    }
}

/// A number below 100 that depends only on the two numbers.
fn chance(one: u64, two: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (one, two).hash(&mut hasher);
    hasher.finish() % 100
}
