//! Journeys of finished PDFs that are uploaded before their job.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::TimeDelta;
use kakitome::{
    domain::{ids::TenantId, log::Kind, stage::Stage},
    intake::desk::Verdict,
    store::ledger::{self, Search},
};
use lopdf::dictionary;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::dies_here::NthTime;
use crate::harness::{
    CANARY_ADDRESS, CANARY_NAME, EMAIL, LETTER, TestOffice, World, in_the_future, job, journeys,
    renderer,
};

/// A PDF of one A4 page that is larger than a job may be.
pub(crate) fn large() -> Vec<u8> {
    let mut document = page_of(595, 842);
    // Noise that no compression makes smaller.
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let noise: Vec<u8> = noise.take(3 << 20).collect();
    let stream = lopdf::Stream::new(dictionary! { "Length" => 0 }, noise);
    document.add_object(stream);
    saved(document)
}

/// A document of one empty page.
pub(crate) fn page_of(width: i64, height: i64) -> lopdf::Document {
    let mut document = lopdf::Document::with_version("1.7");
    let pages = document.new_object_id();
    let page = document.add_object(dictionary! {
        "Type" => "Page", "Parent" => pages,
        "MediaBox" => vec![0.into(), 0.into(), width.into(), height.into()],
    });
    let tree = dictionary! { "Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1 };
    document.objects.insert(pages, tree.into());
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    document.trailer.set("Root", catalog);
    document
}

pub(crate) fn saved(mut document: lopdf::Document) -> Vec<u8> {
    let mut pdf = Vec::new();
    document.save_to(&mut pdf).unwrap();
    pdf
}

/// A job that names an upload.
pub(crate) fn naming(sample: &str, key: &str, upload: &str) -> Value {
    let mut job = job(sample, key);
    job["document"] = json!({ "pdf": { "upload": upload }, "filename": "契約書.pdf" });
    job
}

fn code(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Refused { refused } => refused.refusal.code(),
        Verdict::Accepted { .. } => "accepted",
        Verdict::Duplicate { .. } => "duplicate",
    }
}

/// How often the tenant's log says this.
async fn told(office: &TestOffice<'_>, kind: Kind) -> usize {
    let tenant = TenantId::parse("acme").unwrap();
    let search =
        Search { tenant: Some(tenant), kind: Some(kind), limit: 1000, ..Search::default() };
    let mut tx = office.office.db.read().await.unwrap();
    ledger::search(&mut tx, &search).await.unwrap().len()
}

async fn status(office: &TestOffice<'_>, upload: &str) -> u16 {
    office.ask("acme", "GET", &format!("/v1/uploads/{upload}"), None).await.status
}

journeys! {
    /// An uploaded PDF is delivered byte for byte by every job that names it,
    /// and is gone when it has expired; the jobs keep their own.
    async fn an_uploaded_pdf_is_delivered(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let pdf = large();
        let answer = office.ask("acme", "POST", "/v1/uploads", Some(pdf.clone())).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let facts = answer.json();
        let upload = facts["upload"].as_str().unwrap().to_owned();
        assert_eq!(answer.location, Some(format!("/v1/uploads/{upload}")), "where to ask");
        assert_eq!(facts["bytes"], pdf.len(), "all of it");
        let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&pdf));
        assert_eq!(facts["sha256"], sha256, "and nothing else");
        assert_eq!((&facts["pages"], &facts["a4"]), (&json!(1), &json!(true)), "what it is");
        assert_eq!(facts["expires_at"], "2026-11-21T03:00:00.000000Z", "a day later");
        assert_eq!(status(&office, &upload).await, 200, "it can be asked after");
        for method in ["GET", "DELETE"] {
            let path = format!("/v1/uploads/{upload}");
            let foreign = office.ask("other", method, &path, None).await;
            assert_eq!(foreign.status, 404, "{method}: another tenant's is not there");
        }
        let foreign = office.offer("other", &naming(EMAIL, "upload/0", &upload)).await;
        assert_eq!(code(&foreign), "no_upload", "nor can another tenant's job name it");

        for key in ["upload/1", "upload/2"] {
            let id = office.enqueue(&naming(EMAIL, key, &upload)).await;
            office.run().await;
            assert_eq!(office.stage(id).await, Stage::Dispatched, "{key}");
            let file = office.open_link(&office.newest_link()).await;
            assert!(file.body == pdf, "{key}: the sender's own bytes");
            assert_eq!(office.row(id).await.pages, Some(1), "{key}: counted");
        }
        let letter = office.enqueue(&naming(LETTER, "upload/3", &upload)).await;
        office.run().await;
        assert_eq!(office.row(letter).await.pages, Some(2), "with the address page in front");
        let again = office.offer("acme", &naming(EMAIL, "upload/1", &upload)).await;
        assert_eq!(code(&again), "duplicate", "one key is one delivery");
        office.inspect().await;

        office.after(TimeDelta::hours(25)).await;
        assert_eq!(status(&office, &upload).await, 404, "gone");
        let late = office.offer("acme", &naming(EMAIL, "upload/4", &upload)).await;
        assert_eq!(code(&late), "no_upload", "and nothing can name it");
        assert_eq!(told(&office, Kind::Uploaded).await, 1, "the log says that it came");
        assert_eq!(told(&office, Kind::UploadEnded).await, 1, "and that it went");
        let file = office.open_link(&office.newest_link()).await;
        assert!(file.body == pdf, "what was delivered is another copy");
        office.after(TimeDelta::days(2)).await;
        office.inspect().await;
    }

    /// An upload that no job names dies on its hour, with its key soon after.
    async fn an_unclaimed_upload_dies(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let upload = office.upload(&large()).await;
        office.after(TimeDelta::hours(24) - TimeDelta::seconds(1)).await;
        assert_eq!(status(&office, &upload).await, 200, "not a second before");
        office.after(TimeDelta::seconds(1)).await;
        assert_eq!(status(&office, &upload).await, 404, "and then at once");
        office.inspect().await;
        let before = told(&office, Kind::KeyDestroyed).await;
        office.after(TimeDelta::days(1)).await;
        assert_eq!(told(&office, Kind::KeyDestroyed).await, before + 1, "its key follows");
        // Its segment held nothing else.
        drop(office);
        let mut office = world.start().await;
        office.run().await;
        office.after(TimeDelta::days(4)).await;
        assert!(office.office.blobs.list().await.unwrap().is_empty(), "nor are its bytes left");
        office.inspect().await;
    }

    /// A job for later keeps its upload, past its hour and its key's day, but
    /// lets nobody else have it.
    async fn a_waiting_job_keeps_its_upload(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let pdf = large();
        let upload = office.upload(&pdf).await;
        let mut later = naming(EMAIL, "later/1", &upload);
        later["send_at"] = in_the_future(&world, 5).into();
        let id = office.enqueue(&later).await;
        let path = format!("/v1/uploads/{upload}");
        let answer = office.ask("acme", "DELETE", &path, None).await;
        assert_eq!(answer.status, 409, "it is needed");
        assert_eq!(answer.json()["code"], "upload_in_use", "and the sender learns so");
        for day in 1..5 {
            office.after(TimeDelta::days(1)).await;
            assert_eq!(status(&office, &upload).await, 200, "day {day}: kept");
            let late = office.offer("acme", &naming(EMAIL, &format!("late/{day}"), &upload)).await;
            assert_eq!(code(&late), "no_upload", "day {day}: but not for others");
        }
        office.after(TimeDelta::days(1)).await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "sent on its day");
        let file = office.open_link(&office.newest_link()).await;
        assert!(file.body == pdf, "byte for byte");
        office.run().await;
        assert_eq!(status(&office, &upload).await, 404, "and nothing needs it any more");
        office.inspect().await;
    }

    /// A sender may delete what no job waits for; a cancelled job waits no more.
    async fn a_sender_may_delete_an_upload(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let upload = office.upload(&large()).await;
        let mut later = naming(EMAIL, "delete/1", &upload);
        later["send_at"] = in_the_future(&world, 5).into();
        let id = office.enqueue(&later).await;
        let path = format!("/v1/uploads/{upload}");
        assert_eq!(office.ask("acme", "DELETE", &path, None).await.status, 409, "needed");
        let cancel = format!("/v1/jobs/{id}/cancel");
        assert_eq!(office.ask("acme", "POST", &cancel, None).await.status, 200, "cancelled");
        assert_eq!(office.ask("acme", "DELETE", &path, None).await.status, 204, "deleted");
        assert_eq!(office.ask("acme", "DELETE", &path, None).await.status, 404, "twice is once");
        assert_eq!(status(&office, &upload).await, 404, "gone");
        assert_eq!(told(&office, Kind::UploadEnded).await, 1, "in the log once");
        office.inspect().await;
    }

    /// The process dies after the upload was answered: the next one has it.
    async fn a_death_between_upload_and_job_loses_nothing(books: Books) {
        let world = World::new(books).await;
        let pdf = large();
        let office = world.start().await;
        let upload = office.upload(&pdf).await;
        drop(office);
        let office = world.start().await;
        let id = office.enqueue(&naming(EMAIL, "death/1", &upload)).await;
        drop(office);
        world.clock.advance(TimeDelta::minutes(20));
        let mut office = world.start().await;
        office.run().await;
        office.after(TimeDelta::minutes(20)).await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "nothing was lost");
        let file = office.open_link(&office.newest_link()).await;
        assert!(file.body == pdf, "not a byte of it");
        office.inspect().await;
    }

    /// Wherever the process dies on the way of an upload, the next one goes on.
    async fn wherever_it_dies_an_upload_is_whole_or_not_there(books: Books) {
        let world = World::new(books).await;
        let pdf = saved(page_of(595, 842));
        let mut steps = 0;
        loop {
            let fuse = Arc::new(NthTime(AtomicUsize::new(usize::MAX)));
            let mut office = world.start_with(Some(fuse.clone()), renderer()).await;
            fuse.0.store(steps, Ordering::SeqCst);
            let died = one_life(&mut office, &pdf, steps).await;
            drop(office);
            // The next life: what was answered is there, what was not is not.
            let mut office = world.start().await;
            world.clock.advance(TimeDelta::minutes(2));
            office.run().await;
            office.after(TimeDelta::minutes(20)).await;
            office.run().await;
            if !died {
                break;
            }
            steps += 1;
            assert!(steps < 200, "an upload never comes to its end");
        }
        assert!(steps > 8, "there were points to die at: {steps}");
        let mut office = world.start().await;
        office.run().await;
        office.after(TimeDelta::hours(26)).await;
        let mut tx = office.office.db.read().await.unwrap();
        let filter = kakitome::store::jobs::JobFilter { limit: 1000, ..Default::default() };
        let rows = kakitome::store::jobs::list(&mut tx, &filter).await.unwrap();
        let tenant = TenantId::parse("acme").unwrap();
        let left = kakitome::store::uploads::count(&mut tx, &tenant).await.unwrap();
        drop(tx);
        for row in &rows {
            let at_rest = matches!(row.stage, Stage::Dispatched | Stage::Ambiguous);
            assert!(at_rest, "{} hangs in {}: {:?}", row.id, row.stage.word(), row.reason);
        }
        assert!(rows.len() > 4, "jobs came through: {}", rows.len());
        assert_eq!(left, 0, "no upload is left");
        office.inspect().await;
    }
}

/// Uploads, names the upload, presses; whether the process died on the way.
async fn one_life(office: &mut TestOffice<'_>, pdf: &[u8], steps: usize) -> bool {
    let answer = office.ask("acme", "POST", "/v1/uploads", Some(pdf.to_vec())).await;
    if answer.status != 201 {
        assert_eq!(answer.status, 503, "{}", answer.text());
        return true;
    }
    let upload = answer.json()["upload"].as_str().unwrap().to_owned();
    let job = naming(EMAIL, &format!("dies/{steps}"), &upload);
    let incoming = kakitome::intake::desk::Incoming {
        tenant: Ok(TenantId::parse("acme").unwrap()),
        body: serde_json::to_vec(&job).unwrap(),
        sealed: false,
        flaw: None,
        trace: None,
    };
    match office.desk.take(vec![incoming]).await {
        Ok(verdicts) => assert!(matches!(verdicts[0], Verdict::Accepted { .. }), "{verdicts:?}"),
        Err(_) => return true,
    }
    for service in &mut office.services {
        if service.tick().await.is_err() {
            return true;
        }
    }
    // What a life does beyond this is the business of `dies_here`.
    false
}

/// The names stand for what an upload's job holds.
#[test]
fn a_job_with_an_upload_still_holds_canaries() {
    let text = naming(EMAIL, "x", "y").to_string();
    assert!(
        text.contains(CANARY_ADDRESS) && text.contains(CANARY_NAME),
        "the inspection sees them"
    );
}
