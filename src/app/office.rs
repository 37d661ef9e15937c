//! The office: every handle a step may need, and the memory between the steps.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::{
    events::EventMaker,
    metrics::Metrics,
    queue::{FairQueue, InFlight, Queue},
    steps::suspects::Suspects,
};
use crate::{
    blobs::Blobs,
    clock::SharedClock,
    config::{Config, Role},
    crypto::{Key, delivery::DeliveryKey},
    dispatch::email::{Composer, Journal, Letter, Outcome},
    domain::{
        checked::CheckedJob,
        ids::{Epoch, JobId, TenantId},
        job::Channel,
        pdf::PdfFacts,
        plain::Plain,
    },
    entropy::Entropy,
    intake::inside::PdfCheck,
    render::{AddressPage, Order, RenderError, Rendered, Renderer},
    retention::Witness,
    store::{Db, keyring::KeyRing, ledger::Scribe, work::SealedJob},
};

/// What turns a job into a PDF: the renderer; a bench may put a stand-in here
/// to see what everything else costs.
pub trait Press: Send + Sync {
    /// Renders a template.
    fn render(&self, order: &Order<'_>) -> Result<Rendered, RenderError>;
    /// Takes over a finished PDF that was looked into.
    fn adopt(
        &self,
        pdf: Plain,
        facts: PdfFacts,
        address_page: Option<&AddressPage>,
    ) -> Result<Rendered, RenderError>;
    /// Whether the template exists.
    fn has_template(&self, name: &str) -> bool;
}

impl Press for Renderer {
    fn render(&self, order: &Order<'_>) -> Result<Rendered, RenderError> {
        Self::render(self, order)
    }

    fn adopt(
        &self,
        pdf: Plain,
        facts: PdfFacts,
        address_page: Option<&AddressPage>,
    ) -> Result<Rendered, RenderError> {
        Self::adopt(self, pdf, facts, address_page)
    }

    fn has_template(&self, name: &str) -> bool {
        Self::has_template(self, name)
    }
}

/// Every handle of the office; shared by all steps.
pub struct Office {
    /// The settings.
    pub config: Arc<Config>,
    /// The time of day.
    pub clock: SharedClock,
    /// Chance.
    pub entropy: Entropy,
    /// This life of this process.
    pub epoch: Epoch,
    /// What this process does.
    pub roles: Vec<Role>,
    /// The database.
    pub db: Db,
    /// The keys.
    pub keys: KeyRing,
    /// The sealed bytes.
    pub blobs: Blobs,
    /// Writes rows of the log.
    pub scribe: Scribe,
    /// Looks into finished PDFs.
    pub pdfs: Arc<dyn PdfCheck>,
    /// Makes PDFs.
    pub press: Arc<dyn Press>,
    /// Writes mails.
    pub composer: Composer,
    /// The local journal of mails under way.
    pub journal: Arc<Journal>,
    /// Who is on the press, should we die.
    pub suspects: Suspects,
    /// Makes result events for those who asked.
    pub events: EventMaker,
    /// The key of bounce addresses.
    pub verp_key: Arc<Key>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The second opinion on the time, where it is not the database's.
    pub witness: Option<Arc<dyn Witness>>,
    /// Whether our leases still hold.
    pub lease: LeaseWatch,
    /// The memory between the steps.
    pub queues: Queues,
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Office {
    /// The print partner of a letter: the configured one, or the simulator in
    /// the house for tenants in test mode.
    pub fn partner_of(&self, test_mode: bool) -> String {
        match &self.config.post {
            Some(post) if !test_mode => post.partner.clone(),
            Some(_) | None => TEST_PARTNER.to_owned(),
        }
    }
}

/// The name under which the simulator of the house stands in the log.
pub const TEST_PARTNER: &str = "test";

/// The memory between the steps.
#[derive(Debug)]
pub struct Queues {
    /// Leased jobs to be rendered.
    pub ready: Arc<FairQueue<Ready>>,
    /// Rendered and sealed, to be made durable.
    pub pressed: Arc<Queue<Pressed>>,
    /// Mails under the marker, to be sent.
    pub letters: Arc<Queue<Outgoing>>,
    /// The same for tenants in test mode: they stay in the house.
    pub test_letters: Arc<Queue<Outgoing>>,
    /// Sent, to be written down.
    pub done: Arc<Queue<Done>>,
    /// Leases to give back: their step failed for reasons of our own.
    pub returns: Arc<Queue<JobId>>,
    /// Everything in memory.
    pub in_flight: Arc<InFlight>,
}

/// Bytes of sealed jobs waiting for their commit; one chunk more may come.
const PRESSED_MAX: usize = 6 << 20;

/// What a sealed job weighs: its bytes, and never so little that a commit has
/// more than 128 rows.
fn weight(one: &Pressed) -> usize {
    let mail = one.mail.as_ref().map_or(0, |(mail, _)| mail.len());
    one.artifact.len().saturating_add(mail).max(32 << 10)
}

impl Queues {
    /// Empty queues of the configured size.
    pub fn new(config: &Config) -> Self {
        let work = &config.work;
        Self {
            ready: FairQueue::new(),
            pressed: Queue::weighed(PRESSED_MAX, weight),
            letters: Queue::new(work.in_flight),
            test_letters: Queue::new(work.in_flight),
            done: Queue::new(work.in_flight),
            returns: Queue::new(work.in_flight),
            in_flight: InFlight::new(work.in_flight, work.in_flight_per_tenant),
        }
    }

    /// Gives up a job in memory and asks for its lease to be given back.
    pub fn give_back(&self, jobs: impl IntoIterator<Item = JobId>) {
        self.returns.push(jobs);
    }
}

/// What every step knows about a delivery.
pub struct Delivery {
    /// Its id.
    pub job: JobId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How it travels.
    pub channel: Channel,
    /// It stays in the house.
    pub test_mode: bool,
    /// Its key.
    pub key: DeliveryKey,
    /// The day whose key wraps it.
    pub purge_day: i64,
    /// When its document is to be destroyed, if it was dispatched before: a mail
    /// that follows gives it no more time.
    pub purge_at: Option<DateTime<Utc>>,
    /// When it was taken on the books.
    pub accepted_at: DateTime<Utc>,
    /// How often it was tried, this time included.
    pub attempt: i64,
    /// When it was first tried.
    pub first_try_at: DateTime<Utc>,
    /// Its mail reminds of a link; the delivery stays where it stands.
    pub reminder: bool,
    /// The sender's key, for result events.
    pub sender_key: String,
    /// The sender's reference, for result events.
    pub reference: Option<String>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("job", &self.job).finish_non_exhaustive()
    }
}

/// A leased job to be rendered.
#[derive(Debug)]
pub struct Ready {
    /// The delivery.
    pub delivery: Arc<Delivery>,
    /// What is to be delivered.
    pub checked: Box<CheckedJob>,
}

/// A sealed job waiting for its commit.
#[derive(Debug)]
pub struct Pressed {
    /// The delivery.
    pub delivery: Arc<Delivery>,
    /// The sealed artifact.
    pub artifact: Vec<u8>,
    /// The sealed mail and the hour of its key, for mail.
    pub mail: Option<(Vec<u8>, i64)>,
    /// The row to be written, but for the places in the segment.
    pub row: SealedJob,
    /// The mail to be sent after the commit.
    pub letter: Option<Letter>,
}

/// A mail under the marker.
#[derive(Debug)]
pub struct Outgoing {
    /// The delivery.
    pub delivery: Arc<Delivery>,
    /// The mail.
    pub letter: Letter,
}

/// A mail that was tried.
#[derive(Debug)]
pub struct Done {
    /// The delivery.
    pub delivery: Arc<Delivery>,
    /// What became of it.
    pub outcome: Outcome,
    /// When.
    pub at: DateTime<Utc>,
}

/// Whether our leases still hold, on the monotonic clock: a process that was
/// stopped for longer than its lease must not send, whatever it remembers.
#[derive(Clone, Debug)]
pub struct LeaseWatch(Arc<Watch>);

#[derive(Debug)]
struct Watch {
    good_until: Mutex<Instant>,
    lost: AtomicBool,
}

impl LeaseWatch {
    /// A watch whose leases hold for `lease` from now.
    pub fn starting(lease: Duration) -> Self {
        let good_until = Instant::now().checked_add(lease).unwrap_or_else(Instant::now);
        let watch = Watch { good_until: Mutex::new(good_until), lost: AtomicBool::new(false) };
        Self(Arc::new(watch))
    }

    /// Prolongs the leases; `asked` is the moment before the database was asked.
    pub fn prolong(&self, asked: Instant, lease: Duration) {
        let until = asked.checked_add(lease).unwrap_or(asked);
        *self.0.good_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        self.0.lost.store(false, Ordering::SeqCst);
    }

    /// The database no longer knows us.
    pub fn lose(&self) {
        self.0.lost.store(true, Ordering::SeqCst);
    }

    /// Whether something may be done now that cannot be undone; a margin of a
    /// tenth of a second is kept for the act itself.
    pub fn holds(&self) -> bool {
        let until = *self.0.good_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now().checked_add(Duration::from_millis(100));
        !self.0.lost.load(Ordering::SeqCst) && now.is_some_and(|now| now < until)
    }
}
