//! What can only be seen by asking: the stores, the broker, the relay, the
//! time, and who else is at work.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;

use super::{Finding, State, segments, sqlite_file};
use crate::{
    app::{Chain, build},
    broker::{self, BrokerError},
    clock::SharedClock,
    config::{BlobKind, Config, Declare},
    dispatch::email::{Outcome, Relay, probe},
    entropy::Entropy,
    store::{Db, StoreError, keyring::KeyError, workers},
};

/// How long one part may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Clocks further apart than this are worth a word.
const DRIFT_NOTED: TimeDelta = TimeDelta::seconds(2);
/// Asks the two stores without which no office opens.
pub(super) async fn stores(
    config: &Config,
    clock: &SharedClock,
    entropy: &Entropy,
) -> Vec<Finding> {
    let parts = tokio::join!(
        in_time("database.url", database(config, clock)),
        in_time("keys.url", keys(config, clock, entropy)),
    );
    [parts.0, parts.1].concat()
}

/// Asks every part that the configuration names, all at once.
pub async fn online(config: &Config, clock: &SharedClock, entropy: &Entropy) -> Vec<Finding> {
    let parts = tokio::join!(
        in_time("database.url", database(config, clock)),
        in_time("keys.url", keys(config, clock, entropy)),
        in_time("blobs", segments::look(config, clock, entropy)),
        in_time("broker", brokers(config)),
        in_time("mail", relay(config)),
    );
    [parts.0, parts.1, parts.2, parts.3, parts.4].concat()
}

async fn in_time(area: &str, look: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let late = || {
        let what = format!("no answer within {} s", PATIENCE.as_secs());
        vec![Finding::new(area, State::Away, what).remedy("is it running, and is the way open?")]
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| late())
}

async fn database(config: &Config, clock: &SharedClock) -> Vec<Finding> {
    let area = "database.url";
    let migrate = "run `kakitome migrate`";
    // Opening would make the file.
    if sqlite_file(&config.database.url).is_some_and(|file| !file.exists()) {
        return vec![Finding::new(area, State::Wrong, "there is no database yet").remedy(migrate)];
    }
    let db = match build::database(config, Some(2)).await {
        Ok(db) => db,
        Err(error) => return vec![unopened(area, &error)],
    };
    let mut found = Vec::new();
    match db.pending_migrations().await {
        Ok(pending) if pending.is_empty() => {
            found.push(Finding::well(area, "answers, and its schema is up to date"));
        }
        Ok(pending) => {
            let what = format!("its schema is {} migrations behind", pending.len());
            found.push(Finding::new(area, State::Wrong, what).remedy(migrate));
            return found;
        }
        Err(error) => return vec![failed(area, &error)],
    }
    match db.witness_time().await {
        Ok(theirs) => found.push(time(config, clock.now().signed_duration_since(theirs).abs())),
        Err(error) => found.push(failed(area, &error)),
    }
    found.push(hosts(config, clock, &db).await);
    db.close().await;
    found
}

fn unopened(area: &str, error: &anyhow::Error) -> Finding {
    let passing = error.chain().any(|cause| {
        cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_transient)
            || cause.downcast_ref::<KeyError>().is_some_and(KeyError::may_pass)
    });
    let state = if passing { State::Away } else { State::Wrong };
    Finding::new(area, state, format!("{error:#}"))
        .remedy("is it running, is the address right, and does the password fit?")
}

fn failed(area: &str, error: &StoreError) -> Finding {
    let state = if error.is_transient() { State::Away } else { State::Wrong };
    Finding::new(area, state, Chain(error).to_string())
}

fn time(config: &Config, apart: TimeDelta) -> Finding {
    let (area, seconds) = ("clock", apart.num_seconds());
    if apart > config.retention.clock_tolerance.delta() {
        let what = format!("our clock and the database's are {seconds} s apart");
        return Finding::new(area, State::Away, what)
            .remedy("set both by NTP: until they agree, nothing is destroyed");
    }
    if apart > DRIFT_NOTED {
        let what = format!("our clock and the database's are {seconds} s apart");
        return Finding::new(area, State::Note, what).remedy("set both by NTP");
    }
    Finding::well(area, "in step with the database's")
}

/// Segments on this host's disk cannot be read by another host.
async fn hosts(config: &Config, clock: &SharedClock, db: &Db) -> Finding {
    let area = "blobs.shared";
    let ours = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let others = match others(clock, db, &ours).await {
        Ok(others) => others,
        Err(error) => return failed(area, &error),
    };
    let local = config.blobs.kind == BlobKind::Files && !config.blobs.shared;
    if local && !others.is_empty() {
        let what = format!(
            "the segments are on this host's disk, but {} other hosts work on the same database",
            others.len()
        );
        return Finding::new(area, State::Wrong, what)
            .remedy("use blobs.kind = \"s3\", or a shared folder with blobs.shared = true");
    }
    if local && db.is_shared() {
        return Finding::new(area, State::Note, "one host only: the segments are on its disk");
    }
    Finding::well("workers", format!("{} other hosts are at work", others.len()))
}

async fn others(clock: &SharedClock, db: &Db, ours: &str) -> Result<Vec<String>, StoreError> {
    let mut tx = db.read().await?;
    let live = workers::live_workers(&mut tx, clock.now()).await?;
    let mut others: Vec<_> =
        live.into_iter().map(|row| row.host).filter(|host| host != ours).collect();
    others.sort_unstable();
    others.dedup();
    Ok(others)
}

async fn keys(config: &Config, clock: &SharedClock, entropy: &Entropy) -> Vec<Finding> {
    let area = "keys.url";
    if sqlite_file(&config.keys.url).is_some_and(|file| !file.exists()) {
        let finding = Finding::new(area, State::Wrong, "there is no key store yet");
        return vec![finding.remedy("run `kakitome migrate`")];
    }
    let ring = match build::keyring(config, Arc::clone(clock), entropy.clone()).await {
        Ok(ring) => ring,
        Err(error) => return vec![unopened(area, &error)],
    };
    let finding = match ring.status().await {
        Ok(status) => {
            let left: i64 = status.kinds.iter().map(|kind| kind.condemned).sum();
            if left > 0 {
                let what = format!("answers; {left} keys are marked but not destroyed yet");
                Finding::new(area, State::Note, what).remedy("the next look of retention ends them")
            } else {
                Finding::well(area, "answers, and belongs to this master key")
            }
        }
        Err(error) => Finding::new(area, State::Away, Chain(&error).to_string()),
    };
    ring.close().await;
    vec![finding]
}

async fn brokers(config: &Config) -> Vec<Finding> {
    let area = "broker";
    let Some(settings) = &config.broker else {
        let what = "none; jobs come over HTTP";
        return vec![Finding::well(area, what)];
    };
    let report = match build::broker(settings, "kakitome check") {
        Ok(broker) => broker::check(&broker).await,
        Err(error) => return vec![Finding::new(area, State::Wrong, format!("{error:#}"))],
    };
    let report = match report {
        Ok(report) => report,
        Err(error) => return vec![Finding::new(area, State::Away, error.to_string())],
    };
    let mut found: Vec<_> = report
        .found
        .iter()
        .map(|part| {
            let waiting = part.messages.map_or_else(String::new, |messages| {
                let consumers = part.consumers.unwrap_or(0);
                format!(", {messages} messages, {consumers} consumers")
            });
            Finding::well(area, format!("{} exists{waiting}", part.what))
        })
        .collect();
    for problem in &report.problems {
        let made = settings.declare == Declare::Create;
        found.push(if let (BrokerError::Missing { what, .. }, true) = (problem, made) {
            Finding::well(area, format!("{what} will be made"))
        } else {
            Finding::new(area, State::Away, problem.to_string())
        });
    }
    found
}

async fn relay(config: &Config) -> Vec<Finding> {
    let area = "mail";
    let relay = build::relay(&config.mail).and_then(|settings| Ok(Relay::new(settings)?));
    let relay = match relay {
        Ok(relay) => relay,
        Err(error) => return vec![Finding::new(area, State::Wrong, format!("{error:#}"))],
    };
    let away = |what: String| Finding::new(area, State::Away, what);
    vec![match probe(&relay).await {
        Ok(()) => Finding::well(area, "the relay greets us, with the TLS and login that are set"),
        Err(Outcome::Unreachable { verb, why }) => away(format!("{why} (at {})", verb.word()))
            .remedy("check mail.relay, mail.port and mail.tls"),
        Err(Outcome::Refused { reply, verb }) => {
            away(format!("the relay answers {} to {}", reply.code, verb.word()))
                .remedy("check mail.user, mail.password and what the relay permits this host")
        }
        Err(Outcome::Later { verb, .. }) => {
            away(format!("the relay asks us to come back later (at {})", verb.word()))
        }
        Err(Outcome::Accepted { .. } | Outcome::Withheld | Outcome::LostReply { .. }) => {
            away("the relay's answer makes no sense".to_owned())
        }
    }]
}
