//! The floor: one send to each of many connections, without a server. Its cost differs between
//! machines and from hour to hour on a shared one; read other figures against it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::Result;
use crate::figure::{Figure, micros_each, short, whole};
use crate::outcome::Outcome;
use crate::process;

const CONNECTIONS: u32 = 1000;
const ROUNDS: u32 = 30;
/// Approximate frame size of a message of 128 bytes.
const BYTES: usize = 480;

pub(crate) fn play() -> Result<Outcome> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut pairs = Vec::new();
    for _ in 0..CONNECTIONS {
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (far, _) = listener.accept()?;
        far.set_nodelay(true)?;
        pairs.push((far, near));
    }
    let mut bytes = [0; BYTES];
    let own = || process::cpu(std::process::id());
    let mut spent = Duration::ZERO;
    for _ in 0..ROUNDS {
        let start = own()?;
        for (far, _) in &mut pairs {
            far.write_all(&bytes)?;
        }
        spent += own()?.saturating_sub(start);
        for (_, near) in &mut pairs {
            near.read_exact(&mut bytes)?;
        }
    }
    let sends = f64::from(CONNECTIONS * ROUNDS);
    let mut outcome = Outcome::new();
    outcome.done = Figure::new([sends], |n| format!("{} sends of {BYTES} bytes", whole(n[0])));
    outcome.cpu = Figure::new([micros_each(spent, sends)], |n| format!("{} µs a send", short(n[0])));
    Ok(outcome)
}
