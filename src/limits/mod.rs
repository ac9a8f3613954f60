//! The limits of this node: rates and numbers by address, user, name and API key.
//!
//! Rates follow GCRA (crate `governor`): a sustained rate and a burst. Concurrency limits count
//! what is open now. Keys are stored as hashes of eight bytes, however long the name.

mod address_logs;
mod concurrency;
mod connection_slot;
mod held_bytes;
mod keyed_rate;
mod message_rate;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::config::limits::LimitsConfig;
use crate::limits::address_logs::AddressLogs;
pub(crate) use crate::limits::concurrency::ConcurrencyLimiter;
pub(crate) use crate::limits::connection_slot::ConnectionSlot;
use crate::limits::held_bytes::HeldBytes;
use crate::limits::keyed_rate::KeyedRateLimiter;
pub(crate) use crate::limits::message_rate::{MessageRateLimiter, RateDecision};
use crate::telemetry::{LimitReason, METRICS};
use crate::wire::group::Group;

/// The burst of handshakes, as a multiple of the rate per second: an office reconnects after a
/// restart.
const HANDSHAKE_BURST_FACTOR: u32 = 10;
/// The burst of requests, as a multiple of the rate per second: an office opens the same page.
const REQUEST_BURST_FACTOR: u32 = 10;
/// Files that an address may request for each other request: a page has dozens, all in memory.
const FILES_PER_REQUEST: u32 = 10;
/// API keys that one address may use at their full rate.
const KEYS_PER_ADDRESS: u32 = 10;
/// Addresses that may guess at one name before its owner is limited too, so that one attacker
/// cannot lock the owner out.
const GUESSING_ADDRESSES_PER_NAME: u32 = 6;
/// The burst of reads of logs, as a multiple of the rate per second: an office reconnects after a
/// restart.
const READ_BURST_FACTOR: u32 = 10;
/// The least burst of the bytes of an address: the longest message that a setting allows is sent in
/// parts that are counted one by one.
const MIN_BYTES_BURST: u32 = 1024 * 1024;
/// The least bytes that a message counts for its address: its idempotency key and its place in a
/// log take about 300 in Redis for five minutes, and every node of its group handles it.
const MIN_MESSAGE_BYTES: u32 = 1024;
/// The most bytes of incomplete messages and bodies that an address makes a node hold: more than a
/// hundred of the longest messages.
const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;
/// The burst of posted messages, as a multiple of the rate per second: as on a socket.
const POST_BURST_FACTOR: u32 = 4;
/// When a client of an address with messages in too many logs may retry.
const LOG_RETRY_DELAY: Duration = Duration::from_mins(1);
/// When a client with too many open sockets may retry.
const SOCKET_RETRY_DELAY: Duration = Duration::from_secs(5);

/// All limits of a node.
pub(crate) struct Limits {
    rates: LimitsConfig,
    handshakes: KeyedRateLimiter,
    requests: KeyedRateLimiter,
    files: KeyedRateLimiter,
    api_requests: KeyedRateLimiter,
    logins: KeyedRateLimiter,
    names: KeyedRateLimiter,
    posts: KeyedRateLimiter,
    publishes: KeyedRateLimiter,
    /// By the keys of `by_address`, as are the reads.
    bytes: KeyedRateLimiter,
    reads: KeyedRateLimiter,
    logs: AddressLogs,
    held: HeldBytes,
    by_address: ConcurrencyLimiter,
    by_user: ConcurrencyLimiter,
}

/// The kind of a request, by which requests of an address are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// A page, or any other answer that is computed.
    Page,
    /// A file from memory.
    File,
    /// A request to the API, which keys have limits of their own for.
    Api,
    /// A probe of the node: not limited.
    Probe,
}

/// An admitted socket, counted for its address and its user until this is dropped.
pub(crate) struct Admitted {
    limits: Arc<Limits>,
    address: u64,
    user: OnceLock<u64>,
}

/// What has arrived of a body, counted for its address until this is dropped.
pub(crate) struct HeldBody {
    limits: Arc<Limits>,
    address: u64,
    bytes: usize,
}

impl Limits {
    /// Creates the limits with nothing counted. `log_age` is the time for which a log keeps a
    /// message.
    pub(crate) fn new(rates: LimitsConfig, log_age: Duration) -> Self {
        Self {
            rates,
            handshakes: KeyedRateLimiter::per_second(rates.handshakes_per_second, HANDSHAKE_BURST_FACTOR),
            requests: KeyedRateLimiter::per_second(rates.requests_per_second(), REQUEST_BURST_FACTOR),
            files: KeyedRateLimiter::per_second(
                rates.requests_per_second().saturating_mul(FILES_PER_REQUEST),
                REQUEST_BURST_FACTOR,
            ),
            api_requests: KeyedRateLimiter::per_second(
                rates.publishes_per_second.saturating_mul(KEYS_PER_ADDRESS),
                1,
            ),
            bytes: KeyedRateLimiter::per_second_at_least(
                rates.address_bytes_per_second(),
                POST_BURST_FACTOR,
                MIN_BYTES_BURST,
            ),
            reads: KeyedRateLimiter::per_second(rates.reads_per_second(), READ_BURST_FACTOR),
            logs: AddressLogs::new(rates.address_logs(), log_age),
            held: HeldBytes::new(if rates.address_bytes_per_second() == 0 { 0 } else { MAX_HELD_BYTES }),
            logins: KeyedRateLimiter::per_minute(rates.logins_per_minute),
            names: KeyedRateLimiter::per_minute(
                rates.logins_per_minute.saturating_mul(GUESSING_ADDRESSES_PER_NAME),
            ),
            posts: KeyedRateLimiter::per_second(rates.messages_per_second, POST_BURST_FACTOR),
            publishes: KeyedRateLimiter::per_second(rates.publishes_per_second, 1),
            by_address: ConcurrencyLimiter::new(rates.sockets_per_address),
            by_user: ConcurrencyLimiter::new(rates.sockets_per_user),
        }
    }

    /// Counts a WebSocket handshake from this address.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn handshake(&self, address: IpAddr) -> Result<(), Limited> {
        let passed = self.handshakes.check(&network_of(address));
        passed.map_err(|wait| refused(LimitReason::Handshakes, wait))
    }

    /// Counts a request of this address, before anything is known of its client but the address.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn request(&self, address: IpAddr, kind: RequestKind) -> Result<(), Limited> {
        let limiter = match kind {
            RequestKind::Page => &self.requests,
            RequestKind::File => &self.files,
            RequestKind::Api => &self.api_requests,
            RequestKind::Probe => return Ok(()),
        };
        limiter.check(&network_of(address)).map_err(|wait| refused(LimitReason::Requests, wait))
    }

    /// Counts an attempt to take a name from this address.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn naming(&self, address: IpAddr) -> Result<(), Limited> {
        self.logins.check(&network_of(address)).map_err(|wait| refused(LimitReason::Logins, wait))
    }

    /// Counts an attempt to log in from this address under this name, which the caller has
    /// normalized.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn login(&self, address: IpAddr, name: &str) -> Result<(), Limited> {
        let passed = self.logins.check(&network_of(address)).and_then(|()| self.names.check(name));
        passed.map_err(|wait| refused(LimitReason::Logins, wait))
    }

    /// Counts a message that is posted without a socket. `user` is the id of an account; guests are
    /// limited by address, as a client can become another guest at will.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn post(&self, address: IpAddr, user: Option<&str>) -> Result<(), Limited> {
        let passed = match user {
            Some(user) => self.posts.check(user),
            None => self.posts.check(&network_of(address)),
        };
        passed.map_err(|wait| refused(LimitReason::Messages, wait))
    }

    /// Counts the bytes of a message that is posted without a socket.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn posted_bytes(&self, address: IpAddr, count: usize) -> Result<(), Limited> {
        let key = self.by_address.key(&network_of(address));
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(MIN_MESSAGE_BYTES);
        self.bytes.check_n(&key, count).map_err(|wait| refused(LimitReason::AddressBytes, wait))
    }

    /// Returns the count of what is held of a body of this address, of which nothing has arrived.
    pub(crate) fn held_body(self: &Arc<Self>, address: IpAddr) -> HeldBody {
        HeldBody { limits: Arc::clone(self), address: self.by_address.key(&network_of(address)), bytes: 0 }
    }

    /// Records that `now` bytes are held for the address instead of `before`.
    fn hold(&self, address: u64, before: usize, now: usize) -> Result<(), Limited> {
        let is_allowed = self.held.change(address, before, now);
        if is_allowed || now <= before {
            return Ok(());
        }
        Err(refused(LimitReason::AddressBytes, SOCKET_RETRY_DELAY))
    }

    /// Counts a message that is posted without a socket into this group's log.
    ///
    /// # Errors
    /// Returns [`Limited`] if the address has messages in too many logs.
    pub(crate) fn posted_to(&self, address: IpAddr, group: &Group) -> Result<(), Limited> {
        self.publishes_to(self.by_address.key(&network_of(address)), group)
    }

    fn publishes_to(&self, address: u64, group: &Group) -> Result<(), Limited> {
        let is_allowed = self.logs.enter(address, group.name());
        if is_allowed { Ok(()) } else { Err(refused(LimitReason::AddressLogs, LOG_RETRY_DELAY)) }
    }

    /// Counts a publish by the API key with this id.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn publish(&self, id: &str) -> Result<(), Limited> {
        self.publishes.check(id).map_err(|wait| refused(LimitReason::Publishes, wait))
    }

    /// Counts a read by a request of this address.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn read(&self, address: IpAddr) -> Result<(), Limited> {
        self.read_by(self.by_address.key(&network_of(address)))
    }

    fn read_by(&self, address: u64) -> Result<(), Limited> {
        self.reads.check(&address).map_err(|wait| refused(LimitReason::Reads, wait))
    }

    /// Counts the rejection of a connection of an address that has too many.
    pub(crate) fn too_many_connections() -> Limited {
        refused(LimitReason::ConnectionsPerAddress, SOCKET_RETRY_DELAY)
    }

    /// Counts an open socket of this address.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Limited> {
        let entered = self.by_address.enter(&network_of(address));
        let address = entered.ok_or_else(|| refused(LimitReason::SocketsPerAddress, SOCKET_RETRY_DELAY))?;
        Ok(Admitted { limits: Arc::clone(self), address, user: OnceLock::new() })
    }

    /// Returns the message limiter of a socket whose messages have at most `limit` bytes; `None`
    /// without limits.
    pub(crate) fn message_limiter(&self, limit: usize) -> Option<Box<MessageRateLimiter>> {
        MessageRateLimiter::new(&self.rates, limit)
    }
}

impl Admitted {
    /// Counts the bytes of a message of the socket for its address; returns whether they are within
    /// the limit.
    pub(crate) fn message(&self, count: u32) -> bool {
        self.bytes(count.max(MIN_MESSAGE_BYTES))
    }

    /// Counts bytes of the socket for its address; returns whether they are within the limit.
    pub(crate) fn bytes(&self, count: u32) -> bool {
        let passed = self.limits.bytes.check_n(&self.address, count);
        passed.map_err(|wait| refused(LimitReason::AddressBytes, wait)).is_ok()
    }

    /// Counts a read of a log or of a list by the socket, for its address.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn read(&self) -> Result<(), Limited> {
        self.limits.read_by(self.address)
    }

    /// Records that the socket holds `now` bytes of an incomplete message instead of `before`.
    ///
    /// # Errors
    /// Returns [`Limited`] if the sockets of the address hold too many.
    pub(crate) fn hold(&self, before: u32, now: u32) -> Result<(), Limited> {
        self.limits.hold(self.address, before as usize, now as usize)
    }

    /// Counts a message of the socket into this group's log, for its address.
    ///
    /// # Errors
    /// Returns [`Limited`] if the address has messages in too many logs.
    pub(crate) fn publishes_to(&self, group: &Group) -> Result<(), Limited> {
        self.limits.publishes_to(self.address, group)
    }

    /// Counts the socket for this user too. Anonymous clients are not counted by user.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn for_user(self, user: Option<&str>) -> Result<Self, Limited> {
        self.count_user(user)?;
        Ok(self)
    }

    /// As [`for_user`](Self::for_user), of a socket whose user is known only now.
    ///
    /// # Errors
    /// Returns [`Limited`] over the limit.
    pub(crate) fn count_user(&self, user: Option<&str>) -> Result<(), Limited> {
        let Some(user) = user else { return Ok(()) };
        let entered = self.limits.by_user.enter(user);
        let entered = entered.ok_or_else(|| refused(LimitReason::SocketsPerUser, SOCKET_RETRY_DELAY))?;
        if self.user.set(entered).is_err() {
            self.limits.by_user.leave(entered); // counted already
        }
        Ok(())
    }
}

impl HeldBody {
    /// Counts that so many bytes have arrived.
    ///
    /// # Errors
    /// Returns [`Limited`] if the address makes the node hold too many.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Limited> {
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.limits.hold(self.address, before, bytes)
    }
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        self.limits.held.change(self.address, self.bytes, 0);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.limits.by_address.leave(self.address);
        if let Some(user) = self.user.get() {
            self.limits.by_user.leave(*user);
        }
    }
}

/// Returns the address that is counted: for IPv6 its /64, which one client usually holds whole.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// A limit was exceeded.
#[derive(Debug)]
pub struct Limited {
    /// The time until a retry is allowed.
    pub wait: Duration,
}

fn refused(reason: LimitReason, wait: Duration) -> Limited {
    METRICS.refused(reason);
    Limited { wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG_AGE: Duration = Duration::from_mins(1);
    const RATES: LimitsConfig = LimitsConfig {
        messages_per_second: 0,
        bytes_per_second: 0,
        address_bytes_per_second: 1000,
        reads_per_second: 2,
        address_logs: 2,
        handshakes_per_second: 1,
        logins_per_minute: 3,
        publishes_per_second: 2,
        sockets_per_user: 2,
        sockets_per_address: 3,
        connections_per_address: 4,
        requests_per_second: 2,
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sockets_are_counted_by_address_and_user_and_forgotten_at_their_end() {
        let limits = Arc::new(Limits::new(RATES, LOG_AGE));
        let (near, far) = (address("2001:db8::1"), address("192.0.2.1"));
        let ann = limits.admit(near).unwrap().for_user(Some("ann")).unwrap();
        let again = limits.admit(far).unwrap().for_user(Some("ann")).unwrap();
        assert!(limits.admit(far).unwrap().for_user(Some("ann")).is_err(), "a third of ann's, wherever from");
        let others = [limits.admit(near).unwrap(), limits.admit(address("2001:db8::2")).unwrap()];
        assert!(limits.admit(address("2001:db8::3")).is_err(), "a fourth of one network");
        drop((ann, again, others));
        assert!(limits.by_address.is_empty() && limits.by_user.is_empty());
        assert!(limits.admit(near).unwrap().for_user(Some("ann")).is_ok());
    }

    #[test]
    fn logins_are_counted_by_address_and_by_name() {
        let limits = Limits::new(RATES, LOG_AGE);
        for _ in 0..4 {
            // The fourth is too many for one address.
            let _ = limits.login(address("192.0.2.1"), "ann");
        }
        for n in 0..15 {
            limits.login(address(&format!("198.51.100.{n}")), "ann").unwrap();
        }
        let refusal = limits.login(address("192.0.2.4"), "ann").unwrap_err();
        let wait = refusal.wait.as_millis().div_ceil(1000).max(1);
        assert!((1..=4).contains(&wait), "{wait} seconds until the next of eighteen a minute");
        for name in ["bob", "eve"] {
            limits.login(address("192.0.2.4"), name).unwrap();
        }
        assert!(limits.login(address("192.0.2.4"), "joe").is_err(), "one address, many names");
    }

    #[test]
    fn bytes_and_reads_are_counted_by_address_and_off_with_those_of_a_socket() {
        let on = LimitsConfig { bytes_per_second: 1, messages_per_second: 1, ..RATES };
        let limits = Arc::new(Limits::new(on, LOG_AGE));
        let [one, two] = [(); 2].map(|()| limits.admit(address("192.0.2.1")).unwrap());
        let other = limits.admit(address("192.0.2.2")).unwrap();
        assert!(one.bytes(MIN_BYTES_BURST - 10) && !two.bytes(1_000_000) && other.bytes(1_000_000));
        assert!(limits.posted_bytes(address("192.0.2.1"), 1_000_000).is_err());
        let reads = (0..30).filter(|_| one.read().is_ok() && two.read().is_ok()).count();
        assert!((10..12).contains(&reads), "{reads} times two pages");
        let off = Arc::new(Limits::new(RATES, LOG_AGE));
        let one = off.admit(address("192.0.2.1")).unwrap();
        assert!((0..100).all(|_| one.bytes(u32::MAX) && one.read().is_ok()));
    }

    #[test]
    fn logs_are_counted_by_address_and_off_with_messages() {
        let limits = Arc::new(Limits::new(LimitsConfig { messages_per_second: 1, ..RATES }, LOG_AGE));
        let [one, two] = [(); 2].map(|()| limits.admit(address("192.0.2.1")).unwrap());
        let [a, b, c] = ["a", "b", "c"].map(Group::new);
        assert!(one.publishes_to(&a).is_ok() && two.publishes_to(&b).is_ok());
        assert!(one.publishes_to(&c).is_err() && limits.posted_to(address("192.0.2.1"), &c).is_err());
        assert!(one.publishes_to(&b).is_ok() && limits.posted_to(address("192.0.2.2"), &c).is_ok());
        let off = Limits::new(RATES, LOG_AGE);
        assert!([a, b, c].iter().all(|group| off.posted_to(address("192.0.2.1"), group).is_ok()));
    }

    #[test]
    fn no_limit_is_none() {
        let none = LimitsConfig {
            sockets_per_address: 0,
            handshakes_per_second: 0,
            publishes_per_second: 0,
            ..RATES
        };
        let limits = Arc::new(Limits::new(none, LOG_AGE));
        let admitted: Vec<_> = (0..100).map(|_| limits.admit(address("::1")).unwrap()).collect();
        assert!(limits.by_address.is_empty(), "a limiter that is off keeps no count");
        drop(admitted);
        for _ in 0..1000 {
            limits.handshake(address("::1")).unwrap();
            limits.publish("key").unwrap();
        }
        assert!(limits.message_limiter(100).is_none());
    }
}
