CREATE TABLE IF NOT EXISTS sessions (
    id text PRIMARY KEY,
    owner text NOT NULL,
    epoch bigint NOT NULL,
    contact text NOT NULL,
    aor text NOT NULL,
    device text,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    record bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_owner ON sessions (owner);
CREATE INDEX IF NOT EXISTS sessions_contact ON sessions (contact);
CREATE INDEX IF NOT EXISTS sessions_aor ON sessions (aor);
CREATE INDEX IF NOT EXISTS sessions_device ON sessions (device);
CREATE TABLE IF NOT EXISTS calls (
    session text NOT NULL,
    subsession text NOT NULL,
    call_id text,
    record bytea NOT NULL,
    PRIMARY KEY (session, subsession)
);
CREATE INDEX IF NOT EXISTS calls_call_id ON calls (call_id);
CREATE TABLE IF NOT EXISTS messages (
    session text NOT NULL,
    subsession text NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (session, subsession)
);
CREATE TABLE IF NOT EXISTS leases (
    node text PRIMARY KEY,
    address text NOT NULL,
    holder text NOT NULL,
    until timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS lost (
    node text NOT NULL,
    session text NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (node, session)
);
