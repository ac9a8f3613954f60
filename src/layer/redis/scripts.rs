//! The Lua scripts. Each file says its keys, its arguments and what it returns.

use redis::Script;

/// The scripts that run on the connection for commands.
pub(super) struct Scripts {
    pub(super) append: Script,
    pub(super) redact: Script,
    pub(super) replace: Script,
    pub(super) start_interval: Script,
    pub(super) tick: Script,
    pub(super) count: Script,
    pub(super) present: Script,
    pub(super) enter: Script,
    pub(super) remove_node: Script,
    pub(super) sweep: Script,
    pub(super) leave: Script,
    pub(super) state: Script,
}

/// The text of `append.lua`, for the connection that appends.
pub(super) const APPEND: &str = include_str!("scripts/append.lua");

/// Returns a script with the functions of `presence.lua` before it.
macro_rules! with_presence {
    ($file:literal) => {
        Script::new(concat!(include_str!("scripts/presence.lua"), include_str!($file)))
    };
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            append: Script::new(APPEND),
            redact: Script::new(include_str!("scripts/redact.lua")),
            replace: Script::new(include_str!("scripts/replace.lua")),
            start_interval: Script::new(include_str!("scripts/start_interval.lua")),
            tick: Script::new(include_str!("scripts/tick.lua")),
            count: Script::new(include_str!("scripts/count.lua")),
            present: Script::new(include_str!("scripts/present.lua")),
            enter: with_presence!("scripts/enter.lua"),
            remove_node: with_presence!("scripts/remove_node.lua"),
            sweep: with_presence!("scripts/sweep.lua"),
            leave: with_presence!("scripts/leave.lua"),
            state: with_presence!("scripts/state.lua"),
        }
    }
}
