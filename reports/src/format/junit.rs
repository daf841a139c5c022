//! JUnit XML for CI: a suite per family of scenarios, a test case per case of the run.

use std::borrow::Cow;
use std::collections::BTreeSet;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use reveille_trace::{Case, Observed, Run};

use super::{block, ladder};
use crate::text::{seconds, xml};
use crate::{Traces, names};

/// CI shows the first line of a message and cuts it about here.
const MESSAGE: usize = 300;
/// As wide as a ladder likes it.
const WIDTH: usize = 100;
// Readers want an output below 64 kB; a full ladder, its heads and its last lines are.
const _: () = assert!((ladder::MOST_ROWS + 60) * (WIDTH + 1) < 60_000);
/// A name from outside is no longer than this.
const NAME: usize = 500;

/// The XML of a run. It tells no `time`: a case has simulated time only, and that is a property.
///
/// # Errors
/// Whatever the XML writer reports.
pub fn write(run: &Run, traces: &Traces<'_>) -> Result<String, String> {
    let mut report = Report::new("reveille");
    let mut suites: Vec<TestSuite> = Vec::new();
    let mut taken = BTreeSet::new();
    let with_seed = names::has_several_seeds(run);
    for case in &run.cases {
        let family = name(case.scenario.split('/').next().unwrap_or_default());
        let at = suites.iter().position(|suite| suite.name.as_str() == family);
        let at = at.unwrap_or_else(|| {
            suites.push(TestSuite::new(family));
            suites.len() - 1
        });
        suites[at].add_test_case(test_case(case, traces, with_seed, &mut taken));
    }
    report.add_test_suites(suites);
    report.to_string().map_err(|error| format!("junit.xml cannot be written: {error}"))
}

fn name(text: &str) -> String {
    let text: String = text.chars().take(NAME).collect();
    let text = xml(&text).replace('\n', "\\n");
    if text.trim().is_empty() { "unnamed".to_owned() } else { text }
}

fn test_case(
    case: &Case,
    traces: &Traces<'_>,
    with_seed: bool,
    taken: &mut BTreeSet<(String, String)>,
) -> TestCase {
    let class = name(&case.scenario);
    let mut test = TestCase::new(own_name(case, &class, with_seed, taken), status(case));
    test.set_classname(class);
    test.add_properties(properties(case));
    if case.verdict.observed != Observed::Pass {
        let trace = traces(case);
        let trace = trace.as_ref().map(Cow::as_ref);
        let body = block::lines(case, None, WIDTH, "").join("\n");
        if let TestCaseStatus::NonSuccess { description, .. } = &mut test.status {
            *description = Some(format!("\n{}\n", xml(&body)).into());
        }
        if let Some(trace) = trace {
            test.set_system_out(ladder::draw(trace, WIDTH));
        }
    }
    test
}

/// The case's cell, or `plays`. Readers drop a second case with the same class and name.
fn own_name(
    case: &Case,
    class: &str,
    with_seed: bool,
    taken: &mut BTreeSet<(String, String)>,
) -> String {
    let cell = case.verdict.case.strip_prefix(&case.scenario).unwrap_or(&case.verdict.case);
    let cell = cell.trim_start_matches('/');
    let mut own = if cell.is_empty() { "plays".to_owned() } else { name(cell) };
    if with_seed {
        own.push_str(&format!(" seed {}", case.verdict.seed));
    }
    let (first, mut number) = (own.clone(), 1_usize);
    while !taken.insert((class.to_owned(), own.clone())) {
        number += 1;
        own = format!("{first} #{number}");
    }
    own
}

fn status(case: &Case) -> TestCaseStatus {
    let (kind, ty) = match case.verdict.observed {
        Observed::Pass => return TestCaseStatus::success(),
        Observed::Fail => (NonSuccessKind::Failure, "reveille.fail"),
        Observed::Inconclusive => (NonSuccessKind::Error, "reveille.inconclusive"),
        Observed::Error => (NonSuccessKind::Error, "reveille.error"),
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty).set_message(xml(&block::sentence(case, MESSAGE)));
    status
}

fn properties(case: &Case) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut seen = BTreeSet::new();
    for finding in &case.verdict.findings {
        if seen.insert((&finding.requirement, &finding.level)) {
            properties.push(Property::new("requirement", name(&finding.requirement)));
            properties.push(Property::new("level", name(&finding.level)));
        }
    }
    properties.push(Property::new("seed", case.verdict.seed.to_string()));
    properties.push(Property::new("repro", name(&case.replay)));
    properties.push(Property::new("sim_time_s", seconds(case.verdict.length_us)));
    properties.push(Property::new("verdict", case.verdict.observed.name()));
    properties
}
