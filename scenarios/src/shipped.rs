/// The scenarios that are part of the program, as id and text, sorted by id. Each one reads.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    include!(concat!(env!("OUT_DIR"), "/shipped.rs"))
}
