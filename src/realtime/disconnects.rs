//! Recent disconnect commands: a socket admitted before a command may register after it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::layer::Disconnect;
use crate::wire::close::{Close, CloseCode};

/// The most commands that are remembered. A socket or subscription whose admission began before the
/// newest forgotten one has to begin again, whether that matches it or not. Admissions that began
/// later are judged by the commands alone.
const MAX_RECENT_DISCONNECTS: usize = 1024;

/// Time after an announcement at which its change ends, made or not, and its sockets are asked.
const CHANGE_TIME: Duration = Duration::from_secs(5);
/// The most announcements whose time has not come. The change of the oldest of more ends earlier.
const MAX_ANNOUNCEMENTS: usize = 1024;

/// An announcement, and when it arrived.
pub(crate) type Announced = (Instant, Disconnect);

#[derive(Default)]
pub(crate) struct RecentDisconnects {
    /// The newest last.
    recent: VecDeque<(Instant, Disconnect)>,
    /// The announcements whose time has not come, the newest last.
    announced: VecDeque<Announced>,
    /// When the newest forgotten command arrived.
    forgotten: Option<Instant>,
    /// When all sockets were last asked again.
    asked_at: Option<Instant>,
}

impl RecentDisconnects {
    /// Records a command.
    pub(crate) fn record(&mut self, command: Disconnect) {
        if self.recent.len() == MAX_RECENT_DISCONNECTS {
            self.forgotten = self.recent.pop_front().map(|(at, _)| at);
        }
        self.recent.push_back((Instant::now(), command));
    }

    /// Adds an announcement.
    pub(crate) fn announce(&mut self, announcement: Disconnect) {
        self.announced.push_back((Instant::now(), announcement));
    }

    /// Takes the announcements whose time has come.
    pub(crate) fn take_due_announcements(&mut self, now: Instant) -> Vec<Announced> {
        let too_many = self.announced.len().saturating_sub(MAX_ANNOUNCEMENTS);
        let due = self.announced.partition_point(|(at, _)| *at + CHANGE_TIME <= now);
        self.announced.drain(..due.max(too_many)).collect()
    }

    /// Puts announcements back whose changes could not be ended: they are still due.
    pub(crate) fn put_back_announcements(&mut self, due: Vec<Announced>) {
        for announced in due.into_iter().rev() {
            self.announced.push_front(announced);
        }
    }

    /// Records that all sockets are asked again from now on.
    pub(crate) fn record_asking(&mut self) {
        self.asked_at = Some(Instant::now());
    }

    /// Returns whether all sockets were asked again after this request arrived. Its socket may not
    /// have been among them.
    pub(crate) fn were_asked_since(&self, received_at: Instant) -> bool {
        self.asked_at.is_some_and(|at| at >= received_at)
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
        let matching = since.map(|(_, command)| command).filter(|command| matches(command));
        matching.min_by_key(|command| command.announces.is_some()).map(Disconnect::close)
    }
}

/// Commands by one of the members that a socket must have: many are found for many sockets in one
/// pass.
#[derive(Default)]
pub(crate) struct DisconnectIndex<'a> {
    users: HashMap<&'a str, Vec<&'a Disconnect>>,
    logins: HashMap<&'a str, Vec<&'a Disconnect>>,
    groups: HashMap<&'a str, Vec<&'a Disconnect>>,
}

impl<'a> DisconnectIndex<'a> {
    /// Creates the index of these commands.
    pub(crate) fn new(commands: impl Iterator<Item = &'a Disconnect>) -> Self {
        let mut index = Self::default();
        for command in commands {
            let (map, key) = match (&command.login, &command.user, &command.group) {
                (Some(login), _, _) => (&mut index.logins, login),
                (_, Some(user), _) => (&mut index.users, user),
                (_, _, Some(group)) => (&mut index.groups, group),
                (None, None, None) => continue,
            };
            map.entry(key).or_default().push(command);
        }
        index
    }

    /// Returns a command that matches a socket of this user, under this login, in this group.
    pub(crate) fn find(
        &self,
        user: &str,
        login: Option<&str>,
        group: Option<&str>,
    ) -> Option<&'a Disconnect> {
        let candidates = [
            login.and_then(|login| self.logins.get(login)),
            self.users.get(user),
            group.and_then(|group| self.groups.get(group)),
        ];
        let mut candidates = candidates.into_iter().flatten().flatten();
        candidates.find(|command| command.matches(Some(user), login, group)).copied()
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

    #[test]
    fn forgotten_commands_concern_only_sockets_admitted_before_them() {
        let mut disconnects = RecentDisconnects::default();
        let about =
            |group: &'static str| move |command: &Disconnect| command.matches(None, None, Some(group));
        let earlier = Instant::now();
        disconnects.record(disconnect("forgotten"));
        let between = later_than(Instant::now());
        for _ in 0..MAX_RECENT_DISCONNECTS {
            disconnects.record(disconnect("b"));
        }
        let code = |since, group| disconnects.since(since, about(group)).map(|close| close.code());
        assert_eq!(code(earlier, "c"), Some(1012));
        assert_eq!(code(between, "c"), None);
        assert_eq!(code(between, "b"), Some(4403));
    }

    fn later_than(time: Instant) -> Instant {
        std::iter::repeat_with(Instant::now).find(|now| *now > time).expect("a later time")
    }

    #[test]
    fn sockets_of_requests_before_an_asking_have_to_be_asked_too() {
        let mut disconnects = RecentDisconnects::default();
        let before = Instant::now();
        assert!(!disconnects.were_asked_since(before), "none was asked yet");
        disconnects.record_asking();
        let after = Instant::now() + std::time::Duration::from_millis(1);
        assert!(disconnects.were_asked_since(before) && !disconnects.were_asked_since(after));
        disconnects.record(disconnect("a"));
        assert!(!disconnects.were_asked_since(after), "a command asks none");
    }

    #[test]
    fn an_announcement_is_due_until_its_change_has_ended() {
        let mut disconnects = RecentDisconnects::default();
        let start = Instant::now();
        disconnects.announce(disconnect("a").announcement("1"));
        assert!(disconnects.take_due_announcements(start + CHANGE_TIME / 2).is_empty());
        let later = Instant::now() + CHANGE_TIME;
        let due = disconnects.take_due_announcements(later);
        assert_eq!(due.len(), 1);
        assert!(disconnects.take_due_announcements(later).is_empty());
        disconnects.announce(disconnect("b").announcement("2"));
        disconnects.put_back_announcements(due);
        let due = disconnects.take_due_announcements(later);
        assert_eq!(due[0].1.announces.as_deref(), Some("1"));
    }

    #[test]
    fn of_too_many_announcements_the_oldest_are_due_at_once() {
        let mut disconnects = RecentDisconnects::default();
        for number in 0..MAX_ANNOUNCEMENTS + 2 {
            disconnects.announce(disconnect("a").announcement(&number.to_string()));
        }
        let due = disconnects.take_due_announcements(Instant::now());
        let ids: Vec<_> = due.iter().filter_map(|(_, command)| command.announces.as_deref()).collect();
        assert_eq!(ids, ["0", "1"]);
    }

    #[test]
    fn an_index_finds_what_a_look_at_each_command_finds() {
        let values = [None, Some("a"), Some("b")];
        let mut commands = Vec::new();
        for user in values {
            for login in values {
                for group in values {
                    let [user, login, group] = [user, login, group].map(|value| value.map(str::to_owned));
                    commands.push(Disconnect { user, login, group, code: 4403, ..Disconnect::default() });
                }
            }
        }
        for command in &commands {
            let one = std::slice::from_ref(command);
            for (user, login, group) in
                [("a", Some("a"), Some("a")), ("a", None, Some("b")), ("b", Some("a"), None)]
            {
                let found = DisconnectIndex::new(one.iter()).find(user, login, group);
                let expected = command.matches(Some(user), login, group);
                assert_eq!(found.is_some(), expected, "{command:?} for {user} {login:?} {group:?}");
            }
        }
        assert!(DisconnectIndex::new(commands.iter()).find("a", Some("b"), Some("c")).is_some());
    }
}
