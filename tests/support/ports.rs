//! Ports of proxies in the place of those of servers, in what a Redis Cluster says of its servers.

use std::sync::{Arc, RwLock};

/// The ports of servers, and those that stand for them, in digits. All have five.
#[derive(Clone, Default)]
pub struct Ports(Arc<RwLock<Vec<[String; 2]>>>);

/// What stands before a port: in a redirection, in `CLUSTER SLOTS`, and in `CLUSTER SHARDS`.
const BEFORE_PORT: [&[u8]; 3] = [b"127.0.0.1:", b"127.0.0.1\r\n:", b"port\r\n:"];
const DIGITS: usize = 5;

impl Ports {
    pub fn add(&self, port: u16, instead: u16) {
        let pair = [port, instead].map(|port| port.to_string());
        assert!(pair.iter().all(|port| port.len() == DIGITS), "{pair:?}");
        self.0.write().unwrap().push(pair);
    }

    /// Replaces each port, and returns the number of bytes that are done: those behind them may be
    /// the beginning of another one.
    pub fn translate(&self, bytes: &mut [u8]) -> usize {
        let ports = self.0.read().unwrap();
        if ports.is_empty() {
            return bytes.len();
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let cut = |before: &&[u8]| rest.len() < before.len() + DIGITS && begins_alike(rest, before);
            if BEFORE_PORT.iter().any(cut) {
                return at;
            }
            let Some(before) = BEFORE_PORT.iter().find(|before| rest.starts_with(before)) else {
                at += 1;
                continue;
            };
            let digits = at + before.len()..at + before.len() + DIGITS;
            if let Some([_, instead]) =
                ports.iter().find(|[port, _]| port.as_bytes() == &bytes[digits.clone()])
            {
                bytes[digits].copy_from_slice(instead.as_bytes());
            }
            at += before.len();
        }
        at
    }
}

/// Whether one begins with the other.
fn begins_alike(one: &[u8], other: &[u8]) -> bool {
    let length = one.len().min(other.len());
    one[..length] == other[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_replaced_wherever_the_bytes_are_cut() {
        let ports = Ports::default();
        ports.add(20_001, 40_001);
        ports.add(20_002, 40_002);
        let reply = b"-MOVED 7 127.0.0.1:20002\r\n*2\r\n$9\r\n127.0.0.1\r\n:20001\r\n\
                      $4\r\nport\r\n:20002\r\n$13\r\n1727120001-0 p\r\n:20001\r\n";
        let expected = b"-MOVED 7 127.0.0.1:40002\r\n*2\r\n$9\r\n127.0.0.1\r\n:40001\r\n\
                         $4\r\nport\r\n:40002\r\n$13\r\n1727120001-0 p\r\n:20001\r\n";
        for cut in 0..reply.len() {
            let (mut first, mut passed) = (reply[..cut].to_vec(), Vec::new());
            let done = ports.translate(&mut first);
            passed.extend(first.drain(..done));
            first.extend(&reply[cut..]);
            let done = ports.translate(&mut first);
            assert_eq!(done, first.len());
            passed.extend(first);
            assert_eq!(String::from_utf8_lossy(&passed), String::from_utf8_lossy(expected));
        }
    }
}
