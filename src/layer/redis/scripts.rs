//! The Lua scripts. Each file says its keys, its arguments and what it returns.

use redis::Script;

/// The scripts that run on the connections for commands and for pages of logs.
pub(super) struct Scripts {
    pub(super) append: Script,
    pub(super) redact: Script,
    pub(super) clear: Script,
    pub(super) page: Script,
    pub(super) find: Script,
    pub(super) log_end: Script,
    pub(super) log_figures: Script,
    pub(super) next_offset: Script,
    pub(super) decide: Script,
    pub(super) step: Script,
    pub(super) start_interval: Script,
    pub(super) tick: Script,
    pub(super) publish_state: Script,
    pub(super) reap: Script,
    pub(super) list: Script,
    pub(super) check: Script,
}

/// The text of `append.lua`, for the connection that appends.
pub(super) const APPEND: &str = include_str!("scripts/append.lua");
/// The text of `seat.lua`, for the same connection.
pub(super) const SEAT: &str = include_str!("scripts/seat.lua");

/// The text of `log_end.lua`, for the same connection.
pub(super) const LOG_END: &str = include_str!("scripts/log_end.lua");

/// The functions that the scripts about users share.
const GROUP: &str = include_str!("scripts/group.lua");

/// Returns the text of a script about users, with the functions that it uses.
pub(super) fn with_group(script: &str) -> String {
    [GROUP, script].concat()
}

impl Scripts {
    pub(super) fn new() -> Self {
        let about_users = |script: &str| Script::new(&with_group(script));
        Self {
            append: Script::new(APPEND),
            redact: Script::new(include_str!("scripts/redact.lua")),
            clear: Script::new(include_str!("scripts/clear.lua")),
            page: Script::new(include_str!("scripts/page.lua")),
            find: Script::new(include_str!("scripts/find.lua")),
            log_end: Script::new(LOG_END),
            log_figures: Script::new(include_str!("scripts/log_figures.lua")),
            next_offset: Script::new(include_str!("scripts/next_offset.lua")),
            step: Script::new(include_str!("scripts/step.lua")),
            decide: Script::new(include_str!("scripts/decide.lua")),
            start_interval: Script::new(include_str!("scripts/start_interval.lua")),
            tick: Script::new(include_str!("scripts/tick.lua")),
            publish_state: about_users(include_str!("scripts/publish_state.lua")),
            reap: about_users(include_str!("scripts/reap.lua")),
            list: about_users(include_str!("scripts/list.lua")),
            check: Script::new(include_str!("scripts/check.lua")),
        }
    }
}
