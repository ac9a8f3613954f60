//! The queue before the pipelined connection: appends and changes of subscriptions.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::layer::error::LayerError;
use crate::layer::redis::log_end::LogEnd;
use crate::layer::redis::publish_batch::PendingAppend;
use crate::wire::group::Group;

/// Time in which an event has to be appended, from the call on.
pub(super) const APPEND_TIMEOUT: Duration = Duration::from_millis(800);
#[derive(Default)]
pub(super) struct CommandQueue {
    state: Mutex<QueueState>,
    /// Something was queued.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct QueueState {
    /// Whether a connection takes what is queued.
    is_open: bool,
    requests: Vec<QueuedRequest>,
}

pub(super) enum QueuedRequest {
    Append(PendingAppend),
    Channels(ChannelRequest),
}

/// The two kinds of pub/sub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PubSub {
    Plain,
    /// Of a Cluster: a channel is in a slot, as keys are.
    Sharded,
}

/// A subscription to channels, or its end.
pub(super) struct ChannelRequest {
    pub(super) subscribes: bool,
    pub(super) kind: PubSub,
    pub(super) names: Vec<String>,
    /// The groups whose channels these are.
    pub(super) groups: Vec<Group>,
    pub(super) reply: oneshot::Sender<Result<LogEnds, LayerError>>,
}

/// What came of the subscription to a group.
pub(super) enum Subscribed {
    /// The end of its log.
    At(LogEnd),
    /// The log has to be asked again.
    Unread,
    /// The slot is at another shard.
    Displaced,
}

/// What came of the subscriptions to groups, in their order.
pub(super) type LogEnds = Vec<Subscribed>;

impl CommandQueue {
    /// Queues an append; returns `false` without a connection. If the reply will never come, its
    /// sender is dropped.
    pub(super) fn append(&self, append: PendingAppend) -> bool {
        self.push(QueuedRequest::Append(append))
    }

    /// Subscribes to these channels, which are those of `groups`; returns where the logs of these
    /// groups ended after it.
    ///
    /// # Errors
    /// Fails when Redis refuses, or the connection ends.
    pub(super) async fn subscribe(
        &self,
        kind: PubSub,
        names: Vec<String>,
        groups: &[Group],
    ) -> Result<LogEnds, LayerError> {
        self.change_channels(true, kind, names, groups).await
    }

    /// Unsubscribes from these channels, which are those of `groups`.
    ///
    /// # Errors
    /// Fails when Redis refuses, or the connection ends.
    pub(super) async fn unsubscribe(
        &self,
        kind: PubSub,
        names: Vec<String>,
        groups: &[Group],
    ) -> Result<(), LayerError> {
        self.change_channels(false, kind, names, groups).await.map(|_| ())
    }

    async fn change_channels(
        &self,
        subscribes: bool,
        kind: PubSub,
        names: Vec<String>,
        groups: &[Group],
    ) -> Result<LogEnds, LayerError> {
        let (reply, wait) = oneshot::channel();
        let groups = groups.to_vec();
        // Without a connection this drops the sender.
        self.push(QueuedRequest::Channels(ChannelRequest { subscribes, kind, names, groups, reply }));
        wait.await.unwrap_or(Err(LayerError::Unreachable("the connection is closed".into())))
    }

    fn push(&self, request: QueuedRequest) -> bool {
        let mut state = self.state.lock();
        if !state.is_open {
            return false;
        }
        state.requests.push(request);
        self.changed.notify_one();
        true
    }

    /// A connection takes what is queued from now on.
    pub(super) fn open(&self) {
        self.state.lock().is_open = true;
    }

    /// Takes what is queued.
    pub(super) fn take(&self) -> Vec<QueuedRequest> {
        std::mem::take(&mut self.state.lock().requests)
    }

    /// Fails the appends that were queued for too long.
    pub(super) fn time_out_appends(&self) {
        let is_late = |request: &mut QueuedRequest| matches!(request, QueuedRequest::Append(append) if append.queued_at.elapsed() >= APPEND_TIMEOUT);
        let late: Vec<QueuedRequest> = self.state.lock().requests.extract_if(.., is_late).collect();
        for request in late {
            if let QueuedRequest::Append(append) = request {
                append.time_out();
            }
        }
    }

    /// The connection has ended: drops what is queued, and takes nothing more.
    pub(super) fn close(&self) {
        *self.state.lock() = QueueState::default();
    }
}
