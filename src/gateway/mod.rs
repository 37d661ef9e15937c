//! The recipient's side: a page for a link, a button, the document.
//!
//! A link's page may be fetched by anybody and anything: scanners of mail
//! gateways fetch it, render it, even run what they find. So fetching it does
//! nothing, and there is nothing in it to run. A person presses the button;
//! that one request counts against the link, is on record before it is
//! answered, and moves the person to an address without the token. From there
//! the document can be looked at and saved for half an hour.
//!
//! Where the sender asked for a second factor, the button leads to a question
//! first, and only its right answer counts: a robot that presses every button
//! leaves such a link as it was.
//!
//! Nothing is handed out that is not on record first: when the log cannot be
//! written, the answer is 503 and no byte. Whoever guesses learns nothing:
//! whatever is not a link of ours gets one and the same page.
//!
//! It refuses requests for other hosts, forms from other sites, looking ahead,
//! and every document that does not authenticate. It never logs a path.

mod artifact;
mod brand;
mod challenge;
mod code;
mod device;
mod door;
mod ends;
mod file;
mod guesses;
mod handed;
mod hangup;
mod history;
mod labels;
mod link;
mod not_mine;
mod notes;
mod opening;
mod pages;
mod range;
mod recent;
mod record;
mod running;
mod session;
mod support;
mod together;
mod viewer;
mod visitor;
mod when;
mod words;

use std::{collections::BTreeMap, fmt, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware,
    response::Response,
    routing::any,
};
use chrono_tz::Tz;
use tokio::sync::Semaphore;

use crate::{
    blobs::Blobs,
    clock::SharedClock,
    crypto::Lookup,
    domain::{
        ids::{Epoch, TenantId},
        locale::Locale,
    },
    entropy::Entropy,
    store::{
        Db, handouts::NewHandout, keyring::KeyRing, ledger::Scribe, links::Found, outbox::Announce,
    },
};
use door::Site;
use guesses::Guesses;
use notes::Notes;
use pages::{Notice, Pages};
use recent::Recent;
use running::Running;
use together::Together;
use words::negotiate;

pub use brand::{Brand, Colour, Logo, LogoKind};
pub use hangup::Hangup;
pub use record::FlushError;
pub use visitor::TrustedProxies;

/// Why the gateway cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A file built into the program is damaged.
    #[error("the {0} built into the program cannot be read")]
    BuiltIn(&'static str),
    /// The public URL is not a scheme and a host.
    #[error("the public URL must be https:// and a host, without a path")]
    PublicUrl,
    /// A proxy's block of addresses cannot be read.
    #[error("a trusted proxy is not a block of addresses: {0}")]
    Proxy(String),
}

/// What a recipient may know of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantDisplay {
    /// The name on the pages.
    pub name: String,
    /// How to reach the sender.
    pub contact: Option<String>,
    /// The calendar in which instants are shown.
    pub zone: Tz,
}

/// Knows the tenants' display data.
pub trait TenantDirectory: Send + Sync {
    /// What a recipient may know of this tenant.
    fn display(&self, tenant: &TenantId) -> TenantDisplay;
}

/// Counts what happens at the door.
pub trait Meter: Send + Sync {
    /// A request was answered; `route` is a pattern, never a path.
    fn answered(&self, route: &'static str, status: u16);
    /// Somebody tried a link that is not ours.
    fn guessed(&self);
}

/// Bounds of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's header fields; more is 431.
    pub header_bytes_max: usize,
    /// Bytes of the one form there is; more is 400.
    pub form_bytes_max: usize,
    /// Documents that are sent at the same time; one more is 503. Each takes
    /// some 2 MiB of memory.
    pub downloads_max: usize,
    /// Passcodes that are compared or wait for it; one more is 503. Two are
    /// compared at a time, each in 19 MiB of memory.
    pub passcodes_max: usize,
    /// Notes that wait to be written down; more are counted and dropped.
    pub notes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes_max: 16 << 10,
            form_bytes_max: 4 << 10,
            downloads_max: 128,
            passcodes_max: 16,
            notes_max: 10_000,
        }
    }
}

/// How the gateway is set up.
#[derive(Clone, Debug, Default)]
pub struct GatewaySettings {
    /// Where recipients open their links: a scheme and a host.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is believed, as CIDR blocks.
    pub trusted_proxies: Vec<String>,
    /// How the pages of each tenant look, where it has a face of its own.
    pub brands: BTreeMap<TenantId, Brand>,
    /// Bounds.
    pub limits: Limits,
}

/// The handles the gateway works with.
pub struct Parts {
    /// The books.
    pub db: Db,
    /// The keys.
    pub keys: KeyRing,
    /// The sealed bytes.
    pub blobs: Blobs,
    /// The time of day.
    pub clock: SharedClock,
    /// Chance, for codes, cookies and support numbers.
    pub entropy: Entropy,
    /// This life of the process: it answers for the downloads that it began.
    pub epoch: Epoch,
    /// Writes rows of the log.
    pub scribe: Scribe,
    /// Knows the tenants.
    pub tenants: Arc<dyn TenantDirectory>,
    /// Makes result events.
    pub announce: Arc<dyn Announce>,
    /// Counts.
    pub meter: Arc<dyn Meter>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parts(..)")
    }
}

/// The gateway. Clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    parts: Parts,
    site: Site,
    proxies: TrustedProxies,
    limits: Limits,
    pages: Pages,
    notes: Notes,
    guesses: Guesses,
    running: Running,
    recent: Recent,
    looks: Together<Lookup, Option<Found>>,
    reservations: Together<Arc<NewHandout>, bool>,
    downloads: Arc<Semaphore>,
    waiting: Semaphore,
    passcodes: Passcodes,
}

/// Room for the comparison of passcodes.
struct Passcodes {
    seats: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

/// Downloads that wait in the books for somebody who holds their link.
const WAITING_AT_ONCE: usize = 2;
/// Passcodes that are compared at the same time.
const COMPARED_AT_ONCE: usize = 2;

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("site", &self.0.site).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Builds a gateway; checks its settings and everything built in.
    pub fn new(settings: &GatewaySettings, parts: Parts) -> Result<Self, GatewayError> {
        let limits = settings.limits;
        let looks = record::looks(parts.db.clone());
        let reservations = file::reservations(parts.db.clone());
        Ok(Self(Arc::new(Inner {
            parts,
            site: Site::parse(&settings.public_url).ok_or(GatewayError::PublicUrl)?,
            proxies: TrustedProxies::parse(&settings.trusted_proxies)
                .map_err(GatewayError::Proxy)?,
            limits,
            pages: Pages::new(&settings.brands)?,
            notes: Notes::new(limits.notes_max),
            guesses: Guesses::default(),
            running: Running::default(),
            recent: Recent::default(),
            looks,
            reservations,
            downloads: Arc::new(Semaphore::new(limits.downloads_max)),
            waiting: Semaphore::new(WAITING_AT_ONCE),
            passcodes: Passcodes {
                seats: Arc::new(Semaphore::new(limits.passcodes_max)),
                at_once: Arc::new(Semaphore::new(COMPARED_AT_ONCE)),
            },
        })))
    }

    /// Asks the books for every download that runs whether it may go on, and
    /// ends those that may not. Gives how many run; to be called every second.
    pub async fn look(&self) -> usize {
        self.0.look().await
    }

    /// Gives up the downloads that dead processes left unended: what was
    /// reserved for them stands. Gives how many; to be called now and then.
    pub async fn settle(&self) -> Result<usize, FlushError> {
        self.0.settle().await
    }

    /// Writes down what was noted since the last time: fetched pages, guesses,
    /// ends of downloads. Gives the number of rows; to be called every few
    /// seconds and once at the end. What cannot be written stays noted.
    pub async fn flush(&self) -> Result<usize, FlushError> {
        self.0.flush().await
    }
}

/// The service. Serve it with [`ConnectInfo`](axum::extract::ConnectInfo), so
/// that a visitor's address is known, and behind TLS.
pub fn router(gateway: Gateway) -> Router {
    let inner = gateway.0;
    Router::new()
        // The door knows the methods: a wrong one is answered like a wrong link.
        .route("/d/{token}", any(link::page))
        .route("/o", any(link::open))
        .route("/c/{ticket}", any(challenge::page))
        .route("/c", any(challenge::answer))
        .route("/c/new", any(challenge::another))
        .route("/n/{token}", any(not_mine::page))
        .route("/n", any(not_mine::say))
        .route("/thanks", any(not_mine::thanks))
        .route("/v/{session}", any(viewer::page))
        .route("/v/{session}/file", any(file::view))
        .route("/v/{session}/download", any(file::download))
        .route("/assets/{name}", any(asset))
        .fallback(missing)
        .layer(DefaultBodyLimit::max(inner.limits.form_bytes_max))
        .layer(middleware::from_fn_with_state(Arc::clone(&inner), door::watch))
        .with_state(inner)
}

/// Every path that is not ours: the page of a wrong link.
async fn missing(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    let locale = negotiate(request.uri(), request.headers(), Locale::Ja);
    gateway.pages.notice(Notice::Missing, locale)
}

async fn asset(State(gateway): State<Arc<Inner>>, request: Request) -> Response {
    match gateway.pages.asset(request.uri().path()) {
        Some(asset) => asset,
        None => missing(State(gateway), request).await,
    }
}
