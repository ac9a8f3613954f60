//! The Lua scripts. Each file says its keys, its arguments and what it returns.

use redis::{Cmd, ToRedisArgs};

/// A script, which Redis calls by the hash of its text.
pub(super) struct Script {
    text: String,
    hash: String,
}

/// A call of a script.
pub(super) struct ScriptCall<'a> {
    script: &'a Script,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

impl Script {
    fn new(text: String) -> Self {
        Self { hash: redis::Script::new(&text).get_hash().to_owned(), text }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// Begins a call with this key.
    pub(super) fn key(&self, key: impl ToRedisArgs) -> ScriptCall<'_> {
        let mut call = ScriptCall { script: self, keys: Vec::new(), arguments: Vec::new() };
        call.key(key);
        call
    }

    /// Begins a call with this argument.
    pub(super) fn arg(&self, argument: impl ToRedisArgs) -> ScriptCall<'_> {
        let mut call = ScriptCall { script: self, keys: Vec::new(), arguments: Vec::new() };
        call.arg(argument);
        call
    }
}

impl ScriptCall<'_> {
    /// Adds a key. A Cluster has all keys of a call in one slot.
    pub(super) fn key(&mut self, key: impl ToRedisArgs) -> &mut Self {
        self.keys.extend(key.to_redis_args());
        self
    }

    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.arguments.extend(argument.to_redis_args());
        self
    }

    /// Returns the first key.
    pub(super) fn first_key(&self) -> &[u8] {
        self.keys.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the call by the hash.
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// Returns the call of a server that does not know the hash, which it knows afterwards.
    pub(super) fn by_text(&self) -> Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = Cmd::new();
        command.arg(name).arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

/// All scripts.
pub(super) struct Scripts {
    pub(super) append: Script,
    pub(super) seat: Script,
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
}

/// The functions that the scripts about users share.
const GROUP: &str = include_str!("scripts/group.lua");

impl Scripts {
    /// Returns the scripts, which publish by sharded pub/sub or not.
    pub(super) fn new(is_sharded: bool) -> Self {
        let script = |text: &str| {
            Script::new(if is_sharded { text.replace("'PUBLISH'", "'SPUBLISH'") } else { text.to_owned() })
        };
        let about_users = |text: &str| script(&[GROUP, text].concat());
        Self {
            append: script(include_str!("scripts/append.lua")),
            seat: about_users(include_str!("scripts/seat.lua")),
            redact: script(include_str!("scripts/redact.lua")),
            clear: script(include_str!("scripts/clear.lua")),
            page: script(include_str!("scripts/page.lua")),
            find: script(include_str!("scripts/find.lua")),
            log_end: script(include_str!("scripts/log_end.lua")),
            log_figures: script(include_str!("scripts/log_figures.lua")),
            next_offset: script(include_str!("scripts/next_offset.lua")),
            step: script(include_str!("scripts/step.lua")),
            decide: script(include_str!("scripts/decide.lua")),
            start_interval: script(include_str!("scripts/start_interval.lua")),
            tick: script(include_str!("scripts/tick.lua")),
            publish_state: about_users(include_str!("scripts/publish_state.lua")),
            reap: about_users(include_str!("scripts/reap.lua")),
            list: about_users(include_str!("scripts/list.lua")),
        }
    }
}
