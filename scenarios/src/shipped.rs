/// The scenarios that are part of the program, as id and text, sorted by id. Each one reads.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    include!(concat!(env!("OUT_DIR"), "/shipped.rs"))
}

/// The swarms that are part of the program, in the same way.
pub fn swarms() -> &'static [(&'static str, &'static str)] {
    include!(concat!(env!("OUT_DIR"), "/swarms.rs"))
}
