//! Applications that can be woken, and what each provider makes of them.

use hyper::Uri;
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::{PushOutcome, PushRequest};

use super::PushSettings;
use super::lanes::Batch;
use super::proxy::Proxy;
use super::template::{Node, Templates};
use crate::tls;

/// An application that can be woken.
#[derive(Debug, Clone, Default)]
pub struct Application {
    /// The last segment of the WebSocket path.
    pub app: String,
    /// An entry of [`PROVIDERS`].
    pub provider: String,
    /// Identifying information of the application at the push service.
    pub id: String,
    /// Where the push service is; empty: the provider's own address, if it has one.
    pub url: String,
    /// What proves who we are: of `webhook` a bearer token, of `apns` the signing key (.p8), of
    /// `fcm` the service account (JSON), of `webpush` the VAPID key (PKCS#8 in PEM).
    pub credential: Option<Secret>,
    /// Certificates (PEM) that servers are trusted by, in place of the public authorities.
    pub ca: Option<String>,
    /// The way out, where push services are not reached directly.
    pub proxy: Option<Proxy>,
    /// What only `apns` needs.
    pub apple: Apple,
    /// What only `webpush` needs.
    pub web: Web,
    /// How many of its pushes leave together.
    pub batch: Batch,
    /// Message formats in place of the provider's own.
    pub templates: Templates,
}

/// An application at Apple's push service.
#[derive(Debug, Clone, Default)]
pub struct Apple {
    /// The team that signs provider tokens.
    pub team_id: String,
    /// The id of its key.
    pub key_id: String,
    /// How calls are pushed.
    pub push_type: PushType,
}

/// A value of `apns-push-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PushType {
    /// Rings at once; only for what rings.
    #[default]
    Voip,
    /// Shows a notification.
    Alert,
    /// Wakes in silence, some time, a few times an hour.
    Background,
}

/// An application at Web Push services.
#[derive(Debug, Clone, Default)]
pub struct Web {
    /// Whom a push service may turn to: a `mailto:` or `https:` URI.
    pub contact: String,
    /// Endpoints may be `http:` and may lie in private networks. Subscriptions come from clients:
    /// without this, none of them can make the gateway talk to its neighbours.
    pub private_endpoints: bool,
}

/// Something that an application lacks: the key of the configuration, and what to write instead.
pub type Lack = (&'static str, String);

/// The applications of one provider, each with what the provider made of it.
pub(super) struct Roster<T>(Vec<(Application, Result<T, String>)>);

impl<T> Roster<T> {
    pub(super) fn new(
        settings: &PushSettings,
        provider: &str,
        make: impl Fn(&Application) -> Result<T, String>,
    ) -> Self {
        let own = settings.applications.iter().filter(|app| app.provider == provider);
        Self(own.map(|app| (app.clone(), make(app))).collect())
    }

    /// By what identifies it at the push service, else by the name that its apps connect with.
    fn entry(&self, id: &str) -> Option<&(Application, Result<T, String>)> {
        let by_id = self.0.iter().find(|(app, _)| app.id == id);
        by_id.or_else(|| self.0.iter().find(|(app, _)| app.app == id))
    }

    /// The body that the application's templates have for a push.
    pub(super) fn template(&self, request: &PushRequest) -> Option<&Node> {
        self.entry(&request.application)?.0.templates.body_of(request)
    }

    /// True if what is pushed for is in the body of a push, where the request has it.
    pub(super) fn carries(&self, request: &PushRequest) -> bool {
        self.template(request).is_none_or(Node::has_message)
    }

    /// An application, and what the provider made of it.
    pub(super) fn find(&self, id: &str) -> Result<(&Application, &T), PushOutcome> {
        let (app, made) = self
            .entry(id)
            .ok_or_else(|| PushOutcome::refused(format!("no application `{id}` is configured")))?;
        let made = made.as_ref().map_err(|why| {
            let why = format!("application `{id}`: {why}");
            PushOutcome::Failed { why }
        })?;
        Ok((app, made))
    }
}

/// A URL that is written must be one.
pub(super) fn lack_of_url(app: &Application) -> Option<Lack> {
    let uri: Result<Uri, _> = app.url.parse();
    let http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    let what = "no http:// or https:// URL; write one like \"https://push.example.com\"";
    let sound = app.url.is_empty() || uri.is_ok_and(|uri| http(&uri) && uri.host().is_some());
    (!sound).then(|| ("url", what.to_owned()))
}

/// Certificates that are written must be some.
pub(super) fn lack_of_ca(app: &Application) -> Option<Lack> {
    let fault = tls::roots(app.ca.as_deref()).err()?;
    Some(("ca-file", format!("{fault}; write a file that begins -----BEGIN CERTIFICATE-----")))
}
