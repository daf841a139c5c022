//! Every format over one small run written by hand, with the text a hostile peer would send.

mod json;
mod junit;
mod ladder;
mod sample;
mod store;
mod terminal;
