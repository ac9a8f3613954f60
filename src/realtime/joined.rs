//! What one connection has joined: the channel of its path, and those that its client or the server
//! asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use once_cell::race::OnceBox;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::http::context::Context;
use crate::layer::LayerError;
use crate::limits::Admitted;
use crate::realtime::access::Grant;
use crate::realtime::catch_up::CatchUp;
use crate::realtime::channel_infos::ChannelInfos;
use crate::realtime::command::{Join, Target};
use crate::realtime::connecting;
use crate::realtime::denied::{Denied, Reason};
use crate::realtime::feed::Feed;
use crate::realtime::listed_connection;
use crate::realtime::protocol::{ChannelName, Protocol, Refused};
use crate::realtime::registration::{Registration, SocketRegistration};
use crate::realtime::revalidation;
use crate::realtime::revalidation::Verdict;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::start_position::StartPosition;
use crate::realtime::streams::Streams;
use crate::realtime::subscription::{JoinedBy, Subscription};
use crate::realtime::welcome::Welcome;

/// The channels of one connection. Dropped with it: its subscriptions end then.
pub(crate) struct Joined {
    /// The channel of the path, if it named one. The connection ends with it.
    main: Option<Registration>,
    registration: SocketRegistration,
    admitted: Admitted,
    /// Created when it is needed: most connections stay in the channel of their path.
    multiplexed: OnceBox<Multiplexed>,
}

/// A channel that was entered and is not yet joined.
pub(crate) struct Entered {
    pub(crate) registration: Registration,
    catch_up: Option<Box<CatchUp>>,
    /// What a backend has other clients know of the subscription, JSON.
    pub(crate) info: Option<Arc<str>>,
    /// When its request arrived.
    opened_at: Instant,
}

/// What a connection has beside its subscriptions that may join channels.
#[derive(Default)]
struct Multiplexed {
    /// Those that have not caught up, in the order of their joins.
    waiting: Mutex<VecDeque<(Box<CatchUp>, Arc<Subscription>)>>,
    /// The id of the connection; created when it is asked for.
    client: OnceBox<String>,
    /// The id under which the client sends, if it does not by a socket.
    stream: OnceBox<String>,
    /// The infos of subscriptions; created with the first.
    infos: OnceBox<Mutex<ChannelInfos>>,
}

// What the allocator takes for one of 56 bytes.
const _: () = assert!(size_of::<Multiplexed>() <= 64);

impl Joined {
    pub(crate) fn new(
        registration: SocketRegistration,
        main: Option<Registration>,
        admitted: Admitted,
    ) -> Self {
        Self { main, registration, admitted, multiplexed: OnceBox::new() }
    }

    /// Returns the sockets of the node.
    pub(crate) fn realtime(&self) -> &Arc<Realtime> {
        &self.registration.realtime
    }

    /// Returns the services of the node.
    pub(crate) fn context(&self) -> &Arc<Context> {
        self.realtime().context()
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.registration.socket
    }

    /// Returns the socket's place in the limits of its address.
    pub(crate) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Returns the channel of the path.
    pub(crate) fn main(&self) -> Option<&Arc<Subscription>> {
        self.main.as_deref()
    }

    /// Returns the channel that a client names; without a name that of the path.
    pub(crate) fn find(&self, target: Option<&Target<'_>>) -> Option<Arc<Subscription>> {
        let channel = target.map(|target| ChannelName { stream: target.stream, name: &target.name });
        let main = self.main().filter(|main| channel.is_none_or(|channel| channel == main.channel()));
        if let Some(main) = main {
            return Some(Arc::clone(main));
        }
        self.socket().subscriptions().find(channel?).filter(|found| !found.has_ended())
    }

    /// Joins a channel. Its welcome, and what the client missed, follow once the channels that were
    /// joined before have caught up.
    ///
    /// # Errors
    /// Returns why it is not joined.
    pub(crate) async fn join<P: Protocol, S: Streams>(
        &self,
        number: u32,
        join: &Join<'_>,
    ) -> Result<(), Refused> {
        let entered = self.enter::<P, S>(JoinedBy::Client, number, join, None).await?;
        self.add(entered);
        Ok(())
    }

    /// Enters a channel, which is joined once it is added. If the server was instructed to, and
    /// when, the client is not charged for it.
    pub(crate) async fn enter<P: Protocol, S: Streams>(
        &self,
        by: JoinedBy,
        number: u32,
        join: &Join<'_>,
        instructed_at: Option<Instant>,
    ) -> Result<Entered, Refused> {
        let opened_at = instructed_at.unwrap_or_else(Instant::now);
        let (context, socket, target) = (self.context(), self.socket(), &join.target);
        if context.is_stopping() {
            return Err(Refused::TryAgain);
        }
        self.leave_ended(target);
        if self.find(Some(target)).is_some() {
            return Err(Refused::AlreadyJoined);
        }
        let most = context.config().max_channels;
        if socket.subscriptions().len() >= most {
            return Err(Refused::TooMany(most));
        }
        let token = join.token.as_ref();
        let claims = token.map(|token| connecting::check_channel_token(self, target, token)).transpose()?;
        let entrance = S::entrance::<P>(target.stream).ok_or(Denied::NotFound)?;
        let start = if entrance.replays() {
            StartPosition::from_join(number, join)
        } else {
            StartPosition::now_for(number)
        };
        // Where its log ends is read, and for an empty log kept.
        let is_numbered = P::NUMBERS && entrance.replays();
        if instructed_at.is_none() && (is_numbered || start.reads()) {
            self.admitted.read().map_err(|_| Refused::TooFast)?;
        }
        let enter = async |grant: &Grant, unless: Option<&str>| {
            let name = Target { stream: target.stream, name: (*grant.name).into() };
            if self.find(Some(&name)).is_some() {
                return Err(Refused::AlreadyJoined); // under another spelling of its name
            }
            self.send_ended::<P>(); // one before of this name, too
            let feed = self.realtime().hub().share(Feed::new(grant, entrance, join.omitted));
            let catch_up =
                entrance.resumes().then(|| CatchUp::new(self.realtime(), Arc::clone(&feed), start));
            let subscription = Arc::new(Subscription::new(Arc::clone(socket), feed, grant, by));
            subscription.renew(claims.as_ref().and_then(|claims| claims.exp));
            let registration = match unless {
                Some(record) => Registration::subscribe_unless(self.realtime(), &subscription, record).await,
                None => Registration::subscribe(self.realtime(), subscription).await.map(Some),
            };
            let registration = registration.inspect_err(LayerError::record).map_err(Denied::Layer)?;
            Ok(registration.map(|registration| (registration, catch_up)))
        };
        let mut entered = None;
        if let Some(presumed) = entrance.presume(context, socket.identity(), &target.name) {
            entered = enter(&presumed.grant, Some(&presumed.unless)).await?;
        }
        if entered.is_none() {
            let grant = entrance.grant(context, socket.identity(), &target.name).await?;
            if grant.requires_token && claims.is_none() && by == JoinedBy::Client {
                return Err(Denied::Forbidden(Reason::new("`token`: expected one for this channel")).into());
            }
            entered = enter(&grant, None).await?;
        }
        let Some((registration, catch_up)) = entered else { return Err(Refused::TryAgain) };
        let verdict = revalidation::check_admitted(self.realtime(), &registration, opened_at).await;
        match verdict.map_err(Denied::Layer)? {
            None => {}
            Some(Verdict::Unsuitable(_)) => return Err(Refused::TryAgain),
            Some(_) => return Err(Denied::NotFound.into()),
        }
        Ok(Entered { registration, catch_up, info: claims.and_then(|claims| claims.info), opened_at })
    }

    /// Reads what the welcome to a channel says that was entered, in whose list the connection is
    /// then; `None` if it has none.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn welcome(&self, entered: &mut Entered) -> Result<Option<Welcome>, LayerError> {
        let Entered { registration, catch_up: Some(catch_up), info, .. } = entered else { return Ok(None) };
        catch_up.welcome(registration, self.list(registration, info.clone())).await.map(Some)
    }

    /// Adds the connection to the list of a channel, if there is one, unless it is there.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn list(
        &self,
        subscription: &Subscription,
        info: Option<Arc<str>>,
    ) -> Result<(), LayerError> {
        listed_connection::enter(self.realtime(), subscription, || self.client().to_owned(), info).await
    }

    /// Adds a channel that was entered, in place of one of its name that has ended.
    pub(crate) fn add(&self, Entered { registration, catch_up, info, opened_at }: Entered) {
        let subscription = registration.keep();
        let waiting = catch_up.map(|catch_up| (catch_up, Arc::clone(&subscription)));
        self.multiplexed().waiting.lock().extend(waiting);
        if let Some(ended) = self.socket().subscriptions().add(&subscription) {
            Registration::undo(self.realtime(), &ended);
        }
        self.set_channel_info(subscription.channel(), info);
        // Its end counts from here on: it is among those that are asked.
        self.socket().ask_at(self.context().seconds_after(subscription.valid_for()));
        self.realtime().hub().check_joined(&subscription, opened_at);
    }

    fn multiplexed(&self) -> &Multiplexed {
        self.multiplexed.get_or_init(Box::default)
    }

    /// Returns what a backend has other clients know of a subscription: JSON.
    pub(crate) fn channel_info(&self, channel: ChannelName<'_>) -> Option<Arc<str>> {
        self.multiplexed.get()?.infos.get()?.lock().get(channel)
    }

    /// Replaces what other clients learn of a subscription, from now on.
    pub(crate) fn set_channel_info(&self, channel: ChannelName<'_>, info: Option<Arc<str>>) {
        match (info, self.multiplexed.get().and_then(|multiplexed| multiplexed.infos.get())) {
            (None, None) => {}
            (None, Some(infos)) => infos.lock().remove(channel),
            (Some(info), _) => {
                let infos = self.multiplexed().infos.get_or_init(Box::default);
                infos.lock().insert(channel, info);
            }
        }
    }

    /// Returns the id of the connection, by which protocols with such ids name it.
    pub(crate) fn client(&self) -> &str {
        self.multiplexed().client.get_or_init(|| Box::new(Uuid::new_v4().to_string()))
    }

    /// Sets the id under which the client sends.
    pub(crate) fn set_stream(&self, id: &str) {
        let _ = self.multiplexed().stream.set(Box::new(id.to_owned())); // once, at its creation
    }

    /// Returns where the client sends, if it does not by a socket: the node, and the id.
    pub(crate) fn sends_to(&self) -> Option<(&str, &str)> {
        let id = self.multiplexed.get()?.stream.get()?;
        Some((self.context().name(), id))
    }

    /// Leaves a channel that a gap has ended, so that the client can join it again.
    fn leave_ended(&self, target: &Target<'_>) {
        if self.find(Some(target)).is_some_and(|joined| self.realtime().hub().is_silent(&joined)) {
            drop(self.leave(target));
        }
    }

    /// Leaves a channel, and returns it; `None` if it was not joined.
    pub(crate) fn leave(&self, target: &Target<'_>) -> Option<Arc<Subscription>> {
        let subscription = self.find(Some(target)).filter(|it| it.joined_by() != JoinedBy::Path)?;
        self.abandon(&subscription).then_some(subscription)
    }

    /// Ends a subscription at the client's wish, or because its join failed. Returns whether it had
    /// not ended.
    pub(crate) fn abandon(&self, subscription: &Arc<Subscription>) -> bool {
        let is_first = subscription.end();
        if is_first {
            self.remove(subscription);
        }
        is_first
    }

    /// Returns the next channel that has to catch up.
    pub(crate) fn next_catch_up(&self) -> Option<(Box<CatchUp>, Arc<Subscription>)> {
        let mut waiting = self.multiplexed.get()?.waiting.lock();
        let next = waiting.pop_front();
        if waiting.is_empty() {
            waiting.shrink_to_fit(); // a client may have joined many at once
        }
        next
    }

    /// Removes the channels that have ended without the client's doing, and sends it why they have.
    /// What follows about a channel of such a name is of a later subscription.
    pub(crate) fn send_ended<P: Protocol>(&self) {
        for (subscription, close) in self.socket().subscriptions().take_ended() {
            self.remove(&subscription);
            if let Some(frame) = P::left(subscription.channel(), &close) {
                self.socket().send(&P::TRANSPORT.message(frame, None));
            }
        }
    }

    /// Undoes the registration of a channel. What waits to catch up is answered in its turn.
    fn remove(&self, subscription: &Arc<Subscription>) {
        if self.socket().subscriptions().remove(subscription) {
            self.set_channel_info(subscription.channel(), None);
            Registration::undo(self.realtime(), subscription);
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        for subscription in self.socket().subscriptions().take_all() {
            Registration::undo(self.realtime(), &subscription);
        }
    }
}
