//! Holds every destruction while the clocks disagree, and says so once.
//!
//! Two notes stand on the books: the time of the last look at which all
//! agreed, and, while there is one, the hold. A hold is reported when it
//! begins and when it ends, not at every tick in between.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Retention, RetentionError,
    witness::{Look, Opinion},
};
use crate::{
    domain::log::{Actor, Kind},
    store::{
        checkpoints,
        ledger::{self, DetailKey, EventDraft},
    },
};

const NOTED: &str = "retention/noted";
const HOLD: &str = "retention/hold";
const JUMPED: &str = "jumped";
const APART: &str = "apart";
const NONE: &str = "";

impl Retention {
    /// How far apart the clocks are, if too far to destroy anything.
    pub(super) async fn held(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, RetentionError> {
        let look = self.look(now).await?;
        let mut tx = self.db.read().await?;
        let noted = checkpoints::get(&mut tx, NOTED).await?.map(|note| note.at);
        let hold = checkpoints::get(&mut tx, HOLD).await?.map(|note| note.value);
        drop(tx);
        let hold = hold.filter(|value| value != NONE);
        let jumped = hold.as_deref() == Some(JUMPED);
        let tolerance = self.settings.clock_tolerance;
        match self.with_memory(|memory| memory.look(look, noted, jumped, tolerance)) {
            Opinion::Agreed => {
                self.note(now, NONE, hold.map(|_| (Kind::ClockReleased, TimeDelta::zero())))
                    .await?;
                Ok(None)
            }
            Opinion::Apart { by, jumped } => {
                let word = if jumped { JUMPED } else { APART };
                if hold.as_deref() != Some(word) {
                    let begins = hold.is_none().then_some((Kind::ClockHeld, by));
                    self.note(now, word, begins).await?;
                    tracing::error!(
                        apart_seconds = by.num_seconds(),
                        "the clocks disagree: nothing is destroyed until they agree"
                    );
                }
                Ok(Some(by))
            }
        }
    }

    /// A person says that our clock is right: the hold ends, and the time is
    /// noted. Does not help while the database's clock disagrees.
    pub async fn vouch_for_clock(&self) -> Result<(), RetentionError> {
        let now = self.clock.now();
        let look = self.look(now).await?;
        let mut tx = self.db.read().await?;
        let hold = checkpoints::get(&mut tx, HOLD).await?.filter(|note| note.value != NONE);
        drop(tx);
        self.note(now, NONE, hold.map(|_| (Kind::ClockReleased, TimeDelta::zero()))).await?;
        self.with_memory(|memory| memory.vouched(look));
        Ok(())
    }

    async fn look(&self, now: DateTime<Utc>) -> Result<Look, RetentionError> {
        Ok(Look { ours: now, theirs: self.witness.now().await?, steady: self.witness.steady() })
    }

    /// Writes the notes and, with them, what they begin or end.
    async fn note(
        &self,
        now: DateTime<Utc>,
        hold: &str,
        report: Option<(Kind, TimeDelta)>,
    ) -> Result<(), RetentionError> {
        let mut tx = self.db.begin().await?;
        if hold == NONE {
            checkpoints::set(&mut tx, NOTED, now, "").await?;
        }
        checkpoints::set(&mut tx, HOLD, now, hold).await?;
        if let Some((kind, apart)) = report {
            let event = self.scribe.event(EventDraft {
                tenant: &self.settings.office,
                job: None,
                at: now,
                kind,
                actor: Actor::Retention,
                code: None,
                facts: vec![("apart_seconds", apart.num_seconds().into())],
                personal: Vec::new(),
                detail_key: DetailKey::None,
            })?;
            ledger::append(&mut tx, &[event]).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
