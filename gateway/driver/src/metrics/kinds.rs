//! What is counted, and how: numbers that many tasks raise and one page reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::exposition::{Page, Type};

/// A number that rises, or one that is set.
#[derive(Default)]
pub(crate) struct Number(AtomicU64);

impl Number {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn sub(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(u64::try_from(value).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A label and all its values; the last one takes what is none of the others.
pub(crate) type Axis = (&'static str, &'static [&'static str]);

/// Counters for every combination of values that are known beforehand: no lock, no allocation.
pub(crate) struct Grid<const N: usize> {
    axes: [Axis; N],
    cells: Vec<Number>,
}

impl<const N: usize> Grid<N> {
    pub(crate) fn new(axes: [Axis; N]) -> Self {
        let count = axes.iter().map(|(_, values)| values.len()).product();
        Self { axes, cells: (0..count).map(|_| Number::default()).collect() }
    }

    pub(crate) fn raise(&self, values: [&str; N]) {
        self.cell(values).add(1);
    }

    /// Takes back what was raised.
    pub(crate) fn lower(&self, values: [&str; N], less: u64) {
        self.cell(values).sub(less);
    }

    fn cell(&self, values: [&str; N]) -> &Number {
        let mut at = 0;
        for ((_, known), value) in self.axes.iter().zip(values) {
            let place = known.iter().position(|known| *known == value);
            at = at * known.len() + place.unwrap_or(known.len() - 1);
        }
        &self.cells[at]
    }

    pub(crate) fn show(&self, page: &mut Page, name: &str, help: &str) {
        self.show_as(page, Type::Counter, name, help);
    }

    pub(crate) fn show_as(&self, page: &mut Page, kind: Type, name: &str, help: &str) {
        page.family(name, kind, help);
        for (at, cell) in self.cells.iter().enumerate() {
            let (mut rest, mut labels) = (at, Vec::new());
            for (label, known) in self.axes.iter().rev() {
                labels.push((*label, known[rest % known.len()]));
                rest /= known.len();
            }
            labels.reverse();
            page.sample(name, &labels, cell.get());
        }
    }
}

/// Counters by labels whose values come from the configuration.
pub(crate) struct Series<const N: usize> {
    labels: [&'static str; N],
    counts: Mutex<BTreeMap<[String; N], u64>>,
}

impl<const N: usize> Series<N> {
    pub(crate) fn new(labels: [&'static str; N]) -> Self {
        Self { labels, counts: Mutex::default() }
    }

    pub(crate) fn raise(&self, values: [&str; N]) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(values.map(ToOwned::to_owned)).or_default() += 1;
    }

    pub(crate) fn show(&self, page: &mut Page, name: &str, help: &str) {
        page.family(name, Type::Counter, help);
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (values, count) in &counts {
            let labels: Vec<_> =
                self.labels.iter().zip(values).map(|(name, value)| (*name, &**value)).collect();
            page.sample(name, &labels, count);
        }
    }
}

/// How often values fell below each bound. Bounds and values are whole numbers of the `unit`-th
/// part of what is shown: microseconds are shown as seconds.
pub(crate) struct Histogram {
    unit: u64,
    bounds: &'static [u64],
    cells: Vec<Number>,
    sum: Number,
}

impl Histogram {
    pub(crate) fn new(unit: u64, bounds: &'static [u64]) -> Self {
        let cells = (0..=bounds.len()).map(|_| Number::default()).collect();
        Self { unit, bounds, cells, sum: Number::default() }
    }

    pub(crate) fn see(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.cells[at].add(1);
        self.sum.add(value);
    }

    pub(crate) fn show(&self, page: &mut Page, name: &str, help: &str) {
        page.family(name, Type::Histogram, help);
        let bucket = format!("{name}_bucket");
        let ends = self.bounds.iter().map(|bound| self.shown(*bound));
        let mut count = 0;
        for (cell, end) in self.cells.iter().zip(ends.chain(["+Inf".to_owned()])) {
            count += cell.get();
            page.sample(&bucket, &[("le", &end)], count);
        }
        page.sample(&format!("{name}_sum"), &[], self.shown(self.sum.get()));
        page.sample(&format!("{name}_count"), &[], count);
    }

    fn shown(&self, value: u64) -> String {
        let (whole, part) = (value / self.unit, value % self.unit);
        let digits = self.unit.ilog10() as usize;
        match part {
            0 => whole.to_string(),
            part => format!("{whole}.{part:0digits$}").trim_end_matches('0').to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(show: impl FnOnce(&mut Page)) -> Vec<String> {
        let mut page = Page::default();
        show(&mut page);
        page.into_text().lines().filter(|l| !l.starts_with('#')).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_grid_counts_each_combination_and_the_unknown_as_the_last() {
        let grid = Grid::new([("a", &["x", "y", "other"]), ("b", &["1", "2"])]);
        grid.raise(["y", "2"]);
        grid.raise(["y", "2"]);
        grid.raise(["hostile", "1"]);
        let wanted = [
            "n{a=\"x\",b=\"1\"} 0",
            "n{a=\"x\",b=\"2\"} 0",
            "n{a=\"y\",b=\"1\"} 0",
            "n{a=\"y\",b=\"2\"} 2",
            "n{a=\"other\",b=\"1\"} 1",
            "n{a=\"other\",b=\"2\"} 0",
        ];
        assert_eq!(shown(|page| grid.show(page, "n", "")), wanted);
    }

    #[test]
    fn a_histogram_adds_up_and_shows_base_units() {
        let histogram = Histogram::new(1_000_000, &[2_500, 1_000_000]);
        for micros in [2_500, 2_501, 1_000_001, 30_000_000] {
            histogram.see(micros);
        }
        let wanted = [
            "h_bucket{le=\"0.0025\"} 1",
            "h_bucket{le=\"1\"} 2",
            "h_bucket{le=\"+Inf\"} 4",
            "h_sum 31.005002",
            "h_count 4",
        ];
        assert_eq!(shown(|page| histogram.show(page, "h", "")), wanted);
    }
}
