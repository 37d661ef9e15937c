//! A relay that has every bad day there is.

use std::sync::{Arc, Mutex, atomic::Ordering};

use futures::future::BoxFuture;
use kakitome::dispatch::email::{Carrier, Enhanced, Letter, Outcome, Reply, Trouble, Verb};
use sha2::{Digest as _, Sha256};

use crate::world::{Death, Dice, Relay};

pub(crate) struct Faulty {
    pub(crate) relay: Arc<Relay>,
    pub(crate) dice: Arc<Mutex<Dice>>,
    pub(crate) death: Arc<Death>,
}

fn reply(code: u16, (class, subject, detail): (u8, u16, u16)) -> Reply {
    Reply { code, enhanced: Some(Enhanced(class, subject, detail)), text: "words".into() }
}

impl Faulty {
    /// The relay becomes responsible.
    fn take(&self, mail: &Letter) {
        let digest = Sha256::digest(mail.bytes.as_slice()).into();
        self.relay.taken.lock().unwrap().entry(mail.job).or_default().push(digest);
    }

    async fn offer(
        &mut self,
        mail: &Letter,
        before_dot: &mut (dyn FnMut() -> bool + Send),
    ) -> Outcome {
        let mood = if self.relay.moody.load(Ordering::SeqCst) {
            self.dice.lock().unwrap().below(24)
        } else {
            99
        };
        match mood {
            0 => return Outcome::Later { reply: Some(reply(451, (4, 7, 1))), verb: Verb::Rcpt },
            1 => return Outcome::Refused { reply: reply(550, (5, 1, 1)), verb: Verb::Rcpt },
            2 => return Outcome::Refused { reply: reply(550, (5, 7, 1)), verb: Verb::Mail },
            3 => return Outcome::Unreachable { verb: Verb::Rcpt, why: Trouble::Closed },
            4 => return Outcome::Unreachable { verb: Verb::Connect, why: Trouble::Closed },
            _ => {}
        }
        if !self.death.step() {
            self.died().await;
        }
        if !before_dot() {
            return Outcome::Withheld;
        }
        if !self.death.step() {
            // Died after the line in the journal, before the dot left.
            self.died().await;
        }
        match mood {
            5 => {
                self.take(mail);
                return Outcome::LostReply { why: Trouble::Closed };
            }
            6 => return Outcome::LostReply { why: Trouble::TimedOut },
            7 => return Outcome::Refused { reply: reply(554, (5, 6, 0)), verb: Verb::Body },
            _ => self.take(mail),
        }
        if !self.death.step() {
            // Died with the relay's 250 on the wire.
            self.died().await;
        }
        Outcome::Accepted { reply: reply(250, (2, 0, 0)) }
    }

    async fn died(&self) {
        std::future::pending::<()>().await;
    }
}

impl Carrier for Faulty {
    fn carry<'a>(
        &'a mut self,
        mail: &'a Letter,
        before_dot: &'a mut (dyn FnMut() -> bool + Send),
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(self.offer(mail, before_dot))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
