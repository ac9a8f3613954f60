//! What one connection has joined: the channel of its path, and those that its client asked for.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use once_cell::race::OnceBox;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::http::context::Context;
use crate::layer::LayerError;
use crate::limits::Admitted;
use crate::realtime::catch_up::CatchUp;
use crate::realtime::command::{Join, Target};
use crate::realtime::connecting;
use crate::realtime::denied::{Denied, Reason};
use crate::realtime::protocol::{ChannelName, Protocol, Refused};
use crate::realtime::registration::{Registration, SocketRegistration};
use crate::realtime::revalidation;
use crate::realtime::revalidation::Verdict;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::start_position::StartPosition;
use crate::realtime::streams::Streams;
use crate::realtime::subscription::{Ends, JoinedBy, Subscription};
use crate::wire::close::Close;

/// The channels of one connection.
pub(crate) struct Joined {
    main: Main,
    admitted: Admitted,
    /// Created at the first join: most connections stay in the channel of their path.
    several: OnceBox<Several>,
}

/// What the path of the connection named.
pub(crate) enum Main {
    /// A channel. The connection ends with it.
    Channel(Registration),
    /// No channel.
    None(SocketRegistration),
}

/// The channels that the client asked for.
#[derive(Default)]
struct Several {
    /// In the order of their streams and names, so that one is found fast and takes a pointer.
    joined: Mutex<Vec<Arc<Registration>>>,
    /// Those that have not caught up, in the order of their joins.
    waiting: Mutex<VecDeque<(Box<CatchUp>, Arc<Registration>)>>,
    /// Those that ended without the client's doing.
    ends: Arc<Ends>,
    /// The id of the connection; created when it is asked for.
    client: OnceBox<String>,
    /// The id under which the client sends, if it does not by a socket.
    stream: OnceBox<String>,
}

/// The registration of a joined channel.
pub(crate) enum Found<'a> {
    Main(&'a Registration),
    One(Arc<Registration>),
}

impl Deref for Found<'_> {
    type Target = Registration;

    fn deref(&self) -> &Registration {
        match self {
            Self::Main(registration) => registration,
            Self::One(registration) => registration,
        }
    }
}

impl Joined {
    pub(crate) fn new(main: Main, admitted: Admitted) -> Self {
        Self { main, admitted, several: OnceBox::new() }
    }

    /// Returns the sockets of the node.
    pub(crate) fn realtime(&self) -> &Arc<Realtime> {
        match &self.main {
            Main::Channel(registration) => registration.realtime(),
            Main::None(registration) => &registration.realtime,
        }
    }

    /// Returns the services of the node.
    pub(crate) fn context(&self) -> &Arc<Context> {
        self.realtime().context()
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        match &self.main {
            Main::Channel(registration) => registration.socket(),
            Main::None(registration) => &registration.socket,
        }
    }

    /// Returns the socket's place in the limits of its address.
    pub(crate) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Returns the channel of the path.
    pub(crate) fn main(&self) -> Option<&Registration> {
        match &self.main {
            Main::Channel(registration) => Some(registration),
            Main::None(_) => None,
        }
    }

    /// Returns the channel that a client names; without a name that of the path.
    pub(crate) fn find(&self, target: Option<&Target<'_>>) -> Option<Found<'_>> {
        let main = self.main().filter(|main| target.is_none_or(|target| is_of(main, target)));
        if let Some(main) = main {
            return Some(Found::Main(main));
        }
        let (target, several) = (target?, self.several.get()?);
        let joined = several.joined.lock();
        let found = &joined[place(&joined, (target.stream, &target.name)).ok()?];
        (!found.subscription().has_ended()).then(|| Found::One(Arc::clone(found)))
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
        let (registration, catch_up) = self.enter::<P, S>(JoinedBy::Client, number, join).await?;
        self.add(registration, catch_up);
        Ok(())
    }

    /// Enters a channel, which is joined once it is added.
    pub(crate) async fn enter<P: Protocol, S: Streams>(
        &self,
        by: JoinedBy,
        number: u32,
        join: &Join<'_>,
    ) -> Result<(Arc<Registration>, Option<Box<CatchUp>>), Refused> {
        let opened_at = Instant::now();
        let (context, socket, target) = (self.context(), self.socket(), &join.target);
        if context.is_stopping() {
            return Err(Refused::TryAgain);
        }
        self.leave_ended(target);
        if self.find(Some(target)).is_some() {
            return Err(Refused::AlreadyJoined);
        }
        let several = self.several();
        let most = context.config().max_channels;
        if several.joined.lock().len() >= most {
            return Err(Refused::TooMany(most));
        }
        let token = join.token.as_ref();
        let expires_at =
            token.map(|token| connecting::check_channel_token(self, target, token)).transpose()?;
        let entrance = S::entrance::<P>(target.stream).ok_or(Denied::NotFound)?;
        let start = if entrance.replays() {
            StartPosition::from_join(number, join)
        } else {
            StartPosition::now_for(number)
        };
        // Where its log ends is read, and for an empty log kept.
        let is_numbered = P::NUMBERS && entrance.replays();
        if is_numbered || start.reads() {
            self.admitted.read().map_err(|_| Refused::TooFast)?;
        }
        let grant = entrance.grant(context, socket.identity(), &target.name).await?;
        if grant.requires_token && expires_at.is_none() && by == JoinedBy::Client {
            return Err(Denied::Forbidden(Reason::new("`token`: expected one for this channel")).into());
        }
        let subscription = Subscription::new(grant, entrance).among(&several.ends, by, join.omitted);
        subscription.renew(expires_at.flatten());
        let name = Target { stream: target.stream, name: subscription.name().into() };
        if self.find(Some(&name)).is_some() {
            return Err(Refused::AlreadyJoined); // under another spelling of its name
        }
        let catch_up = entrance.resumes().then(|| CatchUp::new(&subscription, start));
        let (realtime, socket) = (Arc::clone(self.realtime()), Arc::clone(socket));
        let registration = Registration::subscribe(realtime, socket, Arc::new(subscription), opened_at).await;
        let registration = registration.inspect_err(LayerError::record).map_err(Denied::Layer)?;
        match revalidation::check_admitted(&registration, opened_at).await.map_err(Denied::Layer)? {
            None => {}
            Some(Verdict::Unsuitable(_)) => return Err(Refused::TryAgain),
            Some(_) => return Err(Denied::NotFound.into()),
        }
        self.socket().ask_at(context.seconds_after(registration.subscription().valid_for()));
        Ok((Arc::new(registration), catch_up))
    }

    /// Adds a channel that was entered.
    pub(crate) fn add(&self, registration: Arc<Registration>, catch_up: Option<Box<CatchUp>>) {
        let several = self.several();
        let waiting = catch_up.map(|catch_up| (catch_up, Arc::clone(&registration)));
        several.waiting.lock().extend(waiting);
        several.add(registration);
    }

    fn several(&self) -> &Several {
        self.several.get_or_init(Box::default)
    }

    /// Returns the id of the connection, by which protocols with such ids name it.
    pub(crate) fn client(&self) -> &str {
        self.several().client.get_or_init(|| Box::new(Uuid::new_v4().to_string()))
    }

    /// Sets the id under which the client sends.
    pub(crate) fn set_stream(&self, id: &str) {
        let _ = self.several().stream.set(Box::new(id.to_owned())); // once, at its creation
    }

    /// Returns where the client sends, if it does not by a socket: the node, and the id.
    pub(crate) fn sends_to(&self) -> Option<(&str, &str)> {
        let id = self.several.get()?.stream.get()?;
        Some((self.context().name(), id))
    }

    /// Leaves a channel that a gap has ended, so that the client can join it again.
    fn leave_ended(&self, target: &Target<'_>) {
        let Some(Found::One(registration)) = self.find(Some(target)) else { return };
        if registration.is_silent() {
            drop(self.leave(target));
        }
    }

    /// Leaves a channel, and returns it; `None` if it was not joined.
    pub(crate) fn leave(&self, target: &Target<'_>) -> Option<Arc<Registration>> {
        let Found::One(registration) = self.find(Some(target))? else { return None };
        self.abandon(registration.subscription()).then_some(registration)
    }

    /// Ends a subscription at the client's wish, or because its join failed. Returns whether it had
    /// not ended.
    pub(crate) fn abandon(&self, subscription: &Arc<Subscription>) -> bool {
        if !subscription.end() {
            return false;
        }
        self.realtime().hub().silence(subscription);
        if let Some(several) = self.several.get() {
            several.remove(subscription);
        }
        true
    }

    /// Returns the next channel that has to catch up.
    pub(crate) fn next_catch_up(&self) -> Option<(Box<CatchUp>, Found<'_>)> {
        let (catch_up, registration) = self.several.get()?.waiting.lock().pop_front()?;
        Some((catch_up, Found::One(registration)))
    }

    /// Removes the channels that have ended without the client's doing, and returns why they have.
    pub(crate) fn take_ended(&self) -> Vec<(Arc<Subscription>, Close)> {
        let Some(several) = self.several.get() else { return Vec::new() };
        let ended = several.ends.take();
        for (subscription, _) in &ended {
            several.remove(subscription);
        }
        ended
    }
}

impl Several {
    /// Adds a channel, in place of one of this name that has ended.
    fn add(&self, registration: Arc<Registration>) {
        let mut joined = self.joined.lock();
        let channel = registration.subscription().channel();
        let _ended = match place(&joined, (channel.stream, channel.name)) {
            Ok(at) => Some(std::mem::replace(&mut joined[at], registration)),
            Err(at) => {
                joined.insert(at, registration);
                None
            }
        };
        drop(joined);
    }

    fn remove(&self, subscription: &Arc<Subscription>) {
        let is_it = |registration: &Arc<Registration>| Arc::ptr_eq(registration.subscription(), subscription);
        // What waits to catch up is answered in its turn. Dropped outside of the lock.
        let _joined = {
            let mut joined = self.joined.lock();
            let at = joined.iter().position(is_it);
            at.map(|at| joined.remove(at))
        };
    }
}

/// Returns where a channel is among those joined, or where it belongs.
fn place(joined: &[Arc<Registration>], key: (&str, &str)) -> Result<usize, usize> {
    joined.binary_search_by(|registration| {
        let channel = registration.subscription().channel();
        (channel.stream, channel.name).cmp(&key)
    })
}

/// Returns whether this is the channel that a client names.
fn is_of(registration: &Registration, target: &Target<'_>) -> bool {
    registration.subscription().channel() == ChannelName { stream: target.stream, name: &target.name }
}
