//! What is printed, and under which conditions it was measured.

use std::time::{Duration, Instant};

/// Prints what a reader must know to compare.
pub(crate) fn conditions() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("?");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{model}, {cores} core(s) for the load side, load average at the start {load}");
}

/// How long one write that is forced to the disk takes: median of a hundred.
pub(crate) fn disk(folder: &std::path::Path) -> Duration {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("probe")).expect("a file");
    let mut took: Vec<_> = (0..100)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[7; 4_096]).expect("the disk takes it");
            file.sync_data().expect("the disk keeps it");
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}

/// A sorted list of times, read by share.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// p50, p99 and p99.9 in milliseconds.
    pub(crate) fn shown(&self) -> String {
        let at = |thousandths: usize| {
            let index = (self.0.len() * thousandths / 1_000).min(self.0.len().saturating_sub(1));
            self.0.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
        };
        format!("p50 {:>7.3}  p99 {:>7.3}  p99.9 {:>7.3} ms", at(500), at(990), at(999))
    }
}
