//! How PostgreSQL goes about it when there is a lot: by index, and in the
//! right month.

use std::collections::BTreeMap;

use kakitome::{
    domain::log::Kind,
    store::{
        jobs::{self, JobFilter},
        ledger::{self, Search},
        links, retention, statements, work,
        work::Step,
    },
};
use sqlx::{Connection as _, PgConnection, QueryBuilder, Row as _};

use crate::harness::Office;

/// Fills four months with deliveries, one in three of them alive, and everything
/// that belongs to them, without going through the store: an index that holds
/// nothing would cost nothing, and be walked.
const LOAD: &str = "
    WITH base AS (
        SELECT n,
               (EXTRACT(EPOCH FROM TIMESTAMPTZ '2026-10-02 00:00:00+00') * 1000)::BIGINT
                   + n * 9500000::BIGINT / ($1 / 1000) AS ms
        FROM generate_series(1, $1) AS n
    ),
    ids AS (
        SELECT n, ms, (lpad(to_hex(ms), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id,
               't' || (n % 50) AS tenant, decode(md5('p' || n), 'hex') AS print
        FROM base
    ),
    j AS (
        INSERT INTO jobs (id, tenant, channel, stage, test_mode, accepted_at, send_at, stage_at,
                          dispatched_at, purge_at, purge_day, purged_at, reason)
        SELECT id, tenant, 'email', CASE WHEN n % 3 = 0 THEN 'dispatched' ELSE 'purged' END, 0,
               ms * 1000, ms * 1000, ms * 1000, ms * 1000, ms * 1000,
               ms / 86400000 + CASE WHEN n % 3 = 0 THEN 365 ELSE 0 END,
               CASE WHEN n % 3 = 0 THEN NULL ELSE ms * 1000 END,
               CASE WHEN n % 60 = 0 THEN 'bounced' END FROM ids
    ),
    h AS (
        INSERT INTO handouts (job_id, id, tenant, epoch, way, receiver, at, from_byte, to_byte,
                              taken, ended_at)
        SELECT id, id, tenant, md5((n % 7)::text)::uuid, 'view', 'x', ms * 1000, 0, 9,
               CASE WHEN n % 60 = 0 THEN NULL ELSE 9 END,
               CASE WHEN n % 60 = 0 THEN NULL ELSE ms * 1000 END FROM ids
    ),
    e AS (
        INSERT INTO evidence (job_id, tenant, channel, recipient_index, number, transaction_day,
                              amount_minor, currency, counterparty_index, evidence_year)
        SELECT id, tenant, 'email', print, 'N-' || n, ms / 86400000, n * 10, 'JPY', print, 2026
        FROM ids
    ),
    a AS (
        INSERT INTO audit_events (id, tenant, job_id, at, kind, leaf)
        SELECT id, tenant, id, ms * 1000, 'accepted', print FROM ids
    ),
    l AS (
        INSERT INTO links (day, print, job_id, tenant, expires_at, max_opens, opens)
        SELECT ms / 86400000, print, id, tenant, 0, 5, 0 FROM ids
    ),
    w AS (
        INSERT INTO work (job_id, tenant, step, run_at, attempt, crashes, lease_epoch)
        SELECT id, tenant, 'send', (ms + 31536000000) * 1000, 0, 0,
               CASE WHEN n % 120 = 0 THEN md5((n % 7)::text)::uuid END FROM ids
    ),
    r AS (
        INSERT INTO reminders (job_id, tenant, rule, days, due_at, state, settled_at)
        SELECT id, tenant, 'after', 3, CASE WHEN n % 3 = 0 THEN (ms + 31536000000) * 1000 END,
               CASE WHEN n % 3 = 0 THEN 'planned' ELSE 'sent' END, ms * 1000 FROM ids
    ),
    t AS (
        INSERT INTO twins (day, print, job_id, link_day, link_print)
        SELECT ms / 86400000 + 1, print, id, ms / 86400000, print FROM ids
    )
    INSERT INTO dedupe (print, payload_mac, job_id) SELECT print, print, id FROM ids
";

async fn loaded(rows: i32) -> Option<(Office, PgConnection)> {
    let office = Office::postgres().await?;
    let mut conn = PgConnection::connect(&office.url).await.unwrap();
    sqlx::query(LOAD).bind(rows).execute(&mut conn).await.unwrap();
    sqlx::query("ANALYZE").execute(&mut conn).await.unwrap();
    Some((office, conn))
}

const BIG: [&str; 9] = [
    "jobs",
    "audit_events",
    "evidence",
    "links",
    "dedupe",
    "handouts",
    "work",
    "reminders",
    "twins",
];

/// Whether this is a big table, a month of one, or an index of either.
fn is_big(name: &str) -> bool {
    BIG.iter().any(|big| {
        name.strip_prefix(big).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// Indexes that hold only what somebody is busy with or looks after: to walk
/// one is to read just that.
const SMALL: [&str; 3] = ["_reason_id_idx", "_epoch_idx", "work_leased"];

/// Statements that count all the work there is.
const COUNTS: [&str; 2] = ["jobs::stage_counts work", "work::depth"];

/// What a plan walks of big tables: a table as it lies, or a whole index. With
/// sequential scans switched off the second is what a missing index looks like.
fn walked(plan: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in plan.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |word: &str| {
            let at = words.iter().position(|one| *one == word);
            at.and_then(|at| words.get(at + 1)).copied().unwrap_or_default()
        };
        // What belongs to a node stands below it, until the next one.
        let mut below = plan[at + 1..].iter().take_while(|line| !line.contains("->"));
        let bounded = below.any(|line| line.trim_start().starts_with("Index Cond:"));
        let whole = if line.contains("Seq Scan on ") {
            after("on")
        } else if line.contains("Bitmap Index Scan on ") && !bounded {
            // Named after its table.
            after("on")
        } else if (line.contains("Index Scan ") || line.contains("Index Only Scan ")) && !bounded {
            if SMALL.iter().any(|small| after("using").ends_with(small)) { "" } else { after("on") }
        } else {
            ""
        };
        let is_small = SMALL.iter().any(|small| whole.ends_with(small));
        if is_big(whole) && !is_small {
            found.push(whole.to_owned());
        }
    }
    found
}

/// What the statements walk of big tables, each with its plan. They are prepared
/// under names that begin with `look`.
async fn walks(conn: &mut PgConnection, look: &str) -> Vec<(&'static str, Vec<String>, String)> {
    let mut walks = Vec::new();
    for (n, statement) in statements::all().into_iter().enumerate() {
        let Some(text) = statement.postgres else { continue };
        let arguments = (1..=99).rev().find(|i| text.contains(&format!("${i}"))).unwrap_or(0);
        let mut prepare = QueryBuilder::<sqlx::Postgres>::new("PREPARE ");
        prepare.push(look).push(n).push(" AS ").push(text);
        assert!(
            sqlx::raw_sql(prepare.into_sql()).execute(&mut *conn).await.is_ok(),
            "{} does not prepare",
            statement.name
        );
        let mut explain = QueryBuilder::<sqlx::Postgres>::new("EXPLAIN EXECUTE ");
        explain.push(look).push(n);
        if arguments > 0 {
            explain.push("(").push(vec!["NULL"; arguments].join(", ")).push(")");
        }
        let plan = sqlx::raw_sql(explain.into_sql()).fetch_all(&mut *conn).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        walks.push((statement.name, walked(&plan), plan.join("\n")));
    }
    walks.retain(|(_, found, _)| !found.is_empty());
    walks
}

/// No statement walks a big table, even when nothing can be pruned. When all
/// that there is waits to be sent, only what counts the work walks it; when
/// little does, nothing but work itself is walked.
#[tokio::test]
async fn no_statement_walks_a_big_table() {
    let Some((_office, mut conn)) = loaded(60_000).await else { return };
    for setting in [
        "SET plan_cache_mode = force_generic_plan",
        "SET enable_partition_pruning = off",
        // As in our own sessions; what has no index is scanned all the same.
        "SET enable_seqscan = off",
    ] {
        sqlx::query(setting).execute(&mut conn).await.unwrap();
    }
    let of_work = |name: &String| name.starts_with("work");
    for (statement, found, plan) in walks(&mut conn, "full").await {
        let walks_work = found.iter().any(of_work);
        assert!(!walks_work || COUNTS.contains(&statement), "{statement} walks work:\n{plan}");
    }
    for step in [
        "DELETE FROM work
         WHERE ctid NOT IN (SELECT ctid FROM work ORDER BY md5(job_id::text) LIMIT 100)",
        "VACUUM FULL ANALYZE work",
    ] {
        sqlx::query(step).execute(&mut conn).await.unwrap();
    }
    for (statement, found, plan) in walks(&mut conn, "idle").await {
        assert!(found.iter().all(of_work), "{statement} walks {found:?}:\n{plan}");
    }
}

/// Rows read by sequential scans, and index look-ups, by table.
async fn reads(conn: &mut PgConnection) -> BTreeMap<String, (i64, i64)> {
    // Other connections report what they did when they have been idle.
    sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut *conn).await.unwrap();
    let rows = sqlx::query(
        "SELECT relname::text, COALESCE(seq_tup_read, 0), COALESCE(idx_scan, 0)
         FROM pg_stat_user_tables",
    );
    let rows = rows.fetch_all(conn).await.unwrap();
    rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
}

/// The whole journey and every search, on a full database: nothing is walked,
/// and the months that have nothing to do with it are not even looked up.
#[tokio::test]
async fn the_hot_path_reads_its_own_month_by_index() {
    let Some((office, mut conn)) = loaded(60_000).await else { return };
    office.db.close().await;
    let before = reads(&mut conn).await;
    let office = office.reopened().await;
    for round in 0..12 {
        // Often enough for PostgreSQL to settle on a generic plan.
        let batch: Vec<_> = (0..20).map(|n| office.leased("t7", &format!("{round}-{n}"))).collect();
        office.accept(&batch).await;
        office.seal(&batch.iter().collect::<Vec<_>>()).await;
        let sent: Vec<_> = batch.iter().map(|job| office.dispatched(job)).collect();
        work::dispatched_now(&office.db, office.epoch, &sent, &[]).await.unwrap();
        let link = office.link(&batch[0]);
        let now = office.now();
        office.write(async |tx| links::count_open(tx, link.day, &link.print, now).await).await;
        let event = office.event_of(&batch[0], Kind::Opened);
        office
            .write(async |tx| links::opened(tx, batch[0].id, now, event.clone(), &[]).await)
            .await;
        let mut cursor = String::new();
        office.accept(&[office.job("t8", &round.to_string())]).await;
        let claimed = office
            .write(async |tx| {
                work::claim(tx, office.epoch, now, &[Step::Seal], 5, 5, &mut cursor).await
            })
            .await;
        assert_eq!(claimed.len(), 1, "the other tenant's");
    }
    office.db.close().await;
    let hot = reads(&mut conn).await;
    for (table, (rows, lookups)) in &hot {
        let (rows_before, lookups_before) = before.get(table).copied().unwrap_or_default();
        let big = is_big(table);
        assert!(!big || *rows == rows_before, "{table}: {} rows walked", rows - rows_before);
        let strange = table.ends_with("_202610") || table.ends_with("_202612");
        // The planner itself looks at the ends of an index now and then.
        let looked = lookups - lookups_before;
        assert!(!strange || looked < 60, "{table} was looked up {looked} times");
    }
    let office = office.reopened().await;
    for _ in 0..8 {
        search_everything(&office).await;
    }
    office.db.close().await;
    for (table, (rows, _)) in &reads(&mut conn).await {
        // All the work there is was counted.
        let big = is_big(table) && table != "work";
        let walked = rows - hot.get(table).copied().unwrap_or_default().0;
        assert!(!big || walked == 0, "{table}: {walked} rows walked by a search");
    }
}

async fn search_everything(office: &Office) {
    let known = office.job("t7", "x");
    let base = Search { tenant: Some(known.tenant.clone()), limit: 50, ..Search::default() };
    let index = Some(known.evidence.recipient_index);
    let searches = [
        base.clone(),
        Search { recipient_index: index, ..base.clone() },
        Search { counterparty_index: index, ..base.clone() },
        Search { number: Some("N-7".to_owned()), ..base.clone() },
        Search { day_from: Some(20_780), day_to: Some(20_781), ..base.clone() },
        Search { job: Some(known.id), ..base.clone() },
        Search { from: Some(office.now()), kind: Some(Kind::Opened), ..base.clone() },
        Search { currency: Some("JPY".to_owned()), amount_min: Some(599_000), ..base },
    ];
    for search in searches {
        office.read(async |tx| ledger::search(tx, &search).await).await;
    }
    let tenant = Some(known.tenant.clone());
    for filter in [
        JobFilter { tenant: tenant.clone(), limit: 50, ..JobFilter::default() },
        JobFilter { reason: Some("bounced".to_owned()), limit: 50, ..JobFilter::default() },
        JobFilter { after: Some(known.id), limit: 50, ..JobFilter::default() },
        JobFilter {
            tenant,
            stage: Some(kakitome::domain::stage::Stage::Parked),
            limit: 50,
            ..JobFilter::default()
        },
    ] {
        office.read(async |tx| jobs::list(tx, &filter).await).await;
    }
    let now = office.now();
    office.read(async |tx| retention::due(tx, 20_900, now, 100).await).await;
    office.read(async |tx| jobs::stage_counts(tx).await).await;
}
