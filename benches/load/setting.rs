//! A setting: on which layer, on how many nodes, on which CPUs a scene plays.

/// What the nodes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Nothing: one node stands alone.
    Memory,
    /// A Redis.
    Redis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) layer: Layer,
    pub(crate) nodes: usize,
    /// Nodes, Redis and clients share one CPU. What a delivery costs is then the same from run to run: bytes that
    /// cross from one CPU to another cost two or three times as much, and the scheduler would choose.
    pub(crate) pinned: bool,
}

impl Setting {
    /// Without any server.
    pub(crate) const NOBODY: Self = Self { layer: Layer::Memory, nodes: 0, pinned: false };
    pub(crate) const MEMORY: Self = Self { layer: Layer::Memory, nodes: 1, pinned: false };
    pub(crate) const REDIS: Self = Self { layer: Layer::Redis, nodes: 1, pinned: false };
    pub(crate) const CLUSTER: Self = Self { layer: Layer::Redis, nodes: 3, pinned: false };

    pub(crate) const fn pinned(self) -> Self {
        Self { pinned: true, ..self }
    }

    /// What this scene runs on, for the table and for whoever waits for it.
    pub(crate) fn layer(self) -> &'static str {
        match self.layer {
            _ if self.nodes == 0 => "–",
            Layer::Memory => "memory",
            Layer::Redis => "Redis",
        }
    }
}
