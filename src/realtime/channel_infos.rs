//! The infos of the subscriptions of one connection.

use std::collections::HashMap;
use std::sync::Arc;

use crate::realtime::protocol::ChannelName;

/// What a backend has other clients know of subscriptions: JSON, by channel.
#[derive(Default)]
pub(crate) struct ChannelInfos {
    /// By stream, then by name: each publish looks one up, by texts that it borrows.
    by_stream: HashMap<&'static str, HashMap<String, Arc<str>>>,
}

impl ChannelInfos {
    /// Returns the info of the subscription to a channel.
    pub(crate) fn get(&self, channel: ChannelName<'_>) -> Option<Arc<str>> {
        self.by_stream.get(channel.stream)?.get(channel.name).cloned()
    }

    /// Sets the info of the subscription to a channel.
    pub(crate) fn insert(&mut self, channel: ChannelName<'_>, info: Arc<str>) {
        self.by_stream.entry(channel.stream).or_default().insert(channel.name.to_owned(), info);
    }

    /// Removes the info of the subscription to a channel.
    pub(crate) fn remove(&mut self, channel: ChannelName<'_>) {
        if let Some(by_name) = self.by_stream.get_mut(channel.stream) {
            by_name.remove(channel.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_is_that_of_its_channel_and_found_without_allocating() {
        let [chat, push] = ["chat", "push"].map(|stream| ChannelName { stream, name: "lobby" });
        let mut infos = ChannelInfos::default();
        infos.insert(chat, "1".into());
        infos.insert(push, "2".into());
        infos.insert(chat, "3".into());
        let allocated = allocation_counter::measure(|| {
            assert_eq!(infos.get(chat).as_deref(), Some("3"));
            assert_eq!(infos.get(push).as_deref(), Some("2"));
            assert_eq!(infos.get(ChannelName { name: "hall", ..chat }), None);
        });
        assert_eq!(allocated.count_total, 0);
        infos.remove(chat);
        assert_eq!((infos.get(chat), infos.get(push).as_deref()), (None, Some("2")));
    }
}
