//! The store of sealed bytes: can it be written, read and emptied, is it ours,
//! and does it hold what the books say?

use bytes::Bytes;

use super::{Finding, State, sqlite_file};
use crate::{
    app::{Chain, build},
    blobs::{BlobError, Blobs, MARK, Trouble},
    clock::SharedClock,
    config::{BlobKind, Config},
    entropy::Entropy,
    retention::{self, Whose},
    store::Db,
};

/// What is written, and removed again.
const PROBE: &[u8] = b"kakitome check";

pub(super) async fn look(config: &Config, clock: &SharedClock, entropy: &Entropy) -> Vec<Finding> {
    let area = match config.blobs.kind {
        BlobKind::Files => "blobs.dir",
        BlobKind::S3 => "blobs.bucket",
    };
    let blobs = match build::blobs(config, entropy) {
        Ok(blobs) => blobs,
        Err(error) => return vec![Finding::new(area, State::Wrong, format!("{error:#}"))],
    };
    match tried(&blobs, clock).await {
        Ok(()) => {}
        Err((act, error)) => {
            let state = if is_to_be_changed(&error) { State::Wrong } else { State::Away };
            let what = format!("cannot {act}: {}", Chain(&error));
            return vec![Finding::new(area, state, what).remedy(remedy(&error))];
        }
    }
    let mut found = vec![Finding::well(area, "written, read and removed a few bytes")];
    if config.blobs.kind == BlobKind::S3 && config.blobs.access_key.is_none() {
        found.push(Finding::new(
            "blobs.access_key",
            State::Note,
            "none; the machine's role serves",
        ));
    }
    found.extend(against_the_books(config, &blobs).await);
    found
}

/// Writes, reads and removes a few bytes; or what could not be done.
async fn tried(blobs: &Blobs, clock: &SharedClock) -> Result<(), (&'static str, BlobError)> {
    let kept = blobs.append(clock.now(), vec![PROBE.to_vec()]).await;
    let kept = kept.map_err(|error| ("write", error))?;
    let read = match kept.places.first() {
        Some(place) => blobs.read(place, 0..place.len).await,
        None => Ok(Bytes::new()),
    };
    // Removed in any case; what could not be read is told first.
    let destroyed = blobs.destroy(kept.segment).await;
    if read.map_err(|error| ("read", error))? != PROBE {
        return Err(("read back what was written", BlobError::Torn));
    }
    destroyed.map_err(|error| ("delete", error))?;
    blobs.list().await.map(drop).map_err(|error| ("list", error))
}

fn is_to_be_changed(error: &BlobError) -> bool {
    matches!(
        error,
        BlobError::Objects {
            why: Trouble::NoBucket | Trouble::Keys(_) | Trouble::Denied(_) | Trouble::Settings,
            ..
        }
    )
}

fn remedy(error: &BlobError) -> &'static str {
    match error {
        BlobError::Objects { why, .. } => why.remedy(),
        BlobError::Full => "make room; until then what comes in waits on the books",
        BlobError::Disk { .. }
        | BlobError::Gone
        | BlobError::Torn
        | BlobError::OutOfRange
        | BlobError::Empty
        | BlobError::InUse
        | BlobError::NotOurs
        | BlobError::NoEntropy
        | BlobError::Stopped => "may the office write, read and delete there?",
    }
}

/// What only one of the two has; nothing where there are no books yet, which is
/// told elsewhere.
async fn against_the_books(config: &Config, blobs: &Blobs) -> Vec<Finding> {
    if sqlite_file(&config.database.url).is_some_and(|file| !file.exists()) {
        return Vec::new();
    }
    let Ok(db) = build::database(config, Some(1)).await else { return Vec::new() };
    let found = match db.pending_migrations().await {
        Ok(pending) if pending.is_empty() => compared(&db, blobs).await,
        Ok(_) | Err(_) => Vec::new(),
    };
    db.close().await;
    found
}

/// The mark is no secret: it stands in a file beside the segments.
fn without_mark(mark: &str) -> Finding {
    let what = "the store carries no mark, but the books know one: nothing is written there";
    Finding::new("segments", State::Wrong, what).remedy(format!(
        "mount its volume, or correct blobs.dir, blobs.bucket or blobs.prefix; if it is the right \
         one and was emptied, put {mark} into {MARK} there"
    ))
}

fn of_other_books(ours: Option<String>) -> Finding {
    let what = "the store carries the mark of other books: nothing unknown is destroyed there, and \
                an office with a store of its own, or with nothing in this one, writes nothing";
    let apart = "give each office its own bucket, blobs.prefix or blobs.dir, and start it anew";
    let remedy = ours.map_or_else(
        || apart.to_owned(),
        |ours| format!("{apart}; if it is the right one, put {ours} into {MARK} there"),
    );
    Finding::new("segments", State::Wrong, what).remedy(remedy)
}

async fn compared(db: &Db, blobs: &Blobs) -> Vec<Finding> {
    let area = "segments";
    let failed = |error| vec![Finding::new(area, State::Away, Chain(&error).to_string())];
    let (whose, compared) =
        match (retention::whose(db, blobs).await, retention::compare(db, blobs).await) {
            (Ok(whose), Ok(compared)) => (whose, compared),
            (Err(error), _) | (_, Err(error)) => return failed(error),
        };
    let mut found = Vec::new();
    if whose == Whose::Theirs {
        let ours = match retention::mark_of_books(db).await {
            Ok(mark) => mark,
            Err(error) => return failed(error),
        };
        found.push(of_other_books(ours));
    }
    if whose == Whose::Bare {
        match retention::mark_of_books(db).await {
            Ok(mark) => found.push(without_mark(&mark.unwrap_or_default())),
            Err(error) => return failed(error),
        }
    }
    if !compared.missing.is_empty() {
        let what = format!(
            "{} segments with documents are missing from the store: their links cannot be served",
            compared.missing.len()
        );
        found.push(Finding::new(area, State::Away, what).remedy(
            "is the volume mounted, is it the right bucket and prefix? Else bring them back from \
             a copy; their names are the segments' ids, which the log of `kakitome serve` tells",
        ));
    }
    if !compared.unknown.is_empty() && whose != Whose::Theirs {
        let what = format!("{} segments that no delivery knows", compared.unknown.len());
        found.push(Finding::new(area, State::Note, what).remedy(
            "nothing: those being written now get their deliveries, the others are destroyed \
             when they are two days old",
        ));
    }
    if found.is_empty() {
        found.push(Finding::well(area, "the store holds what the books say"));
    }
    found
}
