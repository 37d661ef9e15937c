//! One journey by itself: what `kakitome demo --once` does and measures.
//!
//! Two jobs are enqueued, one by mail and one by post; the mail is caught, the
//! letter lies with the print partner; the link is opened over real HTTP, as a
//! browser would; the clock is moved past the purge instant; the link answers
//! 410, and the log lists every step. Each step waits for a state of the world,
//! never for a time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{StatusCode, header, redirect::Policy};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Demo;
use crate::{
    app::{catcher::Catcher, worker::wait},
    clock::{Clock as _, HandClock},
    domain::{ids::JobId, log::Kind, stage::Stage},
    store::{
        jobs::{self, JobRow},
        ledger,
    },
};

/// What a journey found.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Whether every step was reached.
    pub ok: bool,
    /// The step that failed, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// The steps that were reached, in their order.
    pub steps: Vec<Done>,
}

/// A step that was not reached.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// Its name.
    pub step: &'static str,
    /// Why.
    pub why: String,
}

/// A step that was reached.
#[derive(Debug, Serialize)]
pub struct Done {
    /// Its name.
    pub step: &'static str,
    /// The office's clock at its end.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds of real time.
    pub took_ms: f64,
    /// What was seen.
    pub seen: String,
}

/// How long a step may take.
const STEP_MAX: Duration = Duration::from_secs(30);
/// How often the world is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Walks the whole way; the demo's clock must be `clock`.
pub async fn walk(demo: &Demo, clock: &Arc<HandClock>) -> Summary {
    let mut walk = Walk { demo, clock, steps: Vec::new() };
    let failed = walk.all().await.err();
    Summary { ok: failed.is_none(), failed, steps: walk.steps }
}

struct Walk<'a> {
    demo: &'a Demo,
    clock: &'a Arc<HandClock>,
    steps: Vec<Done>,
}

/// What the recipient has in hands.
struct Opened {
    link: String,
    pdf_sha256: String,
}

impl Walk<'_> {
    async fn all(&mut self) -> Result<(), Failed> {
        let (mail, letter) = self.step("enqueue", Self::enqueue).await?;
        let link = self.step("mail caught", async |walk: &Self| walk.caught().await).await?;
        self.step("mail dispatched", async |walk: &Self| {
            walk.reaches(mail, Stage::Dispatched).await.map(|row| ((), stage_words(&row)))
        })
        .await?;
        self.step("letter handed to the partner", async |walk: &Self| walk.handed(letter).await)
            .await?;
        let opened = self.step("link opened", async |walk: &Self| walk.opened(&link).await).await?;
        self.step("bytes are the PDF", async |walk: &Self| {
            walk.same_bytes(mail, &opened).await
        })
        .await?;
        self.step("letter posted", async |walk: &Self| walk.posted(letter).await).await?;
        self.step("purged on its day", async |walk: &Self| {
            let first = walk.purged(mail).await?;
            let second = walk.purged(letter).await?;
            Ok(((), format!("mail {first}, letter {second}")))
        })
        .await?;
        self.step("link answers 410", async |walk: &Self| walk.gone(&opened).await).await?;
        self.step("log lists every step", async |walk: &Self| walk.logged(mail, letter).await).await
    }

    async fn step<T>(
        &mut self,
        step: &'static str,
        act: impl AsyncFnOnce(&Self) -> anyhow::Result<(T, String)>,
    ) -> Result<T, Failed> {
        let started = Instant::now();
        match act(self).await {
            Ok((value, seen)) => {
                let took_ms = (started.elapsed().as_secs_f64() * 1e5).round() / 1e2;
                self.steps.push(Done { step, at: self.clock.now(), took_ms, seen });
                Ok(value)
            }
            Err(error) => Err(Failed { step, why: format!("{error:#}") }),
        }
    }

    async fn enqueue(&self) -> anyhow::Result<((JobId, JobId), String)> {
        let round = self.clock.now().timestamp_micros().to_string();
        let jobs = self.demo.enqueue_samples(&round).await?;
        let of = |wanted| jobs.iter().find(|(channel, _)| *channel == wanted).map(|(_, job)| *job);
        let (mail, letter) = of("email").zip(of("post")).context("a sample is missing")?;
        Ok(((mail, letter), format!("mail {mail}, letter {letter}")))
    }

    async fn caught(&self) -> anyhow::Result<(String, String)> {
        let public = self.demo.running.office.config.office.public_url.clone();
        let link = self
            .until("a mail with a link", async || {
                let mails = self.demo.catcher.mails();
                let links = mails.iter().flat_map(|mail| Catcher::links_of(mail));
                Ok(links.into_iter().find(|link| link.starts_with(&format!("{public}/d/"))))
            })
            .await?;
        let page = self.demo.mail_page;
        Ok((link, format!("1 mail, http://{page}/")))
    }

    async fn handed(&self, letter: JobId) -> anyhow::Result<((), String)> {
        self.reaches(letter, Stage::Sealed).await?;
        // The next cut-off of a partner that rests on Sundays and holidays.
        let office = &self.demo.running.office;
        let post = office.config.post.as_ref().context("no print partner is configured")?;
        let batch = crate::app::post::cut_off(post)?.next_batch(self.clock.now())?;
        self.clock.set(batch.closes_at + TimeDelta::seconds(1));
        let row = self.reaches(letter, Stage::Dispatched).await?;
        let folder = post.drop_dir.display();
        Ok(((), format!("{}, batch of {} in {folder}", stage_words(&row), batch.batch_day)))
    }

    async fn opened(&self, link: &str) -> anyhow::Result<(Opened, String)> {
        let office = &self.demo.running.office;
        let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build()?;
        let page = http.get(link).send().await?;
        anyhow::ensure!(page.status() == StatusCode::OK, "the link page answers {}", page.status());
        let page = page.text().await?;
        let form: Vec<(String, String)> = ["token", "nonce"]
            .into_iter()
            .map(|name| Ok((name.to_owned(), field(&page, name)?)))
            .collect::<anyhow::Result<_>>()?;
        let public = &office.config.office.public_url;
        let answer = http
            .post(format!("{public}/o"))
            .header(header::ORIGIN, public)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("&"))
            .send()
            .await?;
        anyhow::ensure!(
            answer.status() == StatusCode::SEE_OTHER,
            "opening answers {}",
            answer.status()
        );
        let place = answer.headers().get(header::LOCATION).context("no place to look at it")?;
        let place = place.to_str()?.split('?').next().unwrap_or_default();
        let file = http.get(format!("{public}{place}/file")).send().await?;
        anyhow::ensure!(file.status() == StatusCode::OK, "the file answers {}", file.status());
        let bytes = file.bytes().await?;
        anyhow::ensure!(bytes.starts_with(b"%PDF-"), "what came is not a PDF");
        let pdf_sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        let seen = format!("POST 303, {} bytes of PDF", bytes.len());
        Ok((Opened { link: link.to_owned(), pdf_sha256 }, seen))
    }

    async fn same_bytes(&self, mail: JobId, opened: &Opened) -> anyhow::Result<((), String)> {
        let row = self.reaches(mail, Stage::Opened).await?;
        let sealed = row.pdf_sha256.context("the books hold no digest")?;
        let sealed = data_encoding::HEXLOWER.encode(&sealed);
        anyhow::ensure!(sealed == opened.pdf_sha256, "the bytes differ from what was sealed");
        Ok(((), format!("SHA-256 {sealed}")))
    }

    async fn posted(&self, letter: JobId) -> anyhow::Result<((), String)> {
        // The partner posts on its next working day; the clock goes there.
        let purge_at = self
            .until("the partner's posting", async || {
                self.clock.advance(TimeDelta::hours(6));
                wait(Duration::from_millis(50)).await;
                Ok(self.row(letter).await?.purge_at)
            })
            .await?;
        Ok(((), format!("kept until {purge_at}")))
    }

    async fn purged(&self, job: JobId) -> anyhow::Result<DateTime<Utc>> {
        let row = self.row(job).await?;
        let due = row.purge_at.context("no purge instant is known")?;
        if self.clock.now() < due {
            self.clock.set(due + TimeDelta::seconds(1));
        }
        let row = self.reaches(job, Stage::Purged).await?;
        anyhow::ensure!(row.wrapped_key.is_none(), "the key is still there");
        row.purged_at.context("no purge is on record")
    }

    async fn gone(&self, opened: &Opened) -> anyhow::Result<((), String)> {
        let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build()?;
        let answer = http.get(&opened.link).send().await?;
        anyhow::ensure!(
            answer.status() == StatusCode::GONE,
            "the link answers {}",
            answer.status()
        );
        Ok(((), "GET 410".to_owned()))
    }

    async fn logged(&self, mail: JobId, letter: JobId) -> anyhow::Result<((), String)> {
        use Kind as K;
        let wanted = [
            (mail, vec![K::Accepted, K::Sealed, K::Dispatched, K::Opened, K::Downloaded, K::Purged]),
            (letter, vec![K::Accepted, K::Sealed, K::HandedOver, K::Dispatched, K::Posted, K::Purged]),
        ];
        let mut seen = Vec::new();
        for (job, kinds) in wanted {
            let mut tx = self.demo.running.office.db.read().await?;
            let events = ledger::of_job(&mut tx, None, job).await?;
            let told: Vec<&str> = events.iter().map(|event| event.row.kind.word()).collect();
            for kind in kinds {
                anyhow::ensure!(told.contains(&kind.word()), "{} is not in the log", kind.word());
            }
            seen.push(told.join(" "));
        }
        Ok(((), seen.join("; ")))
    }

    async fn row(&self, job: JobId) -> anyhow::Result<JobRow> {
        let mut tx = self.demo.running.office.db.read().await?;
        jobs::get(&mut tx, None, job).await?.context("the job is not on the books")
    }

    async fn reaches(&self, job: JobId, stage: Stage) -> anyhow::Result<JobRow> {
        self.until(stage.word(), async || {
            let row = self.row(job).await?;
            let bad = matches!(row.stage, Stage::Parked | Stage::Ambiguous | Stage::Undeliverable);
            anyhow::ensure!(!bad, "{}", stage_words(&row));
            Ok((row.stage == stage).then_some(row))
        })
        .await
    }

    async fn until<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            anyhow::ensure!(started.elapsed() < STEP_MAX, "waited {STEP_MAX:?} for {what}");
            wait(LOOK).await;
        }
    }
}

fn stage_words(row: &JobRow) -> String {
    match &row.reason {
        Some(reason) => format!("{} ({reason})", row.stage.word()),
        None => row.stage.word().to_owned(),
    }
}

/// The value of a hidden field of a form.
fn field(page: &str, name: &str) -> anyhow::Result<String> {
    let at = page.find(&format!("name=\"{name}\"")).context("the page has no such field")?;
    let rest = page.get(at..).unwrap_or_default();
    let start = rest.find("value=\"").context("the field has no value")?.saturating_add(7);
    let value = rest.get(start..).unwrap_or_default().split('"').next().unwrap_or_default();
    Ok(value.to_owned())
}
