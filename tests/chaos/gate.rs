//! A TCP proxy through which all clients come: it resets connections, delays bytes, and can tamper with one
//! frame.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::mischief::{Mischief, Tamper};

/// Bytes that the kernel keeps for each direction, which it doubles.
const SMALL: usize = 65_536;

pub struct Gate {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    armed: Arc<AtomicBool>,
}

/// What happens to connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weather {
    /// Raised by each storm; in one, so many of a hundred connections are reset.
    storm: u64,
    resets: u64,
    /// Bytes take a while, and some a long while, as when a packet was lost and is sent again.
    bad: bool,
}

impl Gate {
    pub async fn before(target: SocketAddr) -> Self {
        Self::with(target, None).await
    }

    /// With one that tampers, once it is let loose.
    pub async fn with(target: SocketAddr, mischief: Option<Mischief>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (weather, watched) = watch::channel(Weather::default());
        let armed = Arc::<AtomicBool>::default();
        let loose = Arc::clone(&armed);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((near, _)) = listener.accept().await {
                number += 1;
                let tamper = mischief.map(|mischief| Tamper::new(mischief, Arc::clone(&loose)));
                tokio::spawn(carry(near, target, number, watched.clone(), tamper));
            }
        });
        Self { address, weather, armed }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets about so many of a hundred connections, chosen by the seed, towards both sides.
    pub fn reset(&self, percent: u64, seed: u64) {
        self.weather.send_modify(|weather| (weather.storm, weather.resets) = (seed, percent));
    }

    /// Bytes are late from now on, or no more.
    pub fn bad(&self, bad: bool) {
        self.weather.send_modify(|weather| weather.bad = bad);
    }

    /// The next message that can be tampered with is.
    pub fn let_loose(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether the mischief is still to be done.
    pub fn waits(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }
}

/// Carries bytes both ways until one side ends or the storm takes the connection.
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
        // Little is kept on the way for who does not read, so that it is the node that notices.
        SockRef::from(stream).set_send_buffer_size(SMALL).ok();
        SockRef::from(stream).set_recv_buffer_size(SMALL).ok();
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
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok();
        }
    }
}

/// Waits until a storm strikes this connection.
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

/// A number below 100 that is the same for the same two numbers.
fn chance(one: u64, two: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (one, two).hash(&mut hasher);
    hasher.finish() % 100
}
