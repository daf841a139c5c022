//! What can be asked of the operator's port.

use hyper::{Method, StatusCode};

use super::problem::Problem;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Health,
    Ready,
    Metrics,
    OpenApi,
    Applications,
    Providers,
    Sessions,
    Session,
    EndSession,
    Sleepers,
    Calls,
    Drain,
    Reload,
}

impl Page {
    /// True for what anyone may ask who reaches the port: it says no more than whether it runs.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// Parameters that may stand behind `?`.
    pub(super) const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Sessions => &["limit", "cursor", "user", "app", "state"],
            Self::Sleepers => &["limit", "cursor", "user", "app"],
            Self::Calls => &["limit", "cursor"],
            _ => &[],
        }
    }
}

/// Every route; `{id}` stands for one segment.
pub(super) const ROUTES: &[(&str, &str, Page)] = &[
    ("GET", "/healthz", Page::Health),
    ("GET", "/readyz", Page::Ready),
    ("GET", "/metrics", Page::Metrics),
    ("GET", "/admin/v1/openapi.json", Page::OpenApi),
    ("GET", "/admin/v1/applications", Page::Applications),
    ("GET", "/admin/v1/providers", Page::Providers),
    ("GET", "/admin/v1/sessions", Page::Sessions),
    ("GET", "/admin/v1/sessions/{id}", Page::Session),
    ("DELETE", "/admin/v1/sessions/{id}", Page::EndSession),
    ("GET", "/admin/v1/sleepers", Page::Sleepers),
    ("GET", "/admin/v1/calls", Page::Calls),
    ("POST", "/admin/v1/drain", Page::Drain),
    ("POST", "/admin/v1/reload", Page::Reload),
];

/// The page of a request, its route, and the segment that stood for `{id}`.
pub(super) fn find<'a>(
    method: &Method,
    path: &'a str,
) -> Result<(Page, &'static str, &'a str), Problem> {
    let here: Vec<_> =
        ROUTES.iter().filter_map(|route| Some((route, segment(route.1, path)?))).collect();
    if here.is_empty() {
        let what = "no such path; GET /admin/v1/openapi.json shows what there is";
        return Err(Problem::new(StatusCode::NOT_FOUND, what));
    }
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let found = here.iter().find(|((allowed, ..), _)| *allowed == method);
    let Some(((_, route, page), id)) = found else {
        let allowed: Vec<_> = here.iter().map(|((allowed, ..), _)| *allowed).collect();
        let allowed = allowed.join(", ");
        let what = format!("this path takes no such method; use {allowed}");
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, what);
        return Err(problem.with_header("allow", &allowed));
    };
    Ok((*page, route, id))
}

/// What stands for `{id}`, if the path is of this route; empty without one.
fn segment<'a>(route: &str, path: &'a str) -> Option<&'a str> {
    match route.strip_suffix("{id}") {
        None => (route == path).then_some(""),
        Some(before) => path.strip_prefix(before).filter(|id| !id.is_empty() && !id.contains('/')),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_names_every_route_and_no_other() {
        let document: Value = serde_json::from_str(super::super::serve::OPENAPI).expect("JSON");
        assert_eq!(document["openapi"], "3.1.0");
        let paths = document["paths"].as_object().expect("paths");
        let mut written = BTreeSet::new();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().expect("methods") {
                written.insert((method.to_uppercase(), path.clone()));
                check_operation(&document, path, method, operation);
            }
        }
        let served =
            ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
        assert_eq!(written, served.collect());
    }

    fn check_operation(document: &Value, path: &str, method: &str, operation: &Value) {
        assert!(operation["summary"].is_string(), "{path}");
        assert!(operation["responses"].is_object(), "{path}");
        let (page, ..) =
            find(&method.to_uppercase().parse().expect("a method"), path).expect("served");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let resolved = parameters.iter().map(|parameter| resolve(document, parameter));
        let named: BTreeSet<_> = resolved
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
            .collect();
        let taken = page.parameters().iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(named, taken, "{path}");
        assert_eq!(operation["security"] == serde_json::json!([]), page.is_open(), "{path}");
    }

    /// What a reference points at.
    fn resolve(document: &Value, it: &Value) -> Value {
        match it["$ref"].as_str() {
            Some(at) => document.pointer(at.trim_start_matches('#')).expect(at).clone(),
            None => it.clone(),
        }
    }

    #[test]
    fn every_reference_of_the_document_points_at_something() {
        fn walk(document: &Value, it: &Value) {
            match it {
                Value::Object(members) => {
                    resolve(document, it);
                    members.values().for_each(|member| walk(document, member));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(super::super::serve::OPENAPI).expect("JSON");
        walk(&document, &document);
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        let status = |method: Method, path: &str| find(&method, path).err().map(|it| it.status);
        for path in ["/", "/healthz/", "/admin/v1/sessions/", "/admin/v1/sessions/a/b"] {
            assert_eq!(status(Method::GET, path), Some(StatusCode::NOT_FOUND), "{path}");
        }
        assert_eq!(status(Method::GET, "/admin/v1/drain"), Some(StatusCode::METHOD_NOT_ALLOWED));
        assert_eq!(status(Method::HEAD, "/healthz"), None);
        let found = find(&Method::DELETE, "/admin/v1/sessions/abc").expect("a route");
        assert_eq!((found.0, found.2), (Page::EndSession, "abc"));
    }
}
