//! The scenes: what is measured, and where.

use std::fmt;

use clap::ValueEnum;

use crate::Result;
use crate::crowd::Seating;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::setting::Setting;
use crate::world::World;

mod floor;
mod idle;
mod open;
mod reconnect;
mod resume;
mod saturated;

use self::open::Load;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scene {
    /// What the kernel takes for one send to each of 1,000 connections: no server can do it for less
    Floor,
    /// One room of 1,000, in which 5 say 100 messages a second (`--rate`)
    FanOut,
    /// 200 rooms of 5, in each of which 5 messages a second are said
    Rooms,
    /// One room of 500, in which 20 say as much as they hear: 4 messages each are on their way
    Saturated,
    /// Many sockets that are silent, then leave
    Idle,
    /// Many clients that connect in the same moment
    Reconnect,
    /// 1,000 clients that come back to a room and missed 100 messages
    Resume,
    /// What a delivery costs in rooms of 10 to 10,000; draws docs/members.svg
    Picture,
}

impl Scene {
    /// What is measured when nothing is asked for.
    pub(crate) const USUAL: [Self; 7] =
        [Self::Floor, Self::FanOut, Self::Rooms, Self::Saturated, Self::Idle, Self::Reconnect, Self::Resume];

    /// Its rows of the table.
    pub(crate) fn parts(self) -> Vec<Part> {
        let all = [Setting::MEMORY, Setting::REDIS, Setting::CLUSTER];
        let part = |setting| Part { setting, members: None };
        match self {
            Self::Floor => vec![part(Setting::NOBODY.pinned())],
            Self::FanOut | Self::Rooms => all.map(|setting| part(setting.pinned())).to_vec(),
            Self::Saturated | Self::Reconnect | Self::Resume => all.map(part).to_vec(),
            Self::Idle => vec![part(Setting::MEMORY), part(Setting::REDIS)],
            Self::Picture => {
                let settings = [Setting::MEMORY, Setting::CLUSTER].into_iter();
                let sizes = |setting: Setting| {
                    SIZES.map(|members| Part { setting: setting.pinned(), members: Some(members) })
                };
                settings.flat_map(sizes).collect()
            }
        }
    }

    /// Plays a part of it once.
    pub(crate) fn play(self, part: Part, options: &Options) -> Result<Outcome> {
        let world = World::start(part.setting)?;
        let (measured, sockets) = (options.measured(), options.sockets as usize);
        let load =
            |rooms, members, speakers, rate| Load { seating: Seating { rooms, members }, speakers, rate };
        match self {
            Self::Floor => floor::play(),
            Self::FanOut => open::play(&world, load(1, 1000, 5, options.rate), measured),
            Self::Rooms => open::play(&world, load(200, 5, 5, 1000), measured),
            Self::Saturated => saturated::play(&world, measured),
            Self::Idle => idle::play(&world, sockets),
            Self::Reconnect => reconnect::play(&world, sockets),
            Self::Resume => resume::play(world),
            Self::Picture => {
                let members = part.members.unwrap_or(SIZES[0]);
                // As many deliveries in each, as far as the log's rate allows: a CPU that is half idle.
                let rate = u32::try_from(DELIVERIES / members)?.clamp(1, 400);
                open::play(&world, load(1, members, 5, rate), measured)
            }
        }
    }
}

/// Members of the room, in the picture.
const SIZES: [usize; 5] = [10, 100, 1000, 5000, 10_000];
/// A second, in the picture.
const DELIVERIES: usize = 50_000;

/// A row of the table: one scene in one setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) setting: Setting,
    /// Of the picture: how big the room is.
    pub(crate) members: Option<usize>,
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("no scene is skipped").get_name())
    }
}
