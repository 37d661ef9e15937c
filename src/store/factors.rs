//! Tries of second factors, counted before anything is compared.
//!
//! Every try is one conditional update that either counts it or says no, so
//! that five tries are five under any concurrency, and a process that dies in
//! between has used one up. The right try is taken back with the open that it
//! earned, in one transaction; so only wrong ones stay.
//!
//! Refuses to try a locked link, and one that has used up its tries.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    StoreError, Tx,
    cells::{Cells as _, micros},
    code_mails,
    error::Doing as _,
    execute,
    run::Rows as _,
    statements::{Statement, both},
    with_conn, work,
};
use crate::{crypto::Lookup, domain::ids::JobId};

/// Wrong tries of a link, in all; then it locks.
pub const TRIES_MAX: i64 = 20;
/// Tries of a passcode within [`WINDOW`].
pub const WINDOW_TRIES_MAX: i64 = 5;
/// The time in which [`WINDOW_TRIES_MAX`] tries are let through.
pub const WINDOW: TimeDelta = TimeDelta::minutes(15);
/// Tries of one code.
pub const CODE_TRIES_MAX: i64 = 5;
/// How long a code holds.
pub const CODE_LIFE: TimeDelta = TimeDelta::minutes(10);
/// Codes of one link on one day of the tenant's calendar.
pub const CODES_A_DAY: i64 = 3;
/// The shortest time between two codes of a link.
pub const CODE_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// How a link's second factor stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactorRow {
    /// Wrong tries, in all.
    pub tries: i64,
    /// When the present window of tries began.
    pub window_from: DateTime<Utc>,
    /// Tries within it.
    pub window_tries: i64,
    /// The MAC of the code that was mailed last and not used yet.
    pub code_mac: Option<[u8; 32]>,
    /// When it was drawn.
    pub code_at: Option<DateTime<Utc>>,
    /// Until when it holds.
    pub code_until: Option<DateTime<Utc>>,
    /// Tries of it.
    pub code_tries: i64,
    /// The day (since 1970, tenant's calendar) of the last code.
    pub code_day: i64,
    /// Codes of that day.
    pub code_count: i64,
    /// When the link was locked for its many wrong tries.
    pub locked_at: Option<DateTime<Utc>>,
}

impl FactorRow {
    /// Whether a code is under way that can still be typed in.
    pub fn code_holds(&self, now: DateTime<Utc>) -> bool {
        self.code_mac.is_some()
            && self.code_tries < CODE_TRIES_MAX
            && self.code_until.is_some_and(|until| now < until)
    }

    /// Whether another code may be drawn on this day.
    pub fn may_have_code(&self, day: i64) -> bool {
        self.code_day < day || self.code_count < CODES_A_DAY
    }

    /// When the next passcode may be tried, if none may now.
    pub fn closed_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let opens = self.window_from.checked_add_signed(WINDOW)?;
        (self.window_tries >= WINDOW_TRIES_MAX && now < opens).then_some(opens)
    }

    /// Whether the link has had all the wrong tries it may have.
    pub const fn is_used_up(&self) -> bool {
        self.tries >= TRIES_MAX || self.locked_at.is_some()
    }
}

const FIND: &str = "
    -- factors::find
    SELECT f.tries, f.window_from, f.window_tries, f.code_mac, f.code_at, f.code_until,
           f.code_tries, f.code_day, f.code_count, f.locked_at
    FROM factors f WHERE f.day = $1 AND f.print = $2
";

/// How the second factor of a link stands; untouched when nobody tried yet.
pub async fn find(tx: &mut Tx, link: &Lookup) -> Result<FactorRow, StoreError> {
    let row = with_conn!(tx, |conn| sqlx::query(FIND)
        .bind(link.day)
        .bind(link.print.as_slice())
        .optional(conn)
        .await
        .doing("look at a second factor")?
        .map(|row| {
            Ok::<_, StoreError>(FactorRow {
                tries: row.int("tries")?,
                window_from: row.time("window_from")?,
                window_tries: row.int("window_tries")?,
                code_mac: match row.blob_opt("code_mac")? {
                    Some(_) => Some(row.array("code_mac")?),
                    None => None,
                },
                code_at: row.time_opt("code_at")?,
                code_until: row.time_opt("code_until")?,
                code_tries: row.int("code_tries")?,
                code_day: row.int("code_day")?,
                code_count: row.int("code_count")?,
                locked_at: row.time_opt("locked_at")?,
            })
        })
        .transpose()?);
    Ok(row.unwrap_or_default())
}

const BEGIN: &str = "
    -- factors::begin
    INSERT INTO factors (day, print, job_id, tries, window_from, window_tries, code_tries,
                         code_day, code_count)
    VALUES ($1, $2, $3, 0, 0, 0, 0, 0, 0)
    ON CONFLICT (day, print) DO NOTHING
";

/// Makes sure that there is a row to count in; `false` when the delivery is
/// purged. Locks the delivery, so that no row is begun behind a purge.
async fn begin(tx: &mut Tx, link: &Lookup, job: JobId) -> Result<bool, StoreError> {
    let alive = work::lock_both(tx, job).await?.is_some_and(|(row, _)| row.purged_at.is_none());
    if alive {
        let print = link.print.as_slice();
        execute!(tx, "begin to count tries", BEGIN, link.day, print, job.0)?;
    }
    Ok(alive)
}

const DRAW: &str = "
    -- factors::draw
    UPDATE factors
    SET code_mac = $3, code_at = $4, code_until = $5, code_tries = 0,
        code_count = CASE WHEN code_day < $6 THEN 1 ELSE code_count + 1 END,
        code_day = CASE WHEN code_day < $6 THEN $6 ELSE code_day END
    WHERE day = $1 AND print = $2 AND locked_at IS NULL AND tries < $8
      AND (code_day < $6 OR code_count < $9)
      AND (code_at IS NULL OR code_at <= $7)
";

/// Lets a new code hold in place of the one before, if the day (since 1970,
/// tenant's calendar) has one left and the last is a minute old.
pub async fn draw_code(
    tx: &mut Tx,
    link: &Lookup,
    job: JobId,
    mac: &[u8; 32],
    day: i64,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    if !begin(tx, link, job).await? {
        return Ok(false);
    }
    let drawn = execute!(
        tx,
        "draw a code",
        DRAW,
        link.day,
        link.print.as_slice(),
        mac.as_slice(),
        now.timestamp_micros(),
        micros(now.checked_add_signed(CODE_LIFE)),
        day,
        micros(now.checked_sub_signed(CODE_PAUSE)),
        TRIES_MAX,
        CODES_A_DAY
    )?;
    Ok(drawn == 1)
}

const TRY_CODE: &str = "
    -- factors::try_code
    UPDATE factors SET code_tries = code_tries + 1, tries = tries + 1
    WHERE day = $1 AND print = $2 AND locked_at IS NULL AND tries < $4
      AND code_mac IS NOT NULL AND code_until > $3 AND code_tries < $5
";

/// Counts one try of the code; `false` when none may be made.
pub async fn try_code(tx: &mut Tx, link: &Lookup, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let counted = execute!(
        tx,
        "count a try",
        TRY_CODE,
        link.day,
        link.print.as_slice(),
        now.timestamp_micros(),
        TRIES_MAX,
        CODE_TRIES_MAX
    )?;
    Ok(counted == 1)
}

const TRY_PASSCODE: &str = "
    -- factors::try_passcode
    UPDATE factors
    SET tries = tries + 1,
        window_tries = CASE WHEN window_from <= $4 THEN 1 ELSE window_tries + 1 END,
        window_from = CASE WHEN window_from <= $4 THEN $3 ELSE window_from END
    WHERE day = $1 AND print = $2 AND locked_at IS NULL AND tries < $5
      AND (window_from <= $4 OR window_tries < $6)
";

/// Counts one try of the passcode; `false` when none may be made now.
pub async fn try_passcode(
    tx: &mut Tx,
    link: &Lookup,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    if !begin(tx, link, job).await? {
        return Ok(false);
    }
    let counted = execute!(
        tx,
        "count a try",
        TRY_PASSCODE,
        link.day,
        link.print.as_slice(),
        now.timestamp_micros(),
        micros(now.checked_sub_signed(WINDOW)),
        TRIES_MAX,
        WINDOW_TRIES_MAX
    )?;
    Ok(counted == 1)
}

const REDEEM_CODE: &str = "
    -- factors::redeem_code
    UPDATE factors
    SET code_mac = NULL, tries = CASE WHEN tries > 0 THEN tries - 1 ELSE 0 END
    WHERE day = $1 AND print = $2 AND code_mac = $3 AND locked_at IS NULL
";

/// Uses a right code up: it opens once. `false` when it was used, or another
/// took its place.
pub async fn redeem_code(tx: &mut Tx, link: &Lookup, mac: &[u8; 32]) -> Result<bool, StoreError> {
    let (print, mac) = (link.print.as_slice(), mac.as_slice());
    Ok(execute!(tx, "use a code up", REDEEM_CODE, link.day, print, mac)? == 1)
}

const REDEEM_PASSCODE: &str = "
    -- factors::redeem_passcode
    UPDATE factors
    SET tries = CASE WHEN tries > 0 THEN tries - 1 ELSE 0 END,
        window_tries = CASE WHEN window_tries > 0 THEN window_tries - 1 ELSE 0 END
    WHERE day = $1 AND print = $2 AND locked_at IS NULL
";

/// Takes the try of a right passcode back. `false` when the link was locked
/// meanwhile.
pub async fn redeem_passcode(tx: &mut Tx, link: &Lookup) -> Result<bool, StoreError> {
    let print = link.print.as_slice();
    Ok(execute!(tx, "take a try back", REDEEM_PASSCODE, link.day, print)? == 1)
}

const LOCK: &str = "
    -- factors::lock
    UPDATE factors SET locked_at = $3
    WHERE day = $1 AND print = $2 AND tries >= $4 AND locked_at IS NULL
";

/// Locks a link that has had all its wrong tries; `false` when it has not, or
/// is locked.
pub async fn lock(tx: &mut Tx, link: &Lookup, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let (print, now) = (link.print.as_slice(), now.timestamp_micros());
    Ok(execute!(tx, "lock a link", LOCK, link.day, print, now, TRIES_MAX)? == 1)
}

const FORGET: &str = "
    -- factors::forget
    DELETE FROM factors WHERE job_id = $1
";

/// Forgets what was tried at a delivery that is purged, and a code that waits
/// to be mailed.
pub(super) async fn forget(tx: &mut Tx, job: JobId) -> Result<(), StoreError> {
    execute!(tx, "forget tries", FORGET, job.0)?;
    code_mails::forget(tx, job).await
}

/// The statements of this file.
pub(super) const STATEMENTS: &[Statement] = &[
    both("factors::find", FIND),
    both("factors::begin", BEGIN),
    both("factors::draw_code", DRAW),
    both("factors::try_code", TRY_CODE),
    both("factors::try_passcode", TRY_PASSCODE),
    both("factors::redeem_code", REDEEM_CODE),
    both("factors::redeem_passcode", REDEEM_PASSCODE),
    both("factors::lock", LOCK),
    both("factors::forget", FORGET),
];
