//! A setting: the layer, the number of nodes and the CPUs of a scene.

/// The layer of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Memory: one node.
    Memory,
    /// A Redis.
    Redis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) layer: Layer,
    pub(crate) nodes: usize,
    /// Nodes, Redis and clients share one CPU. The cost of a delivery is then the same from run to
    /// run: bytes that cross from one CPU to another cost two or three times as much, and the
    /// scheduler would choose.
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

    /// Returns a description of the setting, for the table and for progress messages.
    pub(crate) fn layer(self) -> &'static str {
        match self.layer {
            _ if self.nodes == 0 => "–",
            Layer::Memory => "memory",
            Layer::Redis => "Redis",
        }
    }
}
