//! Changes of what rights rest on, so that no socket keeps a right that has ended.

use std::sync::Arc;

use crate::layer::disconnect::Disconnect;
use crate::layer::error::LayerError;
use crate::layer::rights_change::RightsChange;
use crate::layer::shared_store::SharedStore;
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

    /// Makes a change of records, and then has every node close the sockets that the commands
    /// match. Without commands the change ends no right.
    ///
    /// The commands are announced first. Every node ends the change some seconds later, from where
    /// on it cannot be made, and then asks these sockets again: none keeps its right if this
    /// process ends in between, or the layer does not say whether the change was made. The commands
    /// are also sent when the change failed, since it may have been made all the same.
    ///
    /// # Errors
    /// Fails before the change when the layer does not take the announcement; else as the change
    /// and the commands do.
    fn change_rights<'a, T: Send, F: Future<Output = Result<T, LayerError>> + Send>(
        &'a self,
        commands: &[Disconnect],
        change: impl FnOnce(RightsChange<'a>) -> F + Send,
    ) -> impl Future<Output = Result<T, LayerError>> + Send {
        async move {
            if commands.is_empty() {
                return change(RightsChange::new(self.store(), None)).await;
            }
            let id: Arc<str> = hex(&rand::random::<[u8; 8]>()).into();
            let announced: Vec<_> = commands.iter().map(|command| command.announcement(&id)).collect();
            self.send(&announced).await?;
            let changed = change(RightsChange::new(self.store(), Some(id))).await;
            let sent = self.send(commands).await;
            let changed = changed?;
            sent.map(|()| changed)
        }
    }
}
