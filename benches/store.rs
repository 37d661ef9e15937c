//! What a delivery costs the database, with little and with much on the books.
//!
//!     tests/run's PostgreSQL, then:
//!     KAKITOME_TEST_POSTGRES=postgres://kk@127.0.0.1:PORT cargo bench --bench store
//!
//! Loads so many purged deliveries, then sends batches of 128 through the
//! three group commits and reads from `/proc` what the server's processes
//! used, and from the server how much it wrote ahead. Nothing else may use the
//! server meanwhile. Arguments: the numbers of stored deliveries, 1,000 and
//! 1,000,000 unless given.

#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "a bench may stop with a panic, and rounds"
)]

#[path = "../tests/store/harness.rs"]
#[expect(dead_code, unused_macros, unused_imports, reason = "shared with the contract tests")]
mod harness;

use std::{fs, time::Instant};

use harness::Office;
use kakitome::{
    domain::ids::Epoch,
    store::{
        jobs::{self, NewJob},
        work::{self, Step},
    },
};
use sqlx::{Connection as _, PgConnection};

const BATCH: usize = 128;
const WARM_UP: usize = 12;
const ROUNDS: usize = 80;

/// Purged deliveries of the seven weeks before the bench's noon.
const LOAD: &str = "
    WITH base AS (
        SELECT n,
               (EXTRACT(EPOCH FROM TIMESTAMPTZ '2026-10-02 00:00:00+00') * 1000)::BIGINT
                   + n * 4233600000::BIGINT / CAST($1 AS BIGINT) AS ms
        FROM generate_series(CAST($2 AS BIGINT), CAST($3 AS BIGINT)) AS n
    ),
    ids AS (
        SELECT n, ms, (lpad(to_hex(ms), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id,
               't' || (n % 50) AS tenant, decode(md5('p' || n), 'hex') AS print,
               decode(repeat(md5('x' || n), 15), 'hex') AS leaf
        FROM base
    ),
    j AS (
        INSERT INTO jobs (id, tenant, channel, stage, test_mode, accepted_at, send_at, stage_at,
                          dispatched_at, purge_at, purge_day, purged_at)
        SELECT id, tenant, 'email', 'purged', 0, ms * 1000, ms * 1000, ms * 1000, ms * 1000,
               ms * 1000, ms / 86400000, ms * 1000 FROM ids
    ),
    e AS (
        INSERT INTO evidence (job_id, tenant, channel, recipient_index, number, transaction_day,
                              amount_minor, currency, counterparty_index, evidence_year)
        SELECT id, tenant, 'email', print, 'N-' || n, ms / 86400000, n * 10, 'JPY', print, 2026
        FROM ids
    ),
    a AS (
        INSERT INTO audit_events (id, tenant, job_id, at, kind, leaf)
        SELECT id, tenant, id, ms * 1000, 'accepted', leaf FROM ids
    ),
    l AS (
        INSERT INTO links (day, print, job_id, tenant, expires_at, max_opens, opens)
        SELECT ms / 86400000, print, id, tenant, 0, 5, 0 FROM ids
    )
    INSERT INTO dedupe (print, payload_mac, job_id) SELECT print, print, id FROM ids
";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut sizes: Vec<i64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 1_000_000];
    }
    println!("per delivery, in batches of {BATCH}: server CPU, WAL, wall time");
    for size in sizes {
        let Some(office) = Office::postgres().await else {
            println!("PostgreSQL is switched off");
            return;
        };
        let mut conn = PgConnection::connect(&office.url).await.unwrap();
        load(&mut conn, size).await;
        println!("{size} stored");
        bench(&office, &mut conn).await;
    }
}

/// Loads, and puts checkpoints off: after one, the first change of a page writes
/// the whole page ahead, and which pages those are would be a matter of luck.
async fn load(conn: &mut PgConnection, size: i64) {
    for set in [
        "ALTER SYSTEM SET max_wal_size = '16GB'",
        "ALTER SYSTEM SET checkpoint_timeout = '1h'",
        "SELECT pg_reload_conf()",
        "CHECKPOINT",
    ] {
        sqlx::query(set).execute(&mut *conn).await.unwrap();
    }
    let mut from = 1;
    while from <= size {
        let to = size.min(from + 99_999);
        sqlx::query(LOAD).bind(size).bind(from).bind(to).execute(&mut *conn).await.unwrap();
        from = to + 1;
    }
    sqlx::query("VACUUM ANALYZE").execute(conn).await.unwrap();
}

/// What the server has used so far.
struct Meter {
    cpu_seconds: f64,
    wal_bytes: i64,
    began: Instant,
}

impl Meter {
    async fn read(conn: &mut PgConnection) -> Self {
        let dir: String =
            sqlx::query_scalar("SHOW data_directory").fetch_one(&mut *conn).await.unwrap();
        let wal = "SELECT (pg_current_wal_insert_lsn() - '0/0')::BIGINT";
        let wal_bytes = sqlx::query_scalar(wal).fetch_one(conn).await.unwrap();
        let pid = fs::read_to_string(format!("{dir}/postmaster.pid")).unwrap();
        let cpu_seconds = cpu_of_tree(pid.lines().next().unwrap());
        Self { cpu_seconds, wal_bytes, began: Instant::now() }
    }

    fn print(&self, name: &str, now: &Self, jobs: usize) {
        let per = |value: f64| value / jobs as f64;
        println!(
            "  {name:<10} {:>6.1} us CPU  {:>6.0} B WAL  {:>6.1} us wall",
            per((now.cpu_seconds - self.cpu_seconds) * 1e6),
            per((now.wal_bytes - self.wal_bytes) as f64),
            per(now.began.duration_since(self.began).as_secs_f64() * 1e6),
        );
    }
}

/// User and system time of a process, its children, and those it has buried.
fn cpu_of_tree(root: &str) -> f64 {
    let mut ticks = 0.0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Ok(stat) = fs::read_to_string(format!("/proc/{name}/stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |n: usize| fields.get(n).and_then(|text| text.parse().ok()).unwrap_or(0.0);
        if name == root {
            ticks += field(11) + field(12) + field(13) + field(14);
        } else if fields.get(1) == Some(&root) {
            ticks += field(11) + field(12);
        }
    }
    ticks / 100.0
}

async fn bench(office: &Office, conn: &mut PgConnection) {
    let mut batches: Vec<Vec<NewJob>> = vec![];
    for round in 0..WARM_UP + ROUNDS {
        let job = |n| office.leased("bench", &format!("{round}-{n}"));
        batches.push((0..BATCH).map(job).collect());
    }
    let (warm, measured) = batches.split_at(WARM_UP);
    for batch in warm {
        office.accept(batch).await;
        office.seal(&batch.iter().collect::<Vec<_>>()).await;
        finish(office, batch).await;
    }
    let jobs = ROUNDS * BATCH;
    let mut last = Meter::read(conn).await;
    for batch in measured {
        office.accept(batch).await;
    }
    last = lap(conn, "accept", last, jobs).await;
    for batch in measured {
        office.seal(&batch.iter().collect::<Vec<_>>()).await;
    }
    last = lap(conn, "seal", last, jobs).await;
    for batch in measured {
        finish(office, batch).await;
    }
    lap(conn, "dispatched", last, jobs).await;
    claims(office, conn).await;
    for (name, sql) in PARTS {
        let last = Meter::read(conn).await;
        for round in 0..ROUNDS {
            let from = (round * BATCH) as i64;
            let rows = sqlx::query(sql).bind(from).bind(from + BATCH as i64 - 1);
            rows.execute(&mut *conn).await.unwrap();
        }
        lap(conn, name, last, jobs).await;
    }
    after_a_checkpoint(office, conn).await;
}

async fn after_a_checkpoint(office: &Office, conn: &mut PgConnection) {
    let batches: Vec<Vec<NewJob>> = (0..ROUNDS)
        .map(|round| (0..BATCH).map(|n| office.leased("bench", &format!("p{round}-{n}"))).collect())
        .collect();
    sqlx::query("CHECKPOINT").execute(&mut *conn).await.unwrap();
    let last = Meter::read(conn).await;
    for batch in &batches {
        office.accept(batch).await;
    }
    lap(conn, "accept, right after a checkpoint", last, ROUNDS * BATCH).await;
}

/// What grows by its nature, alone: keys without any order.
const PARTS: [(&str, &str); 2] = [
    (
        "  dedupe",
        "INSERT INTO dedupe (print, payload_mac, job_id)
         SELECT decode(md5('d' || n), 'hex'), decode(md5('e' || n), 'hex'), gen_random_uuid()
         FROM generate_series(CAST($1 AS BIGINT), CAST($2 AS BIGINT)) AS n",
    ),
    (
        "  evidence",
        "INSERT INTO evidence (job_id, tenant, channel, recipient_index, number, transaction_day,
                               amount_minor, currency, counterparty_index, evidence_year)
         SELECT ('01a1fb90-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 't' || (n % 50),
                'email', decode(md5('r' || n), 'hex'), 'N-' || n, 20779, n * 10, 'JPY',
                decode(md5('c' || n), 'hex'), 2026
         FROM generate_series(CAST($1 AS BIGINT), CAST($2 AS BIGINT)) AS n",
    ),
];

async fn finish(office: &Office, batch: &[NewJob]) {
    let sent: Vec<_> = batch.iter().map(|job| office.dispatched(job)).collect();
    let done = work::dispatched_now(&office.db, office.epoch, &sent, &[]).await.unwrap();
    assert_eq!(done.len(), batch.len(), "every row moved");
}

/// Work that was not leased at acceptance and has to be claimed.
async fn claims(office: &Office, conn: &mut PgConnection) {
    for round in 0..WARM_UP + ROUNDS {
        let job = |n| office.job(&format!("c{}", n % 10), &format!("{round}-{n}"));
        let batch: Vec<_> = (0..BATCH).map(job).collect();
        jobs::accept_now(&office.db, office.epoch, &batch, &[]).await.unwrap();
    }
    let claim = async |cursor: &mut String| -> usize {
        let (epoch, now): (Epoch, _) = (office.epoch, office.now());
        let limit = BATCH as i64;
        office
            .write(async |tx| work::claim(tx, epoch, now, &[Step::Seal], 16, limit, cursor).await)
            .await
            .len()
    };
    let mut cursor = String::new();
    let mut warm = 0;
    for _ in 0..WARM_UP {
        warm += claim(&mut cursor).await;
    }
    let last = Meter::read(conn).await;
    let mut claimed = 0;
    // The last ones of a tenant may be fewer than its share.
    while warm + claimed < (WARM_UP + ROUNDS) * BATCH {
        claimed += claim(&mut cursor).await;
    }
    lap(conn, "claim", last, claimed).await;
}

async fn lap(conn: &mut PgConnection, name: &str, last: Meter, jobs: usize) -> Meter {
    let now = Meter::read(conn).await;
    last.print(name, &now, jobs);
    now
}
