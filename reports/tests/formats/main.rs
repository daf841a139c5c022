//! Every format over one small run written by hand, with the text a hostile peer would send.

mod coverage;
mod json;
mod junit;
mod ladder;
mod merge;
mod sample;
mod store;
mod terminal;
