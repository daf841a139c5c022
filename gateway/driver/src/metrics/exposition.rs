//! The text format of Prometheus (version 0.0.4): families with their help and type, then samples.

use std::fmt::{Display, Write as _};

/// `Content-Type` of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Type {
    Counter,
    Gauge,
    Histogram,
}

/// A page in the making.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let shown: Vec<_> = labels.iter().map(|(name, value)| label(name, value)).collect();
        match shown.as_slice() {
            [] => self.line(format_args!("{name} {value}")),
            shown => self.line(format_args!("{name}{{{}}} {value}", shown.join(","))),
        }
    }

    /// A family of one sample.
    pub(crate) fn one(&mut self, name: &str, kind: Type, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes every line");
    }
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_labels_are_escaped_as_the_format_says() {
        let mut page = Page::default();
        page.one("a_total", Type::Counter, "One\\two\nthree", 3);
        page.sample("a_total", &[("b", "x\"y\\z\n"), ("c", "d")], 0.5);
        let text = "# HELP a_total One\\\\two\\nthree\n# TYPE a_total counter\na_total 3\n\
            a_total{b=\"x\\\"y\\\\z\\n\",c=\"d\"} 0.5\n";
        assert_eq!(page.into_text(), text);
    }
}
