use std::time::Duration;

/// What a link does to what it carries, besides its usual latency. The default does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// Every packet takes that much longer.
    pub delay: Duration,
    /// And up to that much longer again, drawn for each.
    pub jitter: Duration,
    /// Of a thousand packets so many are lost. A stream repeats what it lost.
    pub loss: u16,
    /// Of a thousand datagrams so many arrive twice.
    pub duplicate: u16,
    /// Of a thousand datagrams so many are overtaken by later ones.
    pub reorder: u16,
    /// Bits per second that fit; absent: any number.
    pub bandwidth: Option<u64>,
}
