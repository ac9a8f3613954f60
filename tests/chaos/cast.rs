//! All the clients of a run, in their rooms.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::orders::{Orders, State, Stay};
use super::record::{Pen, Record, What};
use super::resident::Resident;
use crate::support::handshake::Handshake;
use crate::support::wait::{PATIENCE, within};

/// Users of the test's own, who look in; no client has such a number.
const STRANGER: u64 = 1 << 40;

pub struct Cast {
    pub pen: Pen,
    door: SocketAddr,
    /// The room of each client.
    rooms: Vec<usize>,
    orders: Vec<watch::Sender<Orders>>,
    states: Vec<Arc<Mutex<State>>>,
    _tasks: JoinSet<()>,
}

pub fn name_of(room: usize) -> String {
    format!("room{room}")
}

impl Cast {
    /// So many clients come to so many rooms, in each of which something was said before, and listen.
    pub async fn gather(clients: usize, rooms: usize, door: SocketAddr, seed: u64) -> Self {
        for room in 0..rooms {
            let mut stranger = Handshake::to_room(&name_of(room)).with_guest(STRANGER).connect_to(door).await;
            stranger.publish("before anybody came").await;
        }
        let rooms: Vec<_> = (0..clients).map(|who| who % rooms).collect();
        let pen = Pen::new(rooms.clone());
        let (orders, heads): (Vec<_>, Vec<_>) = rooms.iter().map(|_| watch::channel(Orders::LISTEN)).unzip();
        let states: Vec<_> = rooms.iter().map(|_| Arc::<Mutex<State>>::default()).collect();
        let mut tasks = JoinSet::new();
        for (who, head) in heads.into_iter().enumerate() {
            let (place, state) = ((who, name_of(rooms[who])), Arc::clone(&states[who]));
            tasks.spawn(Resident::new(place, door, pen.clone(), seed, head, state).live());
        }
        let cast = Self { pen, door, rooms, orders, states, _tasks: tasks };
        if let Err(missing) = cast.at_rest(PATIENCE).await {
            panic!("waited for everybody to come: {missing}");
        }
        cast
    }

    /// Changes the orders of these clients.
    pub fn order(&self, clients: impl IntoIterator<Item = usize>, change: impl Fn(&mut Orders)) {
        for who in clients {
            self.orders[who].send_modify(&change);
        }
    }

    pub fn everybody(&self) -> std::ops::Range<usize> {
        0..self.rooms.len()
    }

    pub fn rooms(&self) -> BTreeSet<usize> {
        self.rooms.iter().copied().collect()
    }

    pub fn members_of(&self, room: usize) -> Vec<usize> {
        self.everybody().filter(|who| self.rooms[*who] == room).collect()
    }

    fn stays(&self, who: usize) -> bool {
        self.orders[who].borrow().stay == Stay::Here
    }

    /// Who is not online, or waits for an answer since before this time.
    pub fn restless(&self, before: Instant) -> Vec<String> {
        let clients = self.everybody().filter(|who| self.stays(*who));
        let restless = clients.filter_map(|who| {
            let state = self.states[who].lock().unwrap();
            if !state.online {
                return Some(format!("client {who} is offline"));
            }
            let waits = state.unanswered.filter(|since| *since < before)?;
            Some(format!("client {who} waits for an answer since {:?}", waits.elapsed()))
        });
        restless.collect()
    }

    /// Waits until everybody is online and everything that was said up to now is answered.
    pub async fn at_rest(&self, limit: Duration) -> Result<(), String> {
        let now = Instant::now();
        self.reached(limit, || self.restless(now)).await
    }

    /// Waits until all who are in a room have heard the same last message, which they do when nobody speaks.
    pub async fn in_step(&self, limit: Duration) -> Result<(), String> {
        let differing = || {
            let lasts_of = |room: usize| -> BTreeSet<_> {
                let members = self.members_of(room).into_iter().filter(|who| self.stays(*who));
                members.map(|who| self.states[who].lock().unwrap().last.clone()).collect()
            };
            let rooms = self.rooms().into_iter().map(|room| (room, lasts_of(room)));
            rooms.filter(|(_, lasts)| lasts.len() > 1).map(|room| format!("{room:?}")).collect()
        };
        self.reached(limit, differing).await
    }

    async fn reached(&self, limit: Duration, missing: impl Fn() -> Vec<String>) -> Result<(), String> {
        let end = Instant::now() + limit;
        loop {
            let missing = missing();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("after {limit:?} {} are missing: {missing:.10?}", missing.len()));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Looks into each room again and again until a newcomer is told of those who are there, and writes down
    /// what the last newcomer was told.
    pub async fn count(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let record = self.pen.read();
        for room in self.rooms() {
            let stay = self.members_of(room).into_iter().filter(|who| self.stays(*who));
            let there: BTreeSet<_> = stay.filter_map(|who| user_of(&record, who)).collect();
            let stranger = STRANGER + 1;
            let members = loop {
                let ticket = Handshake::to_room(&name_of(room)).with_guest(stranger);
                let newcomer =
                    within(PATIENCE * 2, "a newcomer's welcome", ticket.connect_to(self.door)).await;
                let listed = newcomer.welcome["members"].as_array().cloned().unwrap_or_default();
                let listed = listed.iter().filter_map(|user| user.as_str());
                let members: BTreeSet<_> =
                    listed.filter(|user| *user != newcomer.user()).map(str::to_owned).collect();
                if members == there || Instant::now() > end {
                    break members;
                }
                sleep(Duration::from_millis(200)).await;
            };
            self.pen.write(self.members_of(room)[0], What::Counted { members });
        }
    }
}

fn user_of(record: &Record, who: usize) -> Option<String> {
    record.events.iter().find_map(|event| match &event.what {
        What::Welcomed { user, .. } if event.who == who => Some(user.clone()),
        _ => None,
    })
}
