//! What is counted, and under which names operators find it.
//!
//! Every series is bounded: labels are stages, codes, routes and classes out of
//! our own tables, never a tenant's data, a path or an address. Steps call the
//! methods here; gauges that describe the books are set by whoever has just
//! read them, so that a scrape costs no query.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};

use super::segment_metrics::SegmentMetrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
    status: u16,
}

/// A gauge that may hold a fraction of a second.
type Seconds = Gauge<f64, AtomicU64>;

/// Work rows, as a step that asked the books found them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Due and not leased.
    pub ready: i64,
    /// Not due yet.
    pub scheduled: i64,
    /// Leased by a worker.
    pub leased: i64,
    /// How long the oldest due row has waited.
    pub oldest_due: Duration,
}

/// Every counter of the office.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    work_rows: Family<StateLabel, Gauge>,
    work_oldest: Seconds,
    stage_jobs: Family<StageLabel, Gauge>,
    stage_oldest: Family<StageLabel, Seconds>,
    dispatch_seconds: Histogram,
    render_seconds: Histogram,
    seal_seconds: Histogram,
    smtp_seconds: Histogram,
    smtp_results: Family<ResultLabel, Counter>,
    intake_accepted: Counter,
    intake_refused: Family<CodeLabel, Counter>,
    purge_lag: Seconds,
    purge_held: Gauge,
    leases_lost: Counter,
    broker_reconnects: Counter,
    broker_blocked: Gauge,
    outbox_rows: Gauge,
    link_guesses: Counter,
    intake_duplicates: Counter,
    jobs_parked: Family<CodeLabel, Counter>,
    mails_ambiguous: Counter,
    reminders: Family<ResultLabel, Counter>,
    leases_recovered: Counter,
    http_answers: Family<RouteLabel, Counter>,
    /// The store of sealed bytes.
    pub segments: SegmentMetrics,
}

/// From a millisecond to about a quarter of an hour, doubling.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 20))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counters at zero, registered under their names.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("kakitome"),
            work_rows: Family::default(),
            work_oldest: Seconds::default(),
            stage_jobs: Family::default(),
            stage_oldest: Family::default(),
            dispatch_seconds: histogram(),
            render_seconds: histogram(),
            seal_seconds: histogram(),
            smtp_seconds: histogram(),
            smtp_results: Family::default(),
            intake_accepted: Counter::default(),
            intake_refused: Family::default(),
            purge_lag: Seconds::default(),
            purge_held: Gauge::default(),
            leases_lost: Counter::default(),
            broker_reconnects: Counter::default(),
            broker_blocked: Gauge::default(),
            outbox_rows: Gauge::default(),
            link_guesses: Counter::default(),
            intake_duplicates: Counter::default(),
            jobs_parked: Family::default(),
            mails_ambiguous: Counter::default(),
            reminders: Family::default(),
            leases_recovered: Counter::default(),
            http_answers: Family::default(),
            segments: SegmentMetrics::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let book = &mut self.registry;
        book.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        book.register("work_rows", "Jobs with something left to do", self.work_rows.clone());
        let help = "How long the oldest due job has waited";
        book.register_with_unit("work_oldest_due", help, Unit::Seconds, self.work_oldest.clone());
        book.register("stage_jobs", "Jobs by stage", self.stage_jobs.clone());
        let help = "Age of the oldest job of a stage";
        book.register_with_unit("stage_oldest", help, Unit::Seconds, self.stage_oldest.clone());
        for (name, help, histogram) in [
            ("publish_to_dispatch", "From taking a job to the relay's 250", &self.dispatch_seconds),
            ("render", "Rendering of one document", &self.render_seconds),
            ("seal", "Sealing of one batch, its write included", &self.seal_seconds),
            ("smtp", "One mail, from its first command to the reply", &self.smtp_seconds),
        ] {
            book.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        book.register("smtp_results", "Mails by what the relay did", self.smtp_results.clone());
        book.register("intake_accepted", "Jobs taken on the books", self.intake_accepted.clone());
        book.register("intake_refused", "Refusals by code", self.intake_refused.clone());
        let help = "How long the oldest due purge has waited";
        book.register_with_unit("purge_lag", help, Unit::Seconds, self.purge_lag.clone());
        let help = "1 while clocks disagree and nothing is destroyed";
        book.register("purge_held", help, self.purge_held.clone());
        let help = "Times this process was given up by the others";
        book.register("leases_lost", help, self.leases_lost.clone());
        let help = "Connections to the broker that had to be made again";
        book.register("broker_reconnects", help, self.broker_reconnects.clone());
        let help = "1 while the broker takes no messages";
        book.register("broker_blocked", help, self.broker_blocked.clone());
        book.register("outbox_rows", "Result events not published yet", self.outbox_rows.clone());
        book.register("link_guesses", "Links that were not ours", self.link_guesses.clone());
        let help = "Jobs that were on the books already";
        book.register("intake_duplicates", help, self.intake_duplicates.clone());
        book.register("jobs_parked", "Jobs parked, by reason", self.jobs_parked.clone());
        let help = "Mails whose reply was lost";
        book.register("mails_ambiguous", help, self.mails_ambiguous.clone());
        book.register("reminders", "Reminders by what became of them", self.reminders.clone());
        let help = "Jobs taken over from processes that died";
        book.register("leases_recovered", help, self.leases_recovered.clone());
        let help = "HTTP answers by route and status";
        book.register("http_answers", help, self.http_answers.clone());
        self.segments.register(book);
        self
    }

    /// Sets how much work is on the books.
    pub fn queue_depth(&self, depth: QueueDepth) {
        let states =
            [("ready", depth.ready), ("scheduled", depth.scheduled), ("leased", depth.leased)];
        for (state, count) in states {
            self.work_rows.get_or_create(&StateLabel { state }).set(count);
        }
        self.work_oldest.set(depth.oldest_due.as_secs_f64());
    }

    /// Sets how many jobs are in a stage, and how old the oldest is.
    pub fn stage(&self, stage: &'static str, count: i64, oldest: Duration) {
        self.stage_jobs.get_or_create(&StageLabel { stage }).set(count);
        self.stage_oldest.get_or_create(&StageLabel { stage }).set(oldest.as_secs_f64());
    }

    /// A mail was taken by the relay this long after its job came.
    pub fn dispatched(&self, after: Duration) {
        self.dispatch_seconds.observe(after.as_secs_f64());
    }

    /// A document was rendered.
    pub fn rendered(&self, took: Duration) {
        self.render_seconds.observe(took.as_secs_f64());
    }

    /// A batch was sealed and written.
    pub fn sealed(&self, took: Duration) {
        self.seal_seconds.observe(took.as_secs_f64());
    }

    /// A mail was tried; `result` is a word of a fixed set.
    pub fn smtp_result(&self, result: &'static str, took: Duration) {
        self.smtp_results.get_or_create(&ResultLabel { result }).inc();
        self.smtp_seconds.observe(took.as_secs_f64());
    }

    /// Jobs were taken on the books.
    pub fn accepted(&self, count: u64) {
        self.intake_accepted.inc_by(count);
    }

    /// A job was refused with this code.
    pub fn refused(&self, code: &'static str) {
        self.intake_refused.get_or_create(&CodeLabel { code }).inc();
    }

    /// A job came that was on the books already.
    pub fn duplicate(&self) {
        self.intake_duplicates.inc();
    }

    /// A job was parked for this reason.
    pub fn parked(&self, code: &'static str) {
        self.jobs_parked.get_or_create(&CodeLabel { code }).inc();
    }

    /// The reply to a mail was lost.
    pub fn ambiguous(&self) {
        self.mails_ambiguous.inc();
    }

    /// Something became of a reminder; `result` is a word of a fixed set.
    pub fn reminder(&self, result: &'static str) {
        self.reminders.get_or_create(&ResultLabel { result }).inc();
    }

    /// A job was taken over from a process that died.
    pub fn recovered(&self) {
        self.leases_recovered.inc();
    }

    /// Sets how late the oldest due purge is; nothing due is no lag.
    pub fn purge_lag(&self, lag: Duration) {
        self.purge_lag.set(lag.as_secs_f64());
    }

    /// Says whether every destruction is held.
    pub fn purge_held(&self, held: bool) {
        self.purge_held.set(i64::from(held));
    }

    /// This process was given up by the others.
    pub fn lease_lost(&self) {
        self.leases_lost.inc();
    }

    /// A connection to the broker was made again.
    pub fn broker_reconnected(&self) {
        self.broker_reconnects.inc();
    }

    /// Says whether the broker takes messages.
    pub fn broker_blocked(&self, blocked: bool) {
        self.broker_blocked.set(i64::from(blocked));
    }

    /// Sets how many result events wait.
    pub fn outbox_depth(&self, rows: i64) {
        self.outbox_rows.set(rows);
    }

    /// Somebody tried a link that is not ours.
    pub fn link_guessed(&self) {
        self.link_guesses.inc();
    }

    /// A request was answered; `route` is a pattern, never a path.
    pub fn http(&self, route: &'static str, status: u16) {
        self.http_answers.get_or_create(&RouteLabel { route, status }).inc();
    }

    /// Everything in the `OpenMetrics` text format.
    pub fn text(&self) -> String {
        let mut page = String::with_capacity(8 * 1024);
        // Writing to a String fails only if a metric's own encoder does.
        match text::encode(&mut page, &self.registry) {
            Ok(()) => page,
            Err(std::fmt::Error) => "# EOF\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_found_under_its_name() {
        let metrics = Metrics::new();
        metrics.queue_depth(QueueDepth {
            ready: 3,
            scheduled: 2,
            leased: 1,
            oldest_due: Duration::from_millis(1_500),
        });
        metrics.stage("parked", 7, Duration::from_mins(1));
        metrics.dispatched(Duration::from_millis(300));
        metrics.rendered(Duration::from_millis(4));
        metrics.sealed(Duration::from_millis(2));
        metrics.smtp_result("accepted", Duration::from_millis(30));
        metrics.accepted(4);
        metrics.refused("bad_json");
        metrics.purge_lag(Duration::from_secs(9));
        metrics.purge_held(true);
        metrics.lease_lost();
        metrics.recovered();
        metrics.ambiguous();
        metrics.reminder("sent");
        metrics.parked("glyph_missing");
        metrics.duplicate();
        metrics.broker_reconnected();
        metrics.broker_blocked(true);
        metrics.outbox_depth(5);
        metrics.link_guessed();
        metrics.http("/d", 404);
        metrics.segments.missing(2);
        metrics.segments.orphans(3);
        let text = metrics.text();
        for line in [
            "kakitome_work_rows{state=\"ready\"} 3",
            "kakitome_work_oldest_due_seconds 1.5",
            "kakitome_stage_jobs{stage=\"parked\"} 7",
            "kakitome_stage_oldest_seconds{stage=\"parked\"} 60.0",
            "kakitome_publish_to_dispatch_seconds_count 1",
            "kakitome_render_seconds_count 1",
            "kakitome_seal_seconds_count 1",
            "kakitome_smtp_seconds_count 1",
            "kakitome_smtp_results_total{result=\"accepted\"} 1",
            "kakitome_intake_accepted_total 4",
            "kakitome_intake_refused_total{code=\"bad_json\"} 1",
            "kakitome_purge_lag_seconds 9.0",
            "kakitome_purge_held 1",
            "kakitome_leases_lost_total 1",
            "kakitome_leases_recovered_total 1",
            "kakitome_mails_ambiguous_total 1",
            "kakitome_reminders_total{result=\"sent\"} 1",
            "kakitome_intake_duplicates_total 1",
            "kakitome_broker_reconnects_total 1",
            "kakitome_broker_blocked 1",
            "kakitome_outbox_rows 5",
            "kakitome_link_guesses_total 1",
            "kakitome_segments_missing 2",
            "kakitome_segments_orphans_total 3",
            "kakitome_http_answers_total{route=\"/d\",status=\"404\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "a scrape must be whole");
    }
}
