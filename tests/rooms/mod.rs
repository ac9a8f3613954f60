//! Rooms: their names, who may enter them, and who is in them.

mod joins;
mod lists;
mod membership;
mod names;
mod presence;
mod presence_faults;
mod private;
mod races;
