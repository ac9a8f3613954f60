//! Changes of what rights rest on, so that no socket keeps a right that has ended.

use crate::layer::disconnect::Disconnect;
use crate::layer::error::LayerError;

/// Sends disconnect commands to all nodes.
pub(crate) trait DisconnectSender: Sync {
    /// Sends a command to all nodes.
    ///
    /// # Errors
    /// Fails when the layer does not take it within a second.
    fn send(&self, command: &Disconnect) -> impl Future<Output = Result<(), LayerError>> + Send;

    /// Makes a change of records, and then has every node close the sockets that the commands
    /// match.
    ///
    /// The commands are announced first: if this process ends in between, or the layer does not say
    /// whether the change was made, every node asks these sockets again. They are also sent when
    /// the change failed, since it may have been made all the same.
    ///
    /// # Errors
    /// Fails before the change when the layer does not take an announcement; else as the change and
    /// the commands do.
    fn change_rights<T: Send>(
        &self,
        commands: &[Disconnect],
        change: impl Future<Output = Result<T, LayerError>> + Send,
    ) -> impl Future<Output = Result<T, LayerError>> + Send {
        async move {
            for command in commands {
                self.send(&command.announcement()).await?;
            }
            let changed = change.await;
            let mut sent = Ok(());
            for command in commands {
                sent = sent.and(self.send(command).await);
            }
            let changed = changed?;
            sent.map(|()| changed)
        }
    }
}
