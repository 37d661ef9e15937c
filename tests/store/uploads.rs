use chrono::TimeDelta;
use kakitome::{
    domain::{
        ids::{JobId, UploadId},
        log::Kind,
        pdf::PdfFacts,
    },
    store::{
        jobs,
        ledger::EventRow,
        retention,
        uploads::{self, Ended, UploadRow},
        work,
    },
};

use crate::harness::{Office, contract};

fn upload(office: &Office, tenant: &str) -> UploadRow {
    let now = office.now();
    UploadRow {
        id: UploadId(office.entropy.id(now).unwrap()),
        tenant: kakitome::domain::ids::TenantId::parse(tenant).unwrap(),
        received_at: now,
        expires_at: now + TimeDelta::hours(24),
        purge_day: 20_780,
        wrapped_key: vec![1; 60],
        segment: office.segment(),
        sealed_offset: 24,
        sealed_len: 5_000,
        pdf_len: 4_900,
        pdf_sha256: [7; 32],
        facts: PdfFacts { pages: 3, a4: true },
    }
}

fn event(office: &Office, row: &UploadRow, kind: Kind) -> EventRow {
    office.event(&row.tenant, JobId(row.id.0), kind)
}

async fn add(office: &Office, row: &UploadRow, most: i64) -> bool {
    let event = event(office, row, Kind::Uploaded);
    let epoch = office.epoch;
    office.write(async |tx| uploads::add(tx, epoch, row, most, &event).await).await
}

async fn end(office: &Office, row: &UploadRow, after: TimeDelta) -> Ended {
    let event = event(office, row, Kind::UploadEnded);
    let now = office.now() + after;
    office.write(async |tx| uploads::end(tx, &row.tenant, row.id, now, &event).await).await
}

async fn claim(office: &Office, row: &UploadRow, job: JobId, after: TimeDelta) -> bool {
    let now = office.now() + after;
    office.write(async |tx| uploads::claim(tx, &row.tenant, row.id, job, now).await).await
}

async fn live(office: &Office, row: &UploadRow) -> i64 {
    let known = office.read(async |tx| retention::known_segments(tx, None).await).await;
    known.into_iter().find(|segment| segment.id == row.segment).unwrap().live
}

async fn spent(office: &Office, after: TimeDelta) -> usize {
    let now = office.now() + after;
    office.read(async |tx| uploads::spent(tx, now, 100).await).await.len()
}

contract! {
    async fn an_upload_comes_and_goes_whole(office: &Office) {
        let row = upload(office, "acme");
        assert!(add(office, &row, 10).await, "taken");
        let find = async |tenant: &str| {
            let tenant = kakitome::domain::ids::TenantId::parse(tenant).unwrap();
            office.read(async |tx| uploads::get(tx, &tenant, row.id).await).await
        };
        assert_eq!(find("acme").await.as_ref(), Some(&row), "every column comes back");
        assert_eq!(find("other").await, None, "for its own tenant");
        assert_eq!(live(office, &row).await, 1, "it lives in its segment");
        assert_eq!(spent(office, TimeDelta::hours(23)).await, 0, "not spent before its time");
        assert_eq!(spent(office, TimeDelta::hours(24)).await, 1, "but then");
        assert_eq!(end(office, &row, TimeDelta::zero()).await, Ended::Ended, "ended");
        assert_eq!(end(office, &row, TimeDelta::zero()).await, Ended::Gone, "twice is once");
        assert_eq!(find("acme").await, None, "nothing is left");
        assert_eq!(live(office, &row).await, 0, "nor counted");
    }

    async fn a_tenant_has_so_many_and_no_more(office: &Office) {
        let (one, two, three) = (upload(office, "acme"), upload(office, "acme"), upload(office, "acme"));
        assert!(add(office, &one, 2).await && add(office, &two, 2).await, "two fit");
        assert!(!add(office, &three, 2).await, "three do not");
        assert!(add(office, &upload(office, "other"), 2).await, "another tenant counts for itself");
        let rows = async |row: &UploadRow| {
            office.read(async |tx| uploads::get(tx, &row.tenant, row.id).await).await
        };
        assert_eq!(rows(&three).await, None, "and nothing is written");
    }

    async fn a_claim_holds_until_its_job_is_sealed(office: &Office) {
        let row = upload(office, "acme");
        add(office, &row, 10).await;
        let job = office.leased("acme", "1");
        assert!(claim(office, &row, job.id, TimeDelta::zero()).await, "claimed");
        assert!(!claim(office, &row, office.job("acme", "2").id, TimeDelta::hours(24)).await, "not when expired");
        assert_eq!(end(office, &row, TimeDelta::zero()).await, Ended::Claimed, "its job is on its way");
        assert_eq!(end(office, &row, TimeDelta::hours(2)).await, Ended::Ended, "or never came");
        let row = upload(office, "acme");
        add(office, &row, 10).await;
        assert!(claim(office, &row, job.id, TimeDelta::zero()).await, "claimed again");
        office.write(async |tx| jobs::accept(tx, office.epoch, std::slice::from_ref(&job), &[]).await).await;
        assert_eq!(end(office, &row, TimeDelta::days(9)).await, Ended::Claimed, "it waits");
        assert_eq!(spent(office, TimeDelta::days(9)).await, 0, "and is not spent");
        let cancelled = office.event_of(&job, Kind::Cancelled);
        let now = office.now();
        office.write(async |tx| work::give_back(tx, office.epoch, &[job.id], None).await.map(drop)).await;
        office.write(async |tx| work::cancel(tx, job.id, now, cancelled, &[]).await.map(drop)).await;
        assert_eq!(spent(office, TimeDelta::days(9)).await, 1, "a cancelled job waits no more");
        assert_eq!(end(office, &row, TimeDelta::days(9)).await, Ended::Ended, "ended");
    }

    /// Whoever ends and whoever claims at the same moment: one of them wins.
    async fn nobody_claims_what_is_being_ended(office: &Office) {
        for _ in 0..20 {
            let row = upload(office, "acme");
            add(office, &row, 100).await;
            let job = office.job("acme", "x").id;
            let (claimed, ended) = futures::future::join(
                claim(office, &row, job, TimeDelta::zero()),
                end(office, &row, TimeDelta::zero()),
            )
            .await;
            match (claimed, ended) {
                (true, Ended::Claimed) | (false, Ended::Ended) => {}
                other => panic!("both or none had their way: {other:?}"),
            }
        }
    }
}
