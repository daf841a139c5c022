//! Every part of every request, and what must notice that it is missing.

/// What a request without a part comes to.
pub(crate) enum Wanted {
    /// The service refuses it by this rule, and this requirement is not met.
    Rule(&'static str, &'static str),
    /// The service takes it, and this requirement is not met.
    Check(&'static str),
    /// It may be left out: why.
    Free(&'static str),
}

use Wanted::{Check, Free, Rule};

/// A part, and what is wanted.
pub(crate) type Row = (&'static str, Wanted);

const PROVIDER_TOKEN: &str = "push.apns.jwt-reused-20-to-60-minutes";
const BEARER: &str = "push.fcm.oauth-token-refreshed";
const VAPID: &str = "push.webpush.vapid-claims";
const PAYLOAD: &str = "push.common.payload-within-limit";
const SUBSESSION: &str = "jsonrtc.session.subsession-id-stable";
const DATA_ONLY: &str = "push.fcm.calls-data-only-high";

const FRAMED: Wanted = Free("the frames of HTTP/2 delimit a body (RFC 9113 8.1)");
const OWN: Wanted = Free("a member of the payload that its app does not need");

pub(crate) const APNS: &[Row] = &[
    ("apns-collapse-id", Free("what has none replaces nothing")),
    ("apns-expiration", Check("push.apns.expiration-is-call-end")),
    ("apns-id", Check("push.apns.apns-id-kept")),
    ("apns-priority", Free("without one it is 10")),
    ("apns-push-type", Rule("push-type", "push.apns.push-type-matches-payload")),
    ("apns-topic", Rule("topic-present", "push.apns.topic-suffix-voip")),
    ("authorization", Rule("provider-token-present", PROVIDER_TOKEN)),
    ("body.aps", Free("PushKit hands the whole dictionary over")),
    ("body.call_id", Check(PAYLOAD)),
    ("body.event", Check("push.apns.voip-only-when-it-rings")),
    ("body.initiator", OWN),
    ("body.session_id", Check(PAYLOAD)),
    ("body.subsession_id", Check(SUBSESSION)),
    ("body.target", OWN),
    ("body.ttl_s", OWN),
    ("content-length", FRAMED),
    ("jwt.claims.iat", Rule("provider-token-issued", PROVIDER_TOKEN)),
    ("jwt.claims.iss", Rule("provider-token-signed", PROVIDER_TOKEN)),
    ("jwt.header.alg", Rule("provider-token-signed", PROVIDER_TOKEN)),
    ("jwt.header.kid", Rule("provider-token-signed", PROVIDER_TOKEN)),
];

pub(crate) const FCM: &[Row] = &[
    ("authorization", Rule("bearer", BEARER)),
    ("body.message", Rule("message-present", DATA_ONLY)),
    ("body.message.android", Check("push.fcm.ttl-within-hold")),
    ("body.message.android.priority", Check(DATA_ONLY)),
    ("body.message.android.ttl", Check("push.fcm.ttl-within-hold")),
    ("body.message.data", Check(PAYLOAD)),
    ("body.message.data.call_id", Check(PAYLOAD)),
    ("body.message.data.event", OWN),
    ("body.message.data.initiator", OWN),
    ("body.message.data.session_id", Check(PAYLOAD)),
    ("body.message.data.subsession_id", Check(SUBSESSION)),
    ("body.message.data.target", OWN),
    ("body.message.data.ttl_s", OWN),
    ("body.message.token", Rule("one-target", BEARER)),
    ("content-length", FRAMED),
    ("content-type", Rule("content-type", DATA_ONLY)),
];

pub(crate) const OAUTH: &[Row] = &[
    ("content-length", FRAMED),
    ("content-type", Rule("form", BEARER)),
    ("form.assertion", Rule("assertion-present", BEARER)),
    ("form.grant_type", Rule("grant-type", BEARER)),
    ("jwt.claims.aud", Rule("audience", BEARER)),
    ("jwt.claims.exp", Rule("expires", BEARER)),
    ("jwt.claims.iat", Rule("issued", BEARER)),
    ("jwt.claims.iss", Rule("issuer", BEARER)),
    ("jwt.claims.scope", Rule("scope", BEARER)),
    ("jwt.header.alg", Rule("signature", BEARER)),
    (
        "jwt.header.kid",
        Free("which of the account's keys signs is found by trying (RFC 7515 4.1.4)"),
    ),
    ("jwt.header.typ", Free("there is nothing that it could be mistaken for (RFC 7519 5.1)")),
];

pub(crate) const WEBPUSH: &[Row] = &[
    ("authorization", Rule("vapid-present", VAPID)),
    ("body", Rule("record", "push.webpush.session-payload-encrypted")),
    ("content-encoding", Rule("content-encoding", "push.webpush.session-payload-encrypted")),
    ("content-length", FRAMED),
    ("content-type", Free("the body is of octets (RFC 9110 8.3)")),
    ("jwt.claims.aud", Rule("vapid-audience", VAPID)),
    ("jwt.claims.exp", Rule("vapid-expires", VAPID)),
    ("jwt.claims.sub", Free("a contact is optional (RFC 8292 2.1)")),
    ("jwt.header.alg", Rule("vapid-signed", VAPID)),
    ("jwt.header.typ", Free("there is nothing that it could be mistaken for (RFC 7519 5.1)")),
    ("topic", Free("what has none replaces nothing (RFC 8030 5.4)")),
    ("ttl", Rule("ttl", "push.webpush.ttl-header-present")),
    ("urgency", Check("push.webpush.urgency-high-for-calls")),
    ("vapid.k", Rule("vapid-well-formed", VAPID)),
    ("vapid.t", Rule("vapid-well-formed", VAPID)),
];
