//! The example that documents every key.

/// A complete configuration: every key with its meaning and its default. What has no default is
/// commented out.
#[must_use]
pub const fn print_config() -> &'static str {
    EXAMPLE
}

/// The example's line for a key; for none, the section's own.
pub(super) fn line_of(section: &str, key: &str) -> Option<&'static str> {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest,
        _ => line,
    });
    let mut inside =
        lines.skip_while(|line| !line.starts_with('[') || line.trim_matches(['[', ']']) != section);
    let header = inside.next()?;
    if key.is_empty() {
        return Some(header);
    }
    let mut own = inside.take_while(|line| !line.starts_with('['));
    own.find(|line| line.split_once(" = ").is_some_and(|(name, _)| name == key))
}

const EXAMPLE: &str = r#"# A gateway of Reveille. Every key is shown with its default; what has none is commented out.
# Times are a number and a unit: "500ms", "30s", "2m", "1h", "7d".

[node]
# This node's name in the fabric.
name = "node-1"
# Domains whose users are ours.
domains = ["example.com"]
# host:port that SIP peers reach this node at; it stands in Contact and Via.
advertised = "127.0.0.1:5060"
# The same for TLS, if it is not that host and the port of sip.tls.
#advertised-tls = "127.0.0.1:5061"

[sip]
# Where SIP is received, address:port; "" for none.
udp = "0.0.0.0:5060"
tcp = "0.0.0.0:5060"
tls = ""
# SIP in WebSockets (RFC 7118), and inside TLS; and the origins that it may come from, empty: all.
ws = ""
wss = ""
origins = []
# PEM files for TLS: the certificate and those that lead to its root, and its key. Shown to peers
# that we dial as well.
#certificate-file = "/etc/reveille/sip.pem"
#key-file = "/etc/reveille/sip.key"
# Authorities of which whoever dials must show a certificate; without: nobody must.
#client-ca-file = "/etc/reveille/peers-ca.pem"
# Base times of RFC 3261, Appendix A.
t1 = "500ms"
t2 = "4s"
t4 = "5s"

[websocket]
# Where apps connect, address:port; "" for none. The path is /ws/webrtc/{application}.
listen = "0.0.0.0:8080"
# With these, in PEM, apps connect by wss://.
#certificate-file = "/etc/reveille/web.pem"
#key-file = "/etc/reveille/web.key"
# The application of the path /chat.
default-app = "phone"
# Origins that may connect; empty: all.
origins = []
# Sockets in all, and from one address.
most-sockets = 100000
most-sockets-per-ip = 10000
# Upgrades in a second from one address, of IPv6 from one /64, and of one user; beyond: 429.
connects-per-second-per-ip = 200
connects-per-second-per-user = 10
# A socket that says nothing for this long is dead: with no call, and with one.
idle-limit = "30s"
busy-limit = "9s"
# How long an app may take to close after it was allowed to sleep.
close-wait = "5s"

[fabric]
# Where records survive: "redb", a file; "postgres", a database that several nodes share; or
# "memory", which loses them with the process.
engine = "redb"
# The file of "redb".
path = "reveille.redb"
# The database of "postgres", by a unix socket or on loopback, and what it asks for.
#database = "host=/run/postgresql dbname=reveille user=reveille"
#password-file = "/etc/reveille/database"
# password-env = "REVEILLE_DATABASE"
# What seals the records in that file: the first key seals, all open. None: the key in the file
# that is named like the database with .key behind, made at the first start.
# keys = [{ id = "2026-11", file = "/etc/reveille/2026-11.key" }, { id = "2026-05", env = "OLD" }]
keys = []
# Without keys: write records in clear. With keys: take records in clear as well, and seal them.
clear = false

# Nodes that share the database: node.name is this one's among them.
[cluster]
# host:port at which the others reach this node, by UDP and TCP; without it node.advertised.
# address = "10.0.0.1:5060"
# How long a node owns its sessions after it last said that it lives.
lease = "10s"

[push]
# How long connecting to a push service, and a request to it, may take.
connect-limit = "3s"
request-limit = "5s"
# Requests under way at once, for each provider; a quarter of them is kept for calls.
most-in-flight = 64
# A push service that fails so often in a row (0: whatever it does) is left alone for so long:
# pushes to it fail at once, until one that is let through finds it back.
circuit-failures = 5
circuit-open = "5s"
# Earliest times of the attempts after the call came; one follows only if the one before failed.
attempts = ["0s", "1s", "3s"]

[call]
# How long a call waits for its app: 5s to 150s.
wake-budget = "30s"
# What the caller hears meanwhile: 183, 182, or "none" (only with a budget of at most 60s).
hold-code = 183
# Longest gap between two provisional responses to a waiting caller, at most 60s.
provisional-every = "55s"
# How long the app may ring.
ring-deadline = "2m"
# A call that an app placed is cancelled after this long without a sign of the one called (Timer C).
no-answer = "185s"
# How long an app may take to complete a call that was answered, and to answer an UPDATE.
complete-wait = "20s"
update-wait = "10s"
# Whether REFER (RFC 3515) is given to apps as package "refer", and wakes them; false: 405.
refer = true
# Session timer asked for, and granted at most (RFC 4028).
session-timer = "1h"
# An app that says nothing for this long after it was given a call is woken again.
start-silence = "3s"
# Undecided calls of one session; beyond: 503.
most-pending = 64
# Take calls whose offer is still to come, an INVITE without SDP; if not: 488.
late-offer = true

[message]
# How long the sender of a MESSAGE waits for the app's answer before 202, 0s to 20s; 0s: 202 as soon
# as the message is stored.
wait = "5s"
# Messages of one session that its app has not confirmed; beyond: 503.
most-stored = 64
# Longest body in bytes, at most 8192; beyond: 413.
most-bytes = 8192
# Whether news of a subscription (NOTIFY) wakes an app, by a push of low priority where there is
# one.
notify-wakes = false

[session]
# How long a lost connection may come back before the session counts as asleep.
grace = "60s"
# Whose calls and messages are pushed for meanwhile: "native", of all but web apps; "all" or "none".
push-on-disconnect = "native"
# How long a session may sleep: if the app asks for nothing, at least, at most.
ttl-default = "1d"
ttl-min = "60s"
ttl-max = "7d"
# Sessions of this node.
most-sessions = 100000
# Allow sleep to an app that has no device token and cannot be woken.
sleep-without-token = false
# An app that says nothing for this long and has no call is asked to sleep; "0s": never.
ask-sleep-after = "0s"
# Frames of the app, and time, after which it is sent an acknowledgement.
acknowledge-frames = 8
acknowledge-after = "1s"

# Where operators look and steer; without this section, nowhere. docs/operations.md says what is
# there.
#[admin]
# address:port, beside the ports of peers and apps.
#listen = "127.0.0.1:8090"
# What a request must show as a bearer token: token-file, token-env, a variable, or token itself.
# May be left out if the address is of this machine only.
#token-file = "/etc/reveille/admin.token"
# Certificates and key in PEM; without them the port speaks plain HTTP.
#certificate-file = "/etc/reveille/admin.crt"
#key-file = "/etc/reveille/admin.key"

# Where sessions are registered; without this section, nowhere.
#[registrar]
# The domain, as a sip: URI.
#uri = "sip:example.com"
# host:port of the registrar or the proxy before it; or its domain, without a port, and DNS says the
# rest (NAPTR, SRV), which is asked of the first nameserver of /etc/resolv.conf, or of:
#resolver = "127.0.0.53:53"
#address = "registrar.example.com:5060"
# Others, tried in this order once that one refuses by 503, is out of reach or silent.
#fallbacks = []
# "udp", "tcp" or "tls"; for a domain it may be left out, and the domain decides.
#transport = "udp"
# For TLS: who the registrar is trusted by, in place of the public authorities, and the name that it
# must prove, in place of the host of its address.
#ca-file = "/etc/reveille/registrar-ca.pem"
#server-name = "example.com"
# Keep the flow alive by STUN over UDP, where the registrar grants outbound (RFC 5626).
#stun = false
# How long a binding shall live.
#expires = "1h"

# Tokens (JWT) that apps may show as bearer, in place of name and secret; without this section,
# none.
#[bearer]
# What their claims iss and aud must say; sub is a username. An open socket outlives its token.
#issuer = "https://id.example.com"
#audience = "reveille"
# How they are signed: "ES256", and key-file is the public key in PEM; or "HS256", and secret-file
# or secret-env gives the secret.
#algorithm = "ES256"
#key-file = "/etc/reveille/bearer.pem"

# What all applications may use together; what is not written is not limited. The same keys may
# stand in [tenant.limits] below a [[tenant]], and in [application.limits] below an [[application]].
#[limits]
# WebSockets, sessions, and sessions that are asleep, at once.
#connections = 50000
#sessions = 50000
#sleepers = 40000
# Upgrades and pushes in a second.
#connects-per-second = 500
#pushes-per-second = 200

# Somebody who shares the gateway with others, once for each.
#[[tenant]]
#name = "acme"

# STUN and TURN servers that apps hear of when they ask (iceEnquiry), once for each kind of access.
#[[ice]]
# Addresses as browsers take them.
#urls = ["turn:turn.example.com:3478?transport=udp", "turns:turn.example.com:5349"]
# The secret that is shared with the server, by secret-file, secret-env or secret: each app gets a
# name and password of its own for this long. With username, the secret is the password of that
# name.
#secret-file = "/etc/reveille/turn.secret"
#ttl = "1d"
# The one application that it is for, if not all.
#app = "phone"

# A user, once for each. The secret stands in one of three ways.
#[[user]]
# Address of record.
#aor = "bob@example.com"
# Name at HTTP Basic and at the registrar.
#username = "bob"
# A file that holds the secret; or secret-env, a variable; or secret, the secret itself.
#secret-file = "/etc/reveille/bob.secret"
# The tenant whose applications alone the user may use; without it, all.
#tenant = "acme"

# An extension header of apps that travels as a SIP header, once for each.
#[[header]]
# The member of a frame's header, and the SIP header.
#member = "customer"
#sip = "X-Customer"
# "both", "to-sip" or "to-app"; and the one application that it is for, if not all.
#direction = "both"
#app = "phone"

# An application that can be woken, once for each.
#[[application]]
# The last segment of the WebSocket's path.
#app = "phone"
# How it is woken: "apns", "fcm", "webhook" or "webpush".
#provider = "webhook"
# What identifies the application at the push service.
#id = "com.example.phone"
# Where the push service is.
#url = "http://push.example.com:9000/"
# Shown as a bearer token: credential-file, credential-env or credential. May be left out.
#credential-env = "REVEILLE_PUSH_CREDENTIAL"
# Certificates in PEM that https servers are trusted by, in place of the public authorities.
#ca-file = "/etc/reveille/push-ca.pem"
# Let the push payload carry the message that waits, or what is known of the call, without SDP;
# where it does not fit, it stays out. Whoever runs the push service can read it, but for "webpush".
#carry-message = false
# Whose application it is; without it, nobody's in particular.
#tenant = "acme"
# An HTTP proxy that push services are reached through (CONNECT), and what it is shown: a file or,
# by proxy-credential-env, a variable that holds user:password.
#proxy = "proxy.example.com:3128"
#proxy-credential-file = "/etc/reveille/proxy.secret"
# Pushes of one event that may leave as one request, and how long the first waits for others; only
# webhook, and only where the service reads lists.
#batch-size = 1
#batch-linger = "0ms"
# What is sent in place of the provider's own form, once for each event ("call", "message",
# "notify") and platform ("ios", "android", "web"), or for all; docs/configuration.md names the
# variables. Only webhook has url and headers.
#[[application.template]]
#platform = "android"
#event = "call"
#body = '{"to": "${token}", "app": "${application}", "wake": {"session": "${session_id}"}}'
#url = "http://push.example.com:9000/wake/${event}"
#headers = { "X-Api-Key" = "${credential}" }

# The other providers; each credential may come by credential-env as well.
#
#   [[application]]
#   app = "phone"
#   provider = "apns"
#   id = "com.example.phone"                    # the bundle id
#   team-id = "DEF123GHIJ"
#   key-id = "ABC123DEFG"
#   credential-file = "/etc/reveille/apns.p8"   # the signing key of that id
#   push-type = "voip"                          # how calls are pushed: "voip" (default) or "alert"
#   url = "https://api.sandbox.push.apple.com"  # default: https://api.push.apple.com
#
#   [[application]]
#   app = "phone"
#   provider = "fcm"
#   id = "com.example.phone"                    # the name that apps give as app_id
#   credential-file = "/etc/reveille/fcm.json"  # the service account, as Google hands it out
#   url = "https://fcm.googleapis.com"          # the default
#
#   [[application]]
#   app = "phone"
#   provider = "webpush"                        # device tokens are PushSubscriptions as JSON
#   id = "com.example.phone"
#   credential-file = "/etc/reveille/vapid.pem" # VAPID key of P-256, PKCS#8
#   contact = "mailto:push@example.com"         # whom push services may turn to, or an https: URI
#   private-endpoints = false                   # allow endpoints that are http: or not public
"#;
