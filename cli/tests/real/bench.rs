//! Processes of the house, their configurations, and what they report while they run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reveille_trace::{Event, Kind};
use tempfile::TempDir;

/// Nothing in these tests takes this long; beyond it, something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a port that is to be opened is tried: a minute of refusals, and more.
const TRIES: u32 = 10_000_000;

/// A running process that writes its events to its standard output.
pub(crate) struct Process {
    who: &'static str,
    child: Child,
    events: Receiver<Event>,
}

impl Process {
    pub(crate) fn start(who: &'static str, folder: &TempDir, name: &str) -> Self {
        let config = folder.path().join(format!("{name}.toml"));
        // What it says to people would drown what the tests say.
        let words = File::create(folder.path().join(format!("{name}.log"))).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_reveille"))
            .args(["serve", who, "--trace", "-", "--config"])
            .arg(config)
            .env("RUST_LOG", "warn")
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(words)
            .spawn()
            .expect("the binary runs");
        let out = BufReader::new(child.stdout.take().expect("its output is ours"));
        let (send, events) = channel();
        #[expect(clippy::disallowed_methods, reason = "a test may wait for a process on a thread")]
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok).skip(1) {
                let event = serde_json::from_str(&line).expect("an event");
                if send.send(event).is_err() {
                    return;
                }
            }
        });
        Self { who, child, events }
    }

    /// Waits for an event; gives everything that came up to it.
    pub(crate) fn wait_for(&self, what: &str, is_it: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            let event = self.events.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                let kinds: Vec<_> = seen.iter().map(|e: &Event| e.kind.name()).collect();
                panic!("{}: {what} did not come; it saw {kinds:?}", self.who)
            });
            let found = is_it(&event);
            seen.push(event);
            if found {
                return seen;
            }
        }
    }

    /// What came and was not waited for.
    pub(crate) fn so_far(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }

    /// Waits until it ends by itself: what it still said, and how it ended.
    pub(crate) fn wait_for_the_end(&mut self) -> (Vec<Event>, ExitStatus) {
        let mut seen = Vec::new();
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => seen.push(event),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{} does not end", self.who),
            }
        }
        (seen, self.child.wait().expect("its output has ended"))
    }

    pub(crate) fn wait_for_state(&self, state: &str) -> Vec<Event> {
        self.wait_for(state, |e| e.kind == Kind::AppState && e.text("state") == Some(state))
    }

    /// `kill -NAME`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it is over");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be over already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ports that were given away. Tests run beside each other, and who has one opens it only later.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that was free a moment ago, for UDP and TCP, and is given to nobody else here.
pub(crate) fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = tcp.local_addr().expect("its address").port();
        let is_free = UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if is_free && GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port;
        }
    }
}

/// The ports and files of one test.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) sip: u16,
    pub(crate) ws: u16,
    registrar: u16,
    push: u16,
    pub(crate) devices: u16,
    caller: u16,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [sip, ws, registrar, push, devices, caller] = [(); 6].map(|()| free_port());
        let bench = Self { folder, sip, ws, registrar, push, devices, caller };
        bench.write_configurations();
        bench
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(format!("{name}.toml")), text).expect("written");
    }

    /// Writes more behind the gateway's configuration.
    pub(crate) fn add_to_gateway(&self, more: &str) {
        let path = self.folder.path().join("gateway.toml");
        let text = std::fs::read_to_string(&path).expect("written");
        std::fs::write(path, text + more).expect("written");
    }

    fn write_configurations(&self) {
        let Self { sip, ws, registrar, push, devices, .. } = self;
        let fabric = self.folder.path().join("fabric.redb");
        let fabric = format!("engine = \"redb\"\npath = \"{}\"\n", fabric.display());
        self.write_gateway("gateway", *sip, *ws, "", &fabric);
        self.write(
            "registrar",
            &format!(
                "listen = \"127.0.0.1:{registrar}\"\n[[user]]\nusername = \"bob\"\nsecret = \"s\"\n"
            ),
        );
        let push_config =
            format!("listen = \"127.0.0.1:{push}\"\ndevices = \"127.0.0.1:{devices}\"\n");
        self.write("push", &push_config);
        self.set_phone(20);
    }

    /// A gateway of this name at these ports; `node` and `fabric` stand in their sections.
    pub(crate) fn write_gateway(&self, name: &str, sip: u16, ws: u16, node: &str, fabric: &str) {
        let Self { registrar, push, .. } = self;
        self.write(
            name,
            &format!(
                "[node]\nadvertised = \"127.0.0.1:{sip}\"\n{node}\
                 [sip]\nudp = \"127.0.0.1:{sip}\"\ntcp = \"127.0.0.1:{sip}\"\n\
                 [websocket]\nlisten = \"127.0.0.1:{ws}\"\n\
                 [fabric]\n{fabric}\
                 [registrar]\nuri = \"sip:example.com\"\naddress = \"127.0.0.1:{registrar}\"\n\
                 [[user]]\naor = \"bob@example.com\"\nusername = \"bob\"\nsecret = \"s\"\n\
                 [[application]]\napp = \"app\"\nprovider = \"webhook\"\n\
                 id = \"com.example.app\"\nurl = \"http://127.0.0.1:{push}/\"\n"
            ),
        );
    }

    /// A phone that goes to sleep whenever it can and answers so long after it rings.
    pub(crate) fn set_phone(&self, answer_after_ms: u64) {
        let Self { ws, devices, .. } = self;
        self.write(
            "phone",
            &format!(
                "gateway = \"127.0.0.1:{ws}\"\naddress = \"bob@example.com\"\nuser = \"bob\"\n\
                 secret = \"s\"\npush = \"127.0.0.1:{devices}\"\ntoken = \"tok-1\"\n\
                 resleeps = true\nconduct = {{ answer = {{ after-ms = {answer_after_ms} }} }}\n"
            ),
        );
    }

    /// A push service with these answers.
    pub(crate) fn set_push(&self, answers: &str) {
        let Self { push, devices, .. } = self;
        let at = format!("listen = \"127.0.0.1:{push}\"\ndevices = \"127.0.0.1:{devices}\"\n");
        self.write("push", &(at + answers));
    }

    /// A push service whose pushes take that long.
    pub(crate) fn set_push_delay(&self, delay_ms: u64) {
        let Self { push, devices, .. } = self;
        self.write(
            "push",
            &format!(
                "listen = \"127.0.0.1:{push}\"\ndevices = \"127.0.0.1:{devices}\"\n\
                 [[answer]]\ndelay = {{ delay-ms = {delay_ms} }}\n"
            ),
        );
    }

    /// A caller that places one call and hangs up a moment after the answer that it hears.
    pub(crate) fn set_caller(&self, transport: &str, lost_answers: u32) {
        let Self { sip, caller, .. } = self;
        self.write(
            "caller",
            &format!(
                "listen = \"127.0.0.1:{caller}\"\nadvertise = \"127.0.0.1\"\n\
                 gateway = \"127.0.0.1:{sip}\"\ntransport = \"{transport}\"\n\
                 [[call]]\nmark = \"c1\"\nto = \"sip:bob@example.com\"\n\
                 hang-up-after-ms = 300\nlost-answers = {lost_answers}\n"
            ),
        );
    }

    pub(crate) fn start(&self, who: &'static str) -> Process {
        Process::start(who, &self.folder, who)
    }

    /// Starts whoever an app needs, and gives them when they listen to it.
    pub(crate) fn start_for_apps(&self) -> [Process; 3] {
        let started = ["registrar", "push", "gateway"].map(|who| self.start(who));
        for port in [self.registrar, self.devices, self.ws] {
            let listens = |_: &u32| TcpStream::connect(("127.0.0.1", port)).is_ok();
            let tried = (0..TRIES).inspect(|_| std::thread::yield_now()).find(listens);
            assert!(tried.is_some(), "nobody listens at port {port}");
        }
        started
    }

    /// TCP connections that this machine holds to the gateway's WebSocket.
    pub(crate) fn app_sockets(&self) -> usize {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
        let port = format!(":{:04X}", self.ws);
        let to_gateway = |line: &&str| {
            let mut columns = line.split_whitespace().skip(2);
            columns.next().is_some_and(|remote| remote.ends_with(&port))
                && columns.next() == Some("01")
        };
        table.lines().skip(1).filter(to_gateway).count()
    }
}
