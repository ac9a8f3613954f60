//! The text of a connection as a member of the list of a group.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What separates members, and what escapes it. No part has a control character then, and no escape
/// of an earlier version had one.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
/// What separates the parts of the name: the unit separator of ASCII.
const SEPARATOR: char = '\u{1f}';

/// A connection in a list: `<id>/<user>`, and what a backend says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionMember<'a> {
    /// The id of the connection.
    pub client: Cow<'a, str>,
    /// The user: [`Identity::subject`](crate::Identity::subject).
    pub user: Cow<'a, str>,
    /// The info of the connection, JSON.
    pub info: Option<Cow<'a, str>>,
    /// The info of its subscription, JSON.
    pub channel_info: Option<Cow<'a, str>>,
}

impl<'a> ConnectionMember<'a> {
    /// Parses the text of a member; `None` for one that is no connection.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (client, name) = text.split_once('/')?;
        let mut parts = name.split(SEPARATOR).map(|part| percent_decode_str(part).decode_utf8_lossy());
        let user = parts.next()?;
        let mut info = || parts.next().filter(|info| !info.is_empty());
        Some(Self { client: client.into(), user, info: info(), channel_info: info() })
    }

    /// Returns the text of the member.
    pub(crate) fn text(&self) -> Arc<str> {
        let Self { client, user, info, channel_info } = self;
        let user = utf8_percent_encode(user, ESCAPED);
        if info.is_none() && channel_info.is_none() {
            return format!("{client}/{user}").into();
        }
        let [info, channel_info] = [info, channel_info]
            .map(|info| utf8_percent_encode(info.as_deref().unwrap_or_default(), ESCAPED));
        format!("{client}/{user}{SEPARATOR}{info}{SEPARATOR}{channel_info}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_what_its_text_says() {
        for user in ["ann", "auth0|5f7c eve", "a/b", "100%", "\u{1f}\u{1}", "\u{fc}"] {
            for info in [None, Some("{\"a\": \"b/c\\n\"}"), Some("1")] {
                for channel_info in [None, Some("[1, \n2]")] {
                    let [info, channel_info] = [info, channel_info].map(|info| info.map(Cow::Borrowed));
                    let member =
                        ConnectionMember { client: "c".into(), user: user.into(), info, channel_info };
                    let text = member.text();
                    assert!(!text.contains(' '), "{text}");
                    assert_eq!(ConnectionMember::parse(&text), Some(member.clone()), "{text}");
                    let has_none = member.info.is_none() && member.channel_info.is_none();
                    assert_eq!(text.contains(SEPARATOR), !has_none, "{text}");
                }
            }
        }
        assert_eq!(ConnectionMember::parse("ann"), None);
    }

    /// The figures of `docs/centrifugo.md`, with the longest user.
    #[test]
    fn a_member_with_the_longest_infos_takes_up_to_seven_kilobytes() {
        let info = |text: &str| Some(Cow::Owned(format!("\"{}\"", text.repeat(1022 / text.len()))));
        let bytes = |text: &str| {
            let (user, client) = ("\u{fc}".repeat(127), "c".repeat(36));
            let member = ConnectionMember {
                client: client.into(),
                user: user.into(),
                info: info(text),
                channel_info: info(text),
            };
            member.text().len()
        };
        assert_eq!((bytes("x"), bytes(" "), bytes("\u{4f60}")), (2849, 6937, 6925));
    }
}
