//! The stages of a listener.

/// What a listener does with connections. A later stage follows an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Accepts new ones.
    Accepting,
    /// Serves those that are open, and those that the kernel has accepted.
    Refusing,
    /// Lets those that are open finish their request.
    Ending,
}
