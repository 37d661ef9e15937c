use kakitome::{
    domain::log::Kind,
    store::ledger::{self, Search},
};
use sqlx::Connection as _;

use crate::harness::{Office, contract};

async fn raw(office: &Office, sql: &'static str) -> Result<u64, sqlx::Error> {
    if office.db.is_shared() {
        let mut conn = sqlx::PgConnection::connect(&office.url).await?;
        sqlx::query(sql).execute(&mut conn).await.map(|done| done.rows_affected())
    } else {
        let mut conn = sqlx::SqliteConnection::connect(&office.url).await?;
        sqlx::query(sql).execute(&mut conn).await.map(|done| done.rows_affected())
    }
}

contract! {
    /// The log refuses to forget or to change, but takes its place in the tree.
    async fn the_log_is_append_only(office: &Office) {
        let job = office.job("acme", "1");
        office.accept(&[job]).await;
        for sql in [
            "DELETE FROM audit_events",
            "UPDATE audit_events SET kind = 'purged'",
            "UPDATE audit_events SET leaf = detail",
            "UPDATE audit_events SET leaf_index = 7, code = 'x'",
        ] {
            raw(office, sql).await.expect_err(sql);
        }
        raw(office, "UPDATE audit_events SET leaf_index = 7").await.unwrap();
        raw(office, "UPDATE audit_events SET leaf_index = 8").await.expect_err("given once");
    }

    async fn a_search_finds_by_what_the_law_asks_for(office: &Office) {
        let jobs: Vec<_> = (0..20).map(|n| office.job("acme", &format!("{n:02}"))).collect();
        office.accept(&jobs).await;
        office.accept(&[office.job("other", "00")]).await;
        let base = Search { tenant: Some(jobs[0].tenant.clone()), limit: 100, ..Search::default() };
        let found = async |search: Search| {
            office.read(async |tx| ledger::search(tx, &search).await).await
        };
        assert_eq!(found(base.clone()).await.len(), 20, "a tenant sees its own log only");
        let number = Search { number: Some("INV-07".to_owned()), ..base.clone() };
        let hit = found(number).await;
        assert_eq!(hit.len(), 1, "one document has this number");
        assert_eq!(hit[0].event.row.job, Some(jobs[7].id), "and it is the seventh");
        let evidence = hit[0].evidence.as_ref().unwrap();
        assert_eq!(evidence.amount_minor, Some(108_000), "with its amount");
        let by_recipient = Search {
            recipient_index: Some(jobs[3].evidence.recipient_index),
            ..base.clone()
        };
        assert_eq!(found(by_recipient).await[0].event.row.job, Some(jobs[3].id), "by recipient");
        let by_amount = Search {
            day_from: Some(20_778), day_to: Some(20_778), amount_min: Some(108_001), ..base.clone()
        };
        assert!(found(by_amount).await.is_empty(), "nothing was dearer");
        let by_kind = Search { kind: Some(Kind::Opened), ..base.clone() };
        assert!(found(by_kind).await.is_empty(), "nothing was opened");
        let late = Search { from: Some(office.now() + chrono::TimeDelta::seconds(1)), ..base };
        assert!(found(late).await.is_empty(), "nothing happened later");
    }

    async fn pages_of_a_search_meet_without_gap_or_overlap(office: &Office) {
        let jobs: Vec<_> = (0..25).map(|n| office.job("acme", &n.to_string())).collect();
        office.accept(&jobs).await;
        let mut seen = vec![];
        let mut search =
            Search { tenant: Some(jobs[0].tenant.clone()), limit: 10, ..Search::default() };
        loop {
            let page = office.read(async |tx| ledger::search(tx, &search).await).await;
            let Some(last) = page.last() else { break };
            search.after = Some(last.event.row.id);
            seen.extend(page.into_iter().map(|found| found.event.row.job.unwrap()));
        }
        assert_eq!(seen, jobs.iter().map(|job| job.id).collect::<Vec<_>>(), "all, in order");
    }
}
