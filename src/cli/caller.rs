//! Who runs a command: the user of this machine.

use nix::unistd::{Uid, User};

/// By the name that the machine has for it, for the audit log.
pub(super) fn name() -> String {
    let id = Uid::current();
    let known = User::from_uid(id).ok().flatten();
    let name = known.map_or_else(|| id.to_string(), |user| user.name);
    format!("command line ({name})")
}
