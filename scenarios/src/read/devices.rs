//! Phones with an operating system: what of them can be said, and what can be done to them.

use super::field::{FOREVER, Field, Table};
use super::findings::Findings;
use super::names::Used;
use super::verbs::Verbs;
use crate::codes::Code;
use crate::device::{Bucket, Device, DeviceAct, Misstep, Os, Permission};
use crate::problem::Problem;
use crate::scenario::Verb;
use crate::service::Service;
use crate::words::{listed, quoted};

/// The keys of a phone that its operating system brings.
pub(super) const KEYS: [&str; 4] = ["os", "bucket", "permission", "cold-start"];

const SYSTEMS: [(&str, Os); 3] =
    [(Os::Ios.name(), Os::Ios), (Os::Android.name(), Os::Android), (Os::Web.name(), Os::Web)];
const BUCKETS: [(&str, Bucket); 5] = [
    (Bucket::Active.name(), Bucket::Active),
    (Bucket::WorkingSet.name(), Bucket::WorkingSet),
    (Bucket::Frequent.name(), Bucket::Frequent),
    (Bucket::Rare.name(), Bucket::Rare),
    (Bucket::Restricted.name(), Bucket::Restricted),
];
const PERMISSIONS: [(&str, Permission); 3] = [
    (Permission::Granted.name(), Permission::Granted),
    (Permission::Denied.name(), Permission::Denied),
    (Permission::Unasked.name(), Permission::Unasked),
];
const MISSTEPS: [(&str, Misstep); 4] = [
    (Misstep::FailsToStart.name(), Misstep::FailsToStart),
    (Misstep::ConnectsLate.name(), Misstep::ConnectsLate),
    (Misstep::Crashes.name(), Misstep::Crashes),
    (Misstep::ReportsNothing.name(), Misstep::ReportsNothing),
];

/// Which systems know a key or a verb; absent: all.
const ONLY: [(&str, &[Os]); 4] = [
    ("bucket", &[Os::Android]),
    ("permission", &[Os::Ios, Os::Web]),
    ("doze", &[Os::Android]),
    ("reports-nothing", &[Os::Ios]),
];

const STARTS: (&str, &str) = ("0s", "60s");
const TIMES_MAX: u32 = 100;

/// The operating system of a phone, if it has one; inner nothing: it is badly described.
pub(super) fn device(table: &Table<'_>, f: &mut Findings<'_>) -> Option<Option<Device>> {
    let Some(said) = table.field("os") else {
        let strays = KEYS.iter().filter_map(|key| table.field(key));
        strays.for_each(|stray| without_os(&stray, f));
        return None;
    };
    let os = said.word(&SYSTEMS, f);
    let mut known = |key: &str| {
        let field = table.field(key)?;
        os.is_none_or(|os| knows(os, &field, key, f)).then_some(field)
    };
    let (bucket, permission) = (known("bucket"), known("permission"));
    let bucket = bucket.map_or(Some(Bucket::default()), |field| field.word(&BUCKETS, f));
    let permission =
        permission.map_or(Some(Permission::default()), |field| field.word(&PERMISSIONS, f));
    let cold_start = match table.field("cold-start") {
        Some(field) => field.duration(STARTS, f).map(Some),
        None => Some(None),
    };
    let all = || {
        let (os, bucket, permission) = (os?, bucket?, permission?);
        Some(Device { os, bucket, permission, cold_start: cold_start? })
    };
    Some(all())
}

/// The push service of a phone that has this operating system: the one it names, or the system's own.
pub(super) fn service(
    os: Os,
    said: Option<Field<'_>>,
    service: Option<Service>,
    f: &mut Findings<'_>,
) -> Option<Service> {
    let Some(field) = said else { return os.services().first().copied() };
    let named = service?;
    if !os.services().contains(&named) {
        let message = format!("`{}` reaches no phone with `os = \"{}\"`", named.name(), os.name());
        let reach = listed(os.services().iter().map(|service| service.name()), "or");
        let problem = field.problem(Code::WrongOs, message).label("not on this system");
        f.push(problem.help(format!("leave `push` out, or write {reach}")));
    }
    Some(named)
}

fn without_os(field: &Field<'_>, f: &mut Findings<'_>) {
    let message = format!("`{}` is of a phone with an operating system", field.key);
    let problem = field.problem(Code::WrongOs, message).label("this one has none");
    f.push(problem.help(format!("add `os = \"{}\"`", first_of(field.key).name())));
}

/// The system that stands in an example.
fn first_of(key: &str) -> Os {
    let only = ONLY.iter().find(|(known, _)| *known == key);
    only.and_then(|(_, systems)| systems.first()).copied().unwrap_or(Os::Android)
}

/// Whether this system has such a thing; says why not.
fn knows(os: Os, field: &Field<'_>, what: &str, f: &mut Findings<'_>) -> bool {
    let Some((_, systems)) = ONLY.iter().find(|(known, _)| *known == what) else { return true };
    if systems.contains(&os) {
        return true;
    }
    let message = format!("{} is nothing that `os = \"{}\"` knows", quoted(what), os.name());
    let names = listed(systems.iter().map(|os| os.name()), "and");
    let problem = field.problem(Code::WrongOs, message).label("not on this system");
    f.push(problem.help(format!("leave it out here; it is of {names}")));
    false
}

impl Verbs<'_, '_> {
    /// What is done to a phone that has an operating system.
    pub(super) fn device(
        &self,
        verb: Field<'_>,
        used: &Used<'_>,
        f: &mut Findings<'_>,
    ) -> Option<Verb> {
        let act = self.act(verb.key, f);
        let phone = self.names.phone(used, f)?;
        // What is wrong with the description of a phone is told there.
        let Some(os) = *self.names.systems.get(used.name)? else {
            let message = format!("{} has no operating system", quoted(used.name));
            let problem = Problem::new(Code::WrongOs, used.span.clone(), message);
            let os = first_of(verb.key).name();
            let example = format!("{} = {{ kind = \"phone\", os = \"{os}\" }}", used.name);
            f.push(problem.label("no `os`").help(format!("write `{example}`")));
            return None;
        };
        let how = self.step.field("how").filter(|_| verb.key == "misbehave");
        let word = how.and_then(|field| field.value.get_ref().as_str()).unwrap_or(verb.key);
        let fits = knows(os, &how.unwrap_or(verb), word, f);
        act.filter(|_| fits).map(|act| Verb::Device { phone, act })
    }

    fn act(&self, verb: &str, f: &mut Findings<'_>) -> Option<DeviceAct> {
        let mut lasts = |example| {
            let field = self.step.needed("lasts", example, f);
            field.and_then(|field| field.duration(("1ms", FOREVER), f))
        };
        Some(match verb {
            "background" => DeviceAct::Background,
            "foreground" => DeviceAct::Foreground,
            "force-stop" => DeviceAct::ForceStop,
            "lock" => DeviceAct::Lock,
            "unlock" => DeviceAct::Unlock,
            "airplane" => DeviceAct::Airplane { lasts: lasts("lasts = \"30s\"")? },
            "doze" => {
                let lasts = lasts("lasts = \"2h\"");
                let depth = self.step.needed("depth", "depth = \"deep\"", f);
                let deep = depth.and_then(|d| d.word(&[("light", false), ("deep", true)], f));
                DeviceAct::Doze { deep: deep?, lasts: lasts? }
            }
            "low-power" => DeviceAct::LowPower,
            _ => {
                let how = self.step.needed("how", "how = \"fails-to-start\"", f);
                let how = how.and_then(|field| field.word(&MISSTEPS, f));
                let times = match self.step.field("times") {
                    Some(field) => field.number(1..=TIMES_MAX, f),
                    None => Some(1),
                };
                DeviceAct::Misbehave { how: how?, times: times? }
            }
        })
    }
}

/// What stands in an example of this verb.
pub(super) fn example(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "background" => "background = \"bob\"",
        "foreground" => "foreground = \"bob\"",
        "force-stop" => "force-stop = \"bob\"",
        "lock" => "lock = \"bob\"",
        "unlock" => "unlock = \"bob\"",
        "airplane" => "airplane = \"bob\"",
        "doze" => "doze = \"bob\"",
        "low-power" => "low-power = \"bob\"",
        "misbehave" => "misbehave = \"bob\"",
        _ => return None,
    })
}
