//! A PostgreSQL server for the tests of this process, and a schema of its own for each that asks.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, NoTls};

/// It ends when its standard input does: with this process, whatever becomes of that.
struct Server {
    folder: String,
    _child: Child,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let name = format!("reveille-postgres-{}", std::process::id());
    let folder = std::env::temp_dir().join(name).to_string_lossy().into_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres");
    let mut child = Command::new(script)
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("scripts/postgres starts");
    let stdout = child.stdout.take().expect("it is piped");
    let mut said = String::new();
    BufReader::new(stdout).read_line(&mut said).expect("it speaks");
    assert_eq!(said, "ready\n", "PostgreSQL is needed: apt-get install postgresql");
    Server { folder, _child: child }
});

static SCHEMAS: AtomicU32 = AtomicU32::new(0);

/// The words that lead to an empty database.
pub(in super::super) fn database() -> String {
    let words = format!("host={} user=reveille dbname=postgres", SERVER.folder);
    let schema = format!("test{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    let mut client = Client::connect(&words, NoTls).expect("the server answers");
    client.batch_execute(&format!("CREATE SCHEMA {schema}")).expect("a schema");
    format!("{words} options='-c search_path={schema}'")
}

/// All that stands in the database that these words lead to.
pub(in super::super) fn dump(words: &str) -> String {
    let mut client = Client::connect(words, NoTls).expect("the server answers");
    let mut dump = String::new();
    for table in ["sessions", "calls", "messages", "leases", "lost"] {
        let rows = client.query(&format!("SELECT {table}::text FROM {table}"), &[]);
        for row in rows.expect("a table") {
            dump.push_str(row.get(0));
            dump.push('\n');
        }
    }
    dump
}

/// Lets every lease in it run out.
pub(in super::super) fn lapse(words: &str) {
    let mut client = Client::connect(words, NoTls).expect("the server answers");
    client.batch_execute("UPDATE leases SET until = '-infinity'").expect("a table");
}
