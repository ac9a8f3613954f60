//! What one connection has joined: the channel of its path, and those that its client asked for.

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use once_cell::race::OnceBox;
use parking_lot::Mutex;

use crate::http::context::Context;
use crate::layer::LayerError;
use crate::limits::Admitted;
use crate::realtime::catch_up::CatchUp;
use crate::realtime::command::{Join, Target};
use crate::realtime::denied::Denied;
use crate::realtime::protocol::{ChannelName, Protocol, Refused};
use crate::realtime::registration::{Registration, SocketRegistration};
use crate::realtime::revalidation;
use crate::realtime::revalidation::Verdict;
use crate::realtime::runtime::Realtime;
use crate::realtime::socket::Socket;
use crate::realtime::start_position::StartPosition;
use crate::realtime::streams::Streams;
use crate::realtime::subscription::{Ends, Subscription};
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
    /// By stream and name, as the client wrote it.
    joined: Mutex<HashMap<(&'static str, String), Arc<Registration>>>,
    /// Those that have not caught up, in the order of their joins.
    waiting: Mutex<VecDeque<Arc<Registration>>>,
    /// Those that ended without the client's doing.
    ends: Arc<Ends>,
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

    fn realtime(&self) -> &Arc<Realtime> {
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
        let found = joined.get(&(target.stream, target.name.as_ref().to_owned()));
        let found = found.or_else(|| joined.values().find(|registration| is_of(registration, target)));
        let found = found.filter(|registration| !registration.subscription().has_ended());
        found.map(|registration| Found::One(Arc::clone(registration)))
    }

    /// Joins a channel. Its welcome, and what the client missed, follow once the channels that were
    /// joined before have caught up.
    ///
    /// # Errors
    /// Returns why it is not joined.
    pub(crate) async fn join<P: Protocol, S: Streams>(&self, join: &Join<'_>) -> Result<(), Refused> {
        let opened_at = Instant::now();
        let (context, socket, target) = (self.context(), self.socket(), &join.target);
        if context.is_stopping() {
            return Err(Refused::TryAgain);
        }
        if self.find(Some(target)).is_some() {
            return Err(Refused::AlreadyJoined);
        }
        let several = self.several.get_or_init(Box::default);
        let most = context.config().max_channels;
        if several.joined.lock().len() >= most {
            return Err(Refused::TooMany(most));
        }
        let entrance = S::entrance::<P>(target.stream).ok_or(Denied::NotFound)?;
        let start = match (entrance.resumes(), entrance.replays()) {
            (false, _) => None,
            (true, false) => Some(StartPosition::now()),
            (true, true) => Some(StartPosition::from_join(join)),
        };
        if start.is_some_and(|start| start.reads()) {
            self.admitted.read().map_err(|_| Refused::TooFast)?;
        }
        let grant = entrance.grant(context, socket.identity(), &target.name).await?;
        let subscription =
            Subscription::new(grant, entrance, start, opened_at).among(&several.ends, join.omitted);
        let name = Target { stream: target.stream, name: subscription.name().into() };
        if self.find(Some(&name)).is_some() {
            return Err(Refused::AlreadyJoined); // under another spelling of its name
        }
        let realtime = Arc::clone(self.realtime());
        let registration =
            Registration::subscribe(realtime, Arc::clone(socket), Arc::new(subscription)).await;
        let registration = registration.inspect_err(LayerError::record).map_err(Denied::Layer)?;
        match revalidation::check_admitted(&registration).await.map_err(Denied::Layer)? {
            None => {}
            Some(Verdict::Unsuitable(_)) => return Err(Refused::TryAgain),
            Some(_) => return Err(Denied::NotFound.into()),
        }
        let registration = Arc::new(registration);
        let key = (target.stream, target.name.as_ref().to_owned());
        several.joined.lock().insert(key, Arc::clone(&registration));
        several.waiting.lock().push_back(registration);
        Ok(())
    }

    /// Leaves a channel, and returns it; `None` if it was not joined.
    pub(crate) fn leave(&self, target: &Target<'_>) -> Option<Arc<Registration>> {
        let Found::One(registration) = self.find(Some(target))? else { return None };
        if !registration.subscription().end() {
            return None;
        }
        self.realtime().hub().silence(registration.subscription());
        self.remove(registration.subscription());
        Some(registration)
    }

    /// Returns the next channel that has to catch up.
    pub(crate) fn next_catch_up(&self) -> Option<(CatchUp, Found<'_>)> {
        let waiting = &self.several.get()?.waiting;
        loop {
            let registration = waiting.lock().pop_front()?;
            if let Some(catch_up) = CatchUp::new(&registration) {
                return Some((catch_up, Found::One(registration)));
            }
        }
    }

    /// Removes the channels that have ended without the client's doing, and returns why they have.
    pub(crate) fn take_ended(&self) -> Vec<(Arc<Subscription>, Close)> {
        let Some(several) = self.several.get() else { return Vec::new() };
        let ended = several.ends.take();
        for (subscription, _) in &ended {
            self.remove(subscription);
        }
        ended
    }

    fn remove(&self, subscription: &Arc<Subscription>) {
        let Some(several) = self.several.get() else { return };
        let is_it = |registration: &Arc<Registration>| Arc::ptr_eq(registration.subscription(), subscription);
        // Dropped outside of the lock.
        let _waiting: Vec<_> = {
            let mut waiting = several.waiting.lock();
            let (ended, others) = waiting.drain(..).partition(|registration| is_it(registration));
            *waiting = others;
            let ended: VecDeque<_> = ended;
            ended.into()
        };
        let _joined: Vec<_> =
            several.joined.lock().extract_if(|_, registration| is_it(registration)).collect();
    }
}

/// Returns whether this is the channel that a client names.
fn is_of(registration: &Registration, target: &Target<'_>) -> bool {
    registration.subscription().channel() == ChannelName { stream: target.stream, name: &target.name }
}
