//! Recent disconnect commands: a socket admitted before a command may register after it.

use std::collections::VecDeque;
use std::time::Instant;

use crate::layer::Disconnect;
use crate::wire::close::{Close, CloseCode};

/// The most commands that are remembered.
const MAX_RECENT_DISCONNECTS: usize = 1024;

#[derive(Default)]
pub(crate) struct RecentDisconnects {
    /// The newest last.
    recent: VecDeque<(Instant, Disconnect)>,
    /// When the newest forgotten command arrived.
    forgotten: Option<Instant>,
}

impl RecentDisconnects {
    /// Records a command.
    pub(crate) fn record(&mut self, command: Disconnect) {
        if self.recent.len() == MAX_RECENT_DISCONNECTS {
            self.forgotten = self.recent.pop_front().map(|(at, _)| at);
        }
        self.recent.push_back((Instant::now(), command));
    }

    /// Returns how to close a socket whose request arrived at this time, if a later command matches
    /// it.
    pub(crate) fn since(&self, received_at: Instant, matches: impl Fn(&Disconnect) -> bool) -> Option<Close> {
        // A forgotten command may match: the client has to reconnect.
        if self.forgotten.is_some_and(|at| at >= received_at) {
            return Some(Close::new(
                CloseCode::ServiceRestart,
                "too much has changed meanwhile: connect again",
            ));
        }
        let since = self.recent.iter().rev().take_while(|(at, _)| *at >= received_at);
        since.map(|(_, command)| command).find(|command| matches(command)).map(Disconnect::close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disconnect(group: &str) -> Disconnect {
        Disconnect {
            group: Some(group.to_owned()),
            code: CloseCode::Forbidden.number(),
            ..Disconnect::default()
        }
    }

    #[test]
    fn a_command_reaches_sockets_admitted_before_it() {
        let mut disconnects = RecentDisconnects::default();
        let about =
            |group: &'static str| move |command: &Disconnect| command.matches(None, None, Some(group));
        let before = Instant::now();
        disconnects.record(disconnect("a"));
        disconnects.record(disconnect("b"));
        let after = Instant::now() + std::time::Duration::from_millis(1);
        assert_eq!(disconnects.since(before, about("a")).map(|close| close.code()), Some(4403));
        assert_eq!(disconnects.since(before, about("c")), None);
        assert_eq!(
            disconnects.since(after, about("a")),
            None,
            "a socket admitted after the command stays open"
        );
        for _ in 0..MAX_RECENT_DISCONNECTS {
            disconnects.record(disconnect("b"));
        }
        assert_eq!(disconnects.since(before, about("c")).map(|close| close.code()), Some(1012));
        assert_eq!(disconnects.since(after, about("c")), None);
    }
}
