//! Two gateways over one PostgreSQL, and the one that parked a call is killed: the other pushes for it,
//! has its app, and answers its caller.

use std::io::{self, BufRead as _, BufReader};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use reveille_trace::Kind;

use crate::bench::{Bench, Process, free_port};
use crate::kill::{is_response, text, to_tags};

/// A PostgreSQL server that ends with its standard input: with this test, whatever becomes of it.
struct Database {
    folder: String,
    _server: Child,
}

static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Database {
    fn start() -> Self {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("reveille-nodes-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name).to_string_lossy().into_owned();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/postgres");
        let mut server = Command::new(script)
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/postgres starts");
        let stdout = server.stdout.take().expect("it is piped");
        let mut said = String::new();
        BufReader::new(stdout).read_line(&mut said).expect("it speaks");
        assert_eq!(said, "ready\n", "PostgreSQL is needed: apt-get install postgresql");
        Self { folder, _server: server }
    }
}

/// A bench with a second gateway, to which the caller turns; the phone turns to the first.
struct Nodes {
    bench: Bench,
    _database: Database,
    second_ws: u16,
}

impl Nodes {
    fn new(transport: &str) -> Self {
        let (mut bench, database) = (Bench::new(), Database::start());
        let (second_sip, second_ws) = (free_port(), free_port());
        bench.set_phone(20);
        for (name, sip, ws) in
            [("gateway", bench.sip, bench.ws), ("gateway-2", second_sip, second_ws)]
        {
            let folder = &database.folder;
            let fabric = format!(
                "engine = \"postgres\"\ndatabase = \"host={folder} user=reveille dbname=postgres\"\n\
                 clear = true\n[cluster]\nlease = \"3s\"\n"
            );
            bench.write_gateway(name, sip, ws, &format!("name = \"{name}\"\n"), &fabric);
        }
        bench.set_push("answer = [\"drop\"]\n");
        bench.sip = second_sip;
        bench.set_caller(transport, 0);
        Self { bench, _database: database, second_ws }
    }

    fn start(&self, name: &str) -> Process {
        Process::start("gateway", &self.bench.folder, name)
    }

    /// The first node's port for apps leads to the second from now on, as a balancer would have it.
    fn balance(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.bench.ws)).expect("its port is free");
        let to = self.second_ws;
        beside(move || {
            for came in listener.incoming().map_while(Result::ok) {
                let onward = TcpStream::connect(("127.0.0.1", to)).expect("the second node");
                let back = (onward.try_clone().expect("a socket"), came.try_clone().expect("one"));
                pass(came, onward);
                pass(back.0, back.1);
            }
        });
    }
}

/// Returns once somebody listens: who dials once must not be early.
fn until_open(port: u16) {
    let open = (0..1_000_000).any(|_| {
        std::thread::yield_now();
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    assert!(open, "nobody listens at port {port}");
}

fn beside(work: impl FnOnce() + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "a test may pass bytes on by a thread")]
    std::thread::spawn(work);
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    beside(move || {
        // An end of either is an end of both.
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Both));
        drop(from.shutdown(Shutdown::Both));
    });
}

fn survives(transport: &str) {
    let nodes = Nodes::new(transport);
    let _registrar = nodes.bench.start("registrar");
    let _push = nodes.bench.start("push");
    let mut first = nodes.start("gateway");
    let phone = nodes.bench.start("phone");
    phone.wait_for_state("hibernated");
    let second = nodes.start("gateway-2");
    until_open(nodes.bench.sip);
    let caller = nodes.bench.start("caller");
    let mut heard = caller.wait_for("100", |event| is_response(event, "100", "INVITE"));
    first.wait_for("the push, which is lost", |event| event.kind == Kind::PushOutcome);
    first.kill();
    nodes.balance();
    second.wait_for("its own push", |event| event.kind == Kind::PushSent);
    heard.extend(caller.wait_for("200", |event| is_response(event, "200", "INVITE")));
    heard.extend(caller.wait_for("200 to BYE", |event| is_response(event, "200", "BYE")));
    let app = phone.wait_for("the end of the call", |event| {
        event.kind == Kind::RtcReceived && text(event).contains("\"shutdown\"")
    });
    let finals = heard.iter().filter(|event| {
        ["200", "480", "487", "500", "503"].iter().any(|it| is_response(event, it, "INVITE"))
    });
    assert_eq!(finals.count(), 1, "one final response");
    assert_eq!(to_tags(&heard).len(), 1, "one To tag before and after");
    let rings = app.iter().filter(|event| event.kind == Kind::AppAlerted).count();
    assert_eq!(rings, 1, "the app alerts once");
}

#[test]
fn udp_a_call_outlives_the_node_that_parked_it() {
    survives("udp");
}

#[test]
fn tcp_a_call_outlives_the_node_that_parked_it() {
    survives("tcp");
}

#[test]
fn a_node_that_was_stopped_for_longer_than_its_lease_says_nothing_more() {
    let nodes = Nodes::new("udp");
    nodes.bench.set_push("answer = [\"drop\", \"drop\"]\n");
    let _registrar = nodes.bench.start("registrar");
    let _push = nodes.bench.start("push");
    let mut first = nodes.start("gateway");
    let phone = nodes.bench.start("phone");
    phone.wait_for_state("hibernated");
    let second = nodes.start("gateway-2");
    until_open(nodes.bench.sip);
    let caller = nodes.bench.start("caller");
    caller.wait_for("100", |event| is_response(event, "100", "INVITE"));
    first.wait_for("the push, which is lost", |event| event.kind == Kind::PushOutcome);
    first.signal("STOP");
    second.wait_for("its own push", |event| event.kind == Kind::PushSent);
    drop(first.so_far());
    first.signal("CONT");
    let (said, end) = first.wait_for_the_end();
    assert!(!end.success(), "its supervisor starts it again");
    let said = said.iter().filter(|event| matches!(event.kind, Kind::SipSent | Kind::PushSent));
    assert_eq!(said.count(), 0, "what it had is another's");
    let log = std::fs::read_to_string(nodes.bench.folder.path().join("gateway.log"));
    let log = log.expect("its words");
    assert!(log.contains("the lease ran out"), "{log}");
}
