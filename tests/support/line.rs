//! The line between a browser and a node: it may go silent, or be slow upwards.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// The pause between two parts of a slow upload.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Line {
    address: SocketAddr,
    state: watch::Sender<State>,
    uploaded: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// How often the line went silent. Connections that were open then carry no more bytes.
    silences: u64,
    /// The rate of uploads in bytes a second; 0 for any.
    upload_rate: usize,
}

impl Line {
    pub async fn to(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (state, watched) = watch::channel(State::default());
        let uploaded = Arc::<AtomicU64>::default();
        let count = Arc::clone(&uploaded);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, node, watched.clone(), Arc::clone(&count)));
            }
        });
        Self { address, state, uploaded }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The bytes that clients have sent.
    pub fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    /// No byte passes on the connections that are open, and no end of them. New ones work.
    pub fn go_silent(&self) {
        self.state.send_modify(|state| state.silences += 1);
    }

    /// Passes what clients send at this rate, in bytes a second.
    pub fn slow_uploads(&self, rate: usize) {
        self.state.send_modify(|state| state.upload_rate = rate);
    }
}

async fn carry(near: TcpStream, node: SocketAddr, state: watch::Receiver<State>, count: Arc<AtomicU64>) {
    let Ok(far) = TcpStream::connect(node).await else { return };
    let opened = state.borrow().silences;
    let (near, far) = (near.into_split(), far.into_split());
    let silent = async {
        let mut state = state.clone();
        let _ = state.wait_for(|state| state.silences > opened).await;
    };
    // Pinned here: the branches of `select!` are dropped before what follows runs, and with them
    // the connections would be closed.
    let mut upload = pin!(upload(near.0, far.1, state.clone(), count));
    let mut download = pin!(download(far.0, near.1));
    tokio::select! {
        () = upload.as_mut() => {}
        () = download.as_mut() => {}
        () = silent => std::future::pending().await, // keeps both connections open
    }
}

async fn upload(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: watch::Receiver<State>,
    count: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let rate = state.borrow().upload_rate;
        let most = if rate == 0 { buffer.len() } else { rate / 10 };
        let Ok(read @ 1..) = from.read(&mut buffer[..most]).await else { return };
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        count.fetch_add(read as u64, Ordering::Relaxed);
        if rate > 0 {
            sleep(PAUSE).await;
        }
    }
}

async fn download(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}
