//! Rooms: their names, who may enter them, and who is in them.

mod membership;
mod names;
mod presence;
mod private;
mod races;
