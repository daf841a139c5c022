//! The answers are what the document says: each member is there, of its type, and no other.

use serde_json::{Value, json};

use super::rig::{PLAIN, Rig};

struct Document(Value);

impl Document {
    fn resolve<'a>(&'a self, it: &'a Value) -> &'a Value {
        match it["$ref"].as_str() {
            Some(at) => self.0.pointer(at.trim_start_matches('#')).expect(at),
            None => it,
        }
    }

    /// What is wrong with a value, by JSON Schema as far as the document uses it.
    fn fault(&self, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let schema = self.resolve(schema);
        if let Some(all) = schema["allOf"].as_array() {
            let joined = all.iter().map(|part| self.resolve(part));
            let members: serde_json::Map<_, _> = joined
                .filter_map(|part| part["properties"].as_object())
                .flatten()
                .map(|(name, member)| (name.clone(), member.clone()))
                .collect();
            return self.fault(&json!({"type": "object", "properties": members}), value, at);
        }
        if let Some(one) = schema["oneOf"].as_array() {
            let faults: Option<Vec<_>> = one.iter().map(|it| self.fault(it, value, at)).collect();
            return faults.map(|faults| faults.join(" or "));
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            one => vec![one.clone()],
        };
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !types.iter().any(|it| it == is) {
            return Some(format!("{at} is of type {is}"));
        }
        if let Some(allowed) = schema["enum"].as_array().filter(|them| !them.contains(value)) {
            return Some(format!("{at} is none of {allowed:?}"));
        }
        let items = value.as_array().into_iter().flatten();
        let mut faults = items.filter_map(|it| self.fault(&schema["items"], it, at));
        faults.next().or_else(|| self.fault_of_members(schema, value, at))
    }

    fn fault_of_members(&self, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let members = value.as_object()?;
        let known = schema["properties"].as_object()?;
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().expect("a name");
            if !members.contains_key(name) {
                return Some(format!("{at}.{name} is missing"));
            }
        }
        members.iter().find_map(|(name, value)| {
            let at = format!("{at}.{name}");
            match known.get(name) {
                Some(schema) => self.fault(schema, value, &at),
                None => Some(format!("{at} is unknown")),
            }
        })
    }
}

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let rig = Rig::start(PLAIN).await;
    let document = Document(rig.get("/admin/v1/openapi.json").await);
    let asleep = rig.asleep("bob", "tok").await;
    let (_kept, _) = rig.connect("eve", "tok-of-eve").await;
    rig.call("bob", "one").await;
    let session = format!("/admin/v1/sessions/{asleep}");
    let mut seen = 0;
    for (method, path, target, status) in [
        ("get", "/healthz", "/healthz", 200),
        ("get", "/readyz", "/readyz", 200),
        ("get", "/admin/v1/applications", "/admin/v1/applications", 200),
        ("get", "/admin/v1/providers", "/admin/v1/providers", 200),
        ("get", "/admin/v1/sessions", "/admin/v1/sessions", 200),
        ("get", "/admin/v1/sessions", "/admin/v1/sessions?limit=x", 400),
        ("get", "/admin/v1/sessions/{id}", &session, 200),
        ("get", "/admin/v1/sessions/{id}", "/admin/v1/sessions/x", 404),
        ("get", "/admin/v1/sleepers", "/admin/v1/sleepers", 200),
        ("get", "/admin/v1/calls", "/admin/v1/calls", 200),
        ("post", "/admin/v1/reload", "/admin/v1/reload", 200),
        ("delete", "/admin/v1/sessions/{id}", &session, 202),
        ("post", "/admin/v1/drain", "/admin/v1/drain", 202),
        ("get", "/readyz", "/readyz", 503),
    ] {
        let reply = rig.ask(&method.to_uppercase(), target).await;
        assert_eq!(reply.status, status, "{target}: {reply:?}");
        let answers = &document.0["paths"][path][method]["responses"];
        let answer = document.resolve(&answers[status.to_string()]);
        let (kind, content) =
            answer["content"].as_object().and_then(|all| all.iter().next()).expect("a content");
        assert!(reply.head.contains(&format!("content-type: {kind}")), "{target}: {reply:?}");
        let fault = document.fault(&content["schema"], &reply.json(), "answer");
        assert_eq!(fault, None, "{target}: {}", reply.body);
        seen += reply.body.matches("\"call_id\"").count();
    }
    assert_eq!(seen, 2, "the call was seen in both lists");
    rig.write("[sip]", "[sp]");
    let reply = rig.ask("POST", "/admin/v1/reload").await;
    let faults = json!({"$ref": "#/components/schemas/Faults"});
    assert_eq!(document.fault(&faults, &reply.json(), "answer"), None, "{}", reply.body);
}
