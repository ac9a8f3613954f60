//! The Lua scripts. Each file says its keys, its arguments and what it returns.

use redis::Script;

use crate::layer::redis::keys::Keys;

/// The scripts that run on the connections for commands and for pages of logs.
pub(super) struct Scripts {
    pub(super) append: Script,
    pub(super) redact: Script,
    pub(super) replace: Script,
    pub(super) page: Script,
    pub(super) log_end: Script,
    pub(super) log_figures: Script,
    pub(super) decide: Script,
    pub(super) step: Script,
    pub(super) start_interval: Script,
    pub(super) tick: Script,
    pub(super) members: Script,
    pub(super) present: Script,
    pub(super) enter: Script,
    pub(super) reap: Script,
    pub(super) sweep: Script,
    pub(super) check: Script,
}

/// The text of `append.lua`, for the connection that appends.
pub(super) const APPEND: &str = include_str!("scripts/append.lua");

/// The functions that the scripts about users share.
const PRESENCE: &str = include_str!("scripts/presence.lua");

impl Scripts {
    /// Creates the scripts of nodes with these keys.
    pub(super) fn new(keys: &Keys) -> Self {
        let (prefix, channels) = (keys.prefix(), keys.channel_prefix());
        let named = |script: &str| {
            Script::new(&format!("local APPLICATION, CHANNELS = '{prefix}', '{channels}'\n{script}"))
        };
        let with_presence = |script: &str| named(&[PRESENCE, script].concat());
        Self {
            append: Script::new(APPEND),
            redact: Script::new(include_str!("scripts/redact.lua")),
            replace: Script::new(include_str!("scripts/replace.lua")),
            page: Script::new(include_str!("scripts/page.lua")),
            log_end: Script::new(include_str!("scripts/log_end.lua")),
            log_figures: Script::new(include_str!("scripts/log_figures.lua")),
            step: Script::new(include_str!("scripts/step.lua")),
            decide: Script::new(include_str!("scripts/decide.lua")),
            start_interval: Script::new(include_str!("scripts/start_interval.lua")),
            tick: Script::new(include_str!("scripts/tick.lua")),
            members: named(include_str!("scripts/members.lua")),
            present: with_presence(include_str!("scripts/present.lua")),
            enter: with_presence(include_str!("scripts/enter.lua")),
            reap: with_presence(include_str!("scripts/reap.lua")),
            sweep: with_presence(include_str!("scripts/sweep.lua")),
            check: Script::new(include_str!("scripts/check.lua")),
        }
    }
}
