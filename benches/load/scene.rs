//! The scenes: what is measured, and in which settings.

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
    /// The kernel's cost of one send to each of 1,000 connections, the lower bound of any server
    Floor,
    /// One room of 1,000 members, 5 of which publish 100 messages per second (`--rate`)
    FanOut,
    /// 200 rooms of 5 members with 5 messages per second each
    Rooms,
    /// One room of 500 members, 20 of which keep 4 messages outstanding each
    Saturated,
    /// Many idle sockets, which then disconnect
    Idle,
    /// Many clients that connect at once
    Reconnect,
    /// 1,000 clients that reconnect to a room after missing 100 messages
    Resume,
    /// Cost of a delivery in rooms of 10 to 10,000 members; draws docs/members.svg
    Picture,
}

impl Scene {
    /// The scenes measured by default.
    pub(crate) const USUAL: [Self; 7] =
        [Self::Floor, Self::FanOut, Self::Rooms, Self::Saturated, Self::Idle, Self::Reconnect, Self::Resume];

    /// Returns the rows of the scene.
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

    /// Runs one row once.
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
                // The same number of deliveries in each, as far as the log's rate allows, at half a
                // CPU.
                let rate = u32::try_from(DELIVERIES / members)?.clamp(1, 400);
                open::play(&world, load(1, members, 5, rate), measured)
            }
        }
    }
}

/// Room sizes of the picture.
const SIZES: [usize; 5] = [10, 100, 1000, 5000, 10_000];
/// Deliveries per second of the picture.
const DELIVERIES: usize = 50_000;

/// A row of the table: one scene in one setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) setting: Setting,
    /// Members of the room, in the picture.
    pub(crate) members: Option<usize>,
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("no scene is skipped").get_name())
    }
}
