use reveille_reports::format::json::{read, write};
use reveille_trace::Run;

use crate::sample::run;

#[test]
fn a_run_read_back_is_the_same_run() {
    let text = write(&run()).unwrap();
    assert!(text.starts_with("{\n  \"schema\": 1,\n") && text.ends_with("}\n"));
    // When it began stands in a file of its own.
    assert_eq!(read(&text).unwrap(), Run { started: String::new(), ..run() });
    assert_eq!(write(&read(&text).unwrap()).unwrap(), text);
}

#[test]
fn another_version_is_refused_by_name_before_its_fields_are_read() {
    let text = write(&run()).unwrap().replacen(r#""schema": 1"#, r#""schema": 7, "later": 1"#, 1);
    let error = read(&text).unwrap_err().to_string();
    assert!(error.contains("`schema` is 7") && error.contains("reads 1"), "{error}");
}

#[test]
fn what_is_no_run_is_refused_with_its_place() {
    for text in ["", "[]", "{\"schema\": 1}", "{\"schema\": 1, \"unknown\": 2}"] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with("run.json: ") && error.contains("line 1"), "{text}: {error}");
    }
}
