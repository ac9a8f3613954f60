//! The faults by name.

use std::time::Duration;

use super::record::PhaseKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NodeKilled,
    NodeFrozen,
    NodesRestarted,
    SubscribersKilled,
    ClientsPaused,
    RedisKilled,
    RedisFrozen,
    RedisFlushed,
    ReadersStalled,
    ConnectionsReset,
    NetworkBad,
    /// Kills the master while its replica lags.
    FailoverKilled,
    /// Freezes the master: its subscribers receive nothing and see no error.
    FailoverFrozen,
    /// The same while each ack waits for the replica: no acked message is lost.
    FailoverReplicated,
}

/// How long faults last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub node_frozen: Duration,
    pub redis_frozen: Duration,
    pub clients_paused: Duration,
    pub readers_stalled: Duration,
    pub network_bad: Duration,
    /// How long a killed process stays down.
    pub down: Duration,
    /// The nodes' drain time, in seconds.
    pub drain: u64,
}

impl Fault {
    /// The faults for a single Redis.
    pub const ALONE: [Self; 11] = [
        Self::NodeKilled,
        Self::NodeFrozen,
        Self::NodesRestarted,
        Self::SubscribersKilled,
        Self::ClientsPaused,
        Self::RedisKilled,
        Self::RedisFrozen,
        Self::RedisFlushed,
        Self::ReadersStalled,
        Self::ConnectionsReset,
        Self::NetworkBad,
    ];

    /// The faults of `make test`.
    pub const SHORT: [Self; 5] = [
        Self::NodeKilled,
        Self::SubscribersKilled,
        Self::ClientsPaused,
        Self::RedisKilled,
        Self::ConnectionsReset,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::NodeKilled => "SIGKILL a node",
            Self::NodeFrozen => "SIGSTOP a node",
            Self::NodesRestarted => "rolling SIGTERM",
            Self::SubscribersKilled => "CLIENT KILL TYPE pubsub",
            Self::ClientsPaused => "CLIENT PAUSE",
            Self::RedisKilled => "SIGKILL Redis, restart with AOF",
            Self::RedisFrozen => "SIGSTOP Redis",
            Self::RedisFlushed => "FLUSHALL",
            Self::ReadersStalled => "clients that stop reading",
            Self::ConnectionsReset => "TCP resets",
            Self::NetworkBad => "packet delay and loss",
            Self::FailoverKilled => "Sentinel failover, master killed",
            Self::FailoverFrozen => "Sentinel failover, master frozen",
            Self::FailoverReplicated => "the same with --wait-replicas 1",
        }
    }

    pub fn kind(self) -> PhaseKind {
        match self {
            Self::RedisFlushed | Self::FailoverKilled | Self::FailoverFrozen => PhaseKind::Losing,
            Self::FailoverReplicated => PhaseKind::Doubling,
            _ => PhaseKind::Harmless,
        }
    }
}

impl Pace {
    pub const FULL: Self = Self {
        node_frozen: Duration::from_secs(20),
        redis_frozen: Duration::from_secs(5),
        clients_paused: Duration::from_secs(3),
        readers_stalled: Duration::from_secs(10),
        network_bad: Duration::from_secs(6),
        down: Duration::from_secs(2),
        drain: 4,
    };

    pub const SHORT: Self = Self {
        node_frozen: Duration::from_secs(3),
        redis_frozen: Duration::from_secs(1),
        clients_paused: Duration::from_secs(1),
        readers_stalled: Duration::from_secs(2),
        network_bad: Duration::from_secs(2),
        down: Duration::from_millis(500),
        drain: 1,
    };
}
