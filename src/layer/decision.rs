//! Decisions: what every node does, whether or not it was connected when it was decided.

use crate::layer::disconnect::Disconnect;
use crate::layer::instruction::Instruction;

/// What every node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Closes the matching sockets.
    Disconnect(Disconnect),
    /// Changes the connections of a user.
    Instruction(Instruction),
}

impl Decision {
    /// Parses a decision from Redis; `None` if it is malformed.
    pub(crate) fn decode(json: &[u8]) -> Option<Self> {
        let disconnect = Disconnect::decode(json).map(Self::Disconnect);
        disconnect.or_else(|| Instruction::decode(json).map(Self::Instruction))
    }

    /// Returns whether the log keeps only so many of its kind, and drops the oldest: it takes no
    /// access away.
    pub(crate) fn is_droppable(&self) -> bool {
        matches!(self, Self::Instruction(instruction) if instruction.is_droppable())
    }

    /// Returns the disconnect command that it is.
    pub(crate) fn disconnect(self) -> Option<Disconnect> {
        if let Self::Disconnect(command) = self { Some(command) } else { None }
    }
}
