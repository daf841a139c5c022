//! The whole gateway in a turmoil network: a call wakes a sleeping phone, whatever crashes.

mod blindfold;
mod coverage;
mod doctored;
mod mutants;
mod scenes;
mod seeds;
mod sweep;
mod wakes;
mod whims;
