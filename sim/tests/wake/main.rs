//! The whole gateway in a turmoil network: a call wakes a sleeping phone, whatever crashes.

mod doctored;
mod field;
mod mutants;
mod play;
mod seeds;
mod sweep;
mod wakes;
