//! Changes of what rights rest on, so that no socket keeps a right that has ended.

use std::sync::Arc;

use tracing::debug;

use crate::layer::disconnect::Disconnect;
use crate::layer::error::LayerError;
use crate::layer::rights_change::RightsChange;
use crate::layer::shared_store::SharedStore;
use crate::telemetry::Chain;
use crate::wire::hex::hex;

/// Sends disconnect commands to all nodes.
pub(crate) trait DisconnectSender: Sync {
    /// Sends commands to all nodes, together.
    ///
    /// # Errors
    /// Fails when the layer does not take them within a second.
    fn send(&self, commands: &[Disconnect]) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Returns the store that the nodes share.
    fn store(&self) -> &SharedStore;

    /// Ends announced changes: they cannot be made from now on.
    ///
    /// # Errors
    /// Fails when the layer does not answer within a second.
    fn end_changes(&self, ids: &[&str]) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Makes a change of records, and then has every node close the sockets that the commands
    /// match. Without commands the change ends no right. Returns what the change returns: `None`
    /// where it was not made.
    ///
    /// The commands are announced first. Every node ends the change some seconds later, from where
    /// on it cannot be made, and then asks these sockets again: none keeps its right if this
    /// process ends in between, or the layer does not say whether the change was made.
    ///
    /// The commands are sent only after a change that was made. One that was not, or failed, ends
    /// at once. Of a failed one it may be unknown whether it was made: the sockets are asked, and
    /// those that have lost no right stay.
    ///
    /// # Errors
    /// Fails before the change when the layer does not take the announcement; else as the change
    /// and the commands do.
    fn change_rights<'a, T: Send, F: Future<Output = Result<Option<T>, LayerError>> + Send>(
        &'a self,
        commands: &[Disconnect],
        change: impl FnOnce(RightsChange<'a>) -> F + Send,
    ) -> impl Future<Output = Result<Option<T>, LayerError>> + Send {
        async move {
            if commands.is_empty() {
                return change(RightsChange::new(self.store(), None)).await;
            }
            let id: Arc<str> = hex(&rand::random::<[u8; 8]>()).into();
            let announced: Vec<_> = commands.iter().map(|command| command.announcement(&id)).collect();
            self.send(&announced).await?;
            let changed = change(RightsChange::new(self.store(), Some(Arc::clone(&id)))).await;
            if matches!(changed, Ok(Some(_))) {
                self.send(commands).await?;
            } else if let Err(error) = self.end_changes(&[&id]).await {
                debug!(error = %Chain(&error), "could not end a change of rights: the nodes will");
            }
            changed
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::layer::memory::store::MemoryStore;

    /// Records what is sent, and which changes are ended.
    struct Recorder {
        store: SharedStore,
        sent: Mutex<Vec<Disconnect>>,
        ended: Mutex<Vec<String>>,
    }

    impl DisconnectSender for Recorder {
        async fn send(&self, commands: &[Disconnect]) -> Result<(), LayerError> {
            self.sent.lock().extend_from_slice(commands);
            Ok(())
        }

        fn store(&self) -> &SharedStore {
            &self.store
        }

        async fn end_changes(&self, ids: &[&str]) -> Result<(), LayerError> {
            self.ended.lock().extend(ids.iter().map(|&id| id.to_owned()));
            Ok(())
        }
    }

    #[tokio::test]
    async fn commands_follow_a_change_that_was_made_and_no_other() {
        for (outcome, is_made) in
            [(Ok(Some(())), true), (Ok(None), false), (Err(LayerError::TimedOut("answer a command")), false)]
        {
            let recorder = Recorder {
                store: SharedStore::Memory(MemoryStore::default()),
                sent: Mutex::default(),
                ended: Mutex::default(),
            };
            let command = Disconnect { user: Some("ann".to_owned()), code: 4403, ..Disconnect::default() };
            let commands = std::slice::from_ref(&command);
            let changed = recorder.change_rights(commands, async |_| outcome.clone()).await;
            assert_eq!(changed.ok(), outcome.clone().ok());
            let sent = recorder.sent.into_inner();
            let announced = sent[0].announces.clone().expect("an announcement");
            assert_eq!(sent[1..], if is_made { vec![command] } else { Vec::new() }, "{outcome:?}");
            let ended = if is_made { Vec::new() } else { vec![announced] };
            assert_eq!(recorder.ended.into_inner(), ended, "{outcome:?}");
        }
    }
}
