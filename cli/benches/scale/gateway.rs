//! The gateway under measurement: a process on a core of its own.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The gateway alone runs here.
pub(crate) const GATEWAY_CORE: usize = 0;
/// Everything else runs here.
pub(crate) const LOAD_CORE: usize = 1;

/// Ticks of `/proc/<pid>/stat` in a second (`getconf CLK_TCK` on every Linux there is).
const TICKS: f64 = 100.0;

/// Puts a process on one core. Without `taskset` it stays where it is, and the table says so.
pub(crate) fn pin(process: u32, core: usize) -> bool {
    let done = Command::new("taskset")
        .args(["-a", "-cp", &core.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    done.is_ok_and(|status| status.success())
}

/// The addresses that a gateway is reached at.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    pub(crate) sip: String,
    pub(crate) web: String,
    pub(crate) push: String,
    /// Where sessions are registered; `None`: nowhere.
    pub(crate) registrar: Option<String>,
}

impl Ports {
    /// Ports that were free a moment ago.
    pub(crate) fn free() -> Self {
        let tcp = || {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            socket.local_addr().expect("an address").to_string()
        };
        let udp = || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.local_addr().expect("an address").to_string()
        };
        Self { sip: udp(), web: tcp(), push: tcp(), registrar: Some(udp()) }
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    child: Child,
    folder: TempDir,
    pub(crate) ports: Ports,
    pub(crate) pinned: bool,
}

impl Gateway {
    /// Starts one for so many users.
    pub(crate) fn start(engine: &str, ports: Ports, users: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("gateway.toml"), config(engine, &ports, users))
            .expect("the configuration is written");
        let child = spawn(folder.path());
        let pinned = pin(child.id(), GATEWAY_CORE);
        let gateway = Self { child, folder, ports, pinned };
        gateway.wait();
        gateway
    }

    /// Kills it, and starts it again on the same fabric. Returns how long it took to answer.
    pub(crate) fn restart(&mut self) -> Duration {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        let begun = Instant::now();
        self.child = spawn(self.folder.path());
        self.pinned = pin(self.child.id(), GATEWAY_CORE);
        self.wait();
        begun.elapsed()
    }

    /// Until it takes connections.
    fn wait(&self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(&self.ports.web).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(120), "the gateway does not start");
            std::thread::yield_now();
        }
    }

    /// Seconds of processor time it has used.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s(&self.child.id().to_string())
    }

    /// Bytes of resident memory.
    pub(crate) fn resident(&self) -> u64 {
        status(self.child.id(), "VmRSS:") * 1_024
    }

    /// Open sockets.
    pub(crate) fn sockets(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// Size of the fabric's file.
    pub(crate) fn file_bytes(&self) -> u64 {
        let file = self.folder.path().join("fabric.redb");
        std::fs::metadata(file).map_or(0, |meta| meta.len())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ended: bool = self.child.kill().is_err();
        let _reaped: bool = self.child.wait().is_err();
    }
}

fn spawn(folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("gateway.log")).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(["serve", "gateway", "--config", "gateway.toml"])
        .env("RUST_LOG", "warn")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the binary runs")
}

fn config(engine: &str, ports: &Ports, users: usize) -> String {
    let Ports { sip, web, push, registrar } = ports;
    let mut text = format!(
        "[node]\ndomains = [\"example.com\"]\nadvertised = \"{sip}\"\n\
         [sip]\nudp = \"{sip}\"\ntcp = \"\"\n\
         [websocket]\nlisten = \"{web}\"\ndefault-app = \"phone\"\nmost-sockets-per-ip = 100000\n\
         connects-per-second-per-ip = 1000000\nconnects-per-second-per-user = 1000000\n\
         [fabric]\nengine = \"{engine}\"\npath = \"fabric.redb\"\n\
         [push]\nmost-in-flight = 256\n\
         [session]\nmost-sessions = 1000000\n\
         [[application]]\napp = \"phone\"\nprovider = \"webhook\"\nid = \"bench\"\n\
         url = \"http://{push}/\"\n"
    );
    if let Some(address) = registrar {
        write!(text, "[registrar]\nuri = \"sip:example.com\"\naddress = \"{address}\"\n")
            .expect("a String takes every write");
    }
    for user in 0..users {
        write!(
            text,
            "[[user]]\naor = \"u{user}@example.com\"\nusername = \"u{user}\"\nsecret = \"s\"\n"
        )
        .expect("a String takes every write");
    }
    text
}

/// Seconds of processor time that a process (or `self`) has used.
pub(crate) fn cpu_s(process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in brackets may hold spaces; after it come the fields from the third on.
    let rest = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: f64 =
        rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / TICKS
}

fn status(process: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
