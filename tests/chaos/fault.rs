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
    /// One node's connections to Redis break, and new ones as well.
    NodeCutOff,
    /// Nothing arrives from Redis at one node, and no error either.
    NodeDeaf,
    /// Nothing of one node arrives at Redis, and no error either.
    NodeMute,
    /// Redis refuses every write.
    WritesRefused,
    /// Redis ends in the middle of a write to its file.
    DiskFull,
    /// Logs lose all but their newest messages while clients are away.
    LogsTrimmed,
    /// One node trims logs to few messages on each append while clients are away.
    LogShort,
    /// Redis throws away keys of any kind.
    KeysEvicted,
    /// Another Redis, with older data, answers at the address of the first.
    RedisSwapped,
    /// The clock of Redis goes an hour ahead, and back.
    ClockStepped,
    ReadersStalled,
    ConnectionsReset,
    NetworkBad,
    /// Kills the master while its replica lags.
    FailoverKilled,
    /// Freezes the master: its subscribers receive nothing and see no error.
    FailoverFrozen,
    /// The same while each ack waits for the replica: no acked message is lost.
    FailoverReplicated,
    /// The slot of a busy room moves to another shard, its keys before the slot.
    SlotMoved,
    SlotsResharded,
    /// A master gives its place to its replica when that has everything.
    MasterReplaced,
    MasterKilled,
    /// A master comes back when its replica has its place.
    MasterFrozen,
    /// A master without slots joins and is given some.
    ShardAdded,
    /// A master and its replica end, and start with their files.
    ShardDown,
    /// All servers end, and start with their files.
    ClusterKilled,
}

/// How long faults last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub node_frozen: Duration,
    pub redis_frozen: Duration,
    pub clients_paused: Duration,
    /// Longer than a node caches the tail of a log that it does not read.
    pub clients_away: Duration,
    pub readers_stalled: Duration,
    pub network_bad: Duration,
    pub node_cut_off: Duration,
    pub redis_ill: Duration,
    /// From the move of a slot's keys to that of the slot.
    pub slot_moves: Duration,
    /// The slots of a reshard.
    pub slots: usize,
    pub master_frozen: Duration,
    pub shard_down: Duration,
    /// How long a killed process stays down.
    pub down: Duration,
    /// The nodes' drain time, in seconds.
    pub drain: u64,
}

impl Fault {
    /// The faults for a single Redis.
    pub const ALONE: [Self; 21] = [
        Self::NodeKilled,
        Self::NodeFrozen,
        Self::NodesRestarted,
        Self::SubscribersKilled,
        Self::ClientsPaused,
        Self::RedisKilled,
        Self::RedisFrozen,
        Self::RedisFlushed,
        Self::NodeCutOff,
        Self::NodeDeaf,
        Self::NodeMute,
        Self::WritesRefused,
        Self::DiskFull,
        Self::LogsTrimmed,
        Self::LogShort,
        Self::KeysEvicted,
        Self::RedisSwapped,
        Self::ClockStepped,
        Self::ReadersStalled,
        Self::ConnectionsReset,
        Self::NetworkBad,
    ];

    /// The faults of `make test`.
    pub const SHORT: [Self; 9] = [
        Self::NodeKilled,
        Self::SubscribersKilled,
        Self::ClientsPaused,
        Self::RedisKilled,
        Self::NodeCutOff,
        Self::WritesRefused,
        Self::LogsTrimmed,
        Self::LogShort,
        Self::ConnectionsReset,
    ];

    /// The faults for a Redis Cluster.
    pub const REDIS_CLUSTER: [Self; 24] = [
        Self::NodeKilled,
        Self::NodeFrozen,
        Self::NodesRestarted,
        Self::SubscribersKilled,
        Self::ClientsPaused,
        Self::RedisFlushed,
        Self::NodeCutOff,
        Self::NodeDeaf,
        Self::NodeMute,
        Self::WritesRefused,
        Self::LogsTrimmed,
        Self::LogShort,
        Self::KeysEvicted,
        Self::ReadersStalled,
        Self::ConnectionsReset,
        Self::NetworkBad,
        Self::SlotMoved,
        Self::SlotsResharded,
        Self::MasterReplaced,
        Self::MasterKilled,
        Self::MasterFrozen,
        Self::ShardAdded,
        Self::ShardDown,
        Self::ClusterKilled,
    ];

    /// Those of `make test`.
    pub const SHORT_REDIS_CLUSTER: [Self; 9] = [
        Self::NodeKilled,
        Self::SubscribersKilled,
        Self::SlotMoved,
        Self::SlotsResharded,
        Self::MasterReplaced,
        Self::MasterKilled,
        Self::MasterFrozen,
        Self::ShardAdded,
        Self::ShardDown,
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
            Self::NodeCutOff => "a node cut off from Redis",
            Self::NodeDeaf => "a node that Redis does not reach",
            Self::NodeMute => "a node that does not reach Redis",
            Self::WritesRefused => "Redis out of memory",
            Self::DiskFull => "a full disk",
            Self::LogsTrimmed => "XTRIM of all logs",
            Self::LogShort => "a node that keeps few messages",
            Self::KeysEvicted => "Redis evicting keys",
            Self::RedisSwapped => "an older Redis, same address",
            Self::ClockStepped => "Redis' clock +1 h, and back",
            Self::ReadersStalled => "clients that stop reading",
            Self::ConnectionsReset => "TCP resets",
            Self::NetworkBad => "packet delay and loss",
            Self::FailoverKilled => "Sentinel failover, master killed",
            Self::FailoverFrozen => "Sentinel failover, master frozen",
            Self::FailoverReplicated => "the same with --wait-replicas 1",
            Self::SlotMoved => "a busy slot moved by hand",
            Self::SlotsResharded => "redis-cli --cluster reshard",
            Self::MasterReplaced => "CLUSTER FAILOVER",
            Self::MasterKilled => "SIGKILL a master",
            Self::MasterFrozen => "SIGSTOP a master",
            Self::ShardAdded => "a shard added and rebalanced",
            Self::ShardDown => "SIGKILL a shard, restart with AOF",
            Self::ClusterKilled => "SIGKILL a Cluster, restart with AOF",
        }
    }

    pub fn kind(self) -> PhaseKind {
        match self {
            Self::RedisFlushed
            | Self::KeysEvicted
            | Self::RedisSwapped
            | Self::FailoverKilled
            | Self::FailoverFrozen
            | Self::MasterKilled
            | Self::MasterFrozen
            | Self::ClusterKilled => PhaseKind::Losing,
            // With its clock, Redis forgets the ids of the last five minutes.
            Self::FailoverReplicated | Self::ClockStepped => PhaseKind::Doubling,
            Self::LogsTrimmed | Self::LogShort => PhaseKind::Trimming,
            Self::RedisKilled | Self::DiskFull | Self::MasterReplaced | Self::ShardDown => {
                PhaseKind::Restarting
            }
            _ => PhaseKind::Harmless,
        }
    }
}

impl Pace {
    pub const FULL: Self = Self {
        node_frozen: Duration::from_secs(20),
        redis_frozen: Duration::from_secs(5),
        clients_paused: Duration::from_secs(3),
        clients_away: Duration::from_secs(8),
        readers_stalled: Duration::from_secs(10),
        network_bad: Duration::from_secs(6),
        node_cut_off: Duration::from_secs(15),
        redis_ill: Duration::from_secs(4),
        slot_moves: Duration::from_secs(2),
        slots: 1000,
        master_frozen: Duration::from_secs(5),
        shard_down: Duration::from_secs(5),
        down: Duration::from_secs(2),
        drain: 4,
    };

    pub const SHORT: Self = Self {
        node_frozen: Duration::from_secs(3),
        redis_frozen: Duration::from_secs(1),
        clients_paused: Duration::from_secs(1),
        clients_away: Duration::from_secs(5),
        readers_stalled: Duration::from_secs(2),
        network_bad: Duration::from_secs(2),
        node_cut_off: Duration::from_secs(2),
        redis_ill: Duration::from_secs(1),
        slot_moves: Duration::from_secs(2),
        slots: 1000,
        master_frozen: Duration::from_secs(5),
        shard_down: Duration::from_secs(3),
        down: Duration::from_millis(500),
        drain: 1,
    };
}
