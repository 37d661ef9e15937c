//! Bad days for the mail catcher: what it does wrong, at which word, to whom.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::dispatch::email::Verb;

/// What the catcher does instead of its duty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Answers with these lines, given without their line ends. At
    /// [`Verb::Body`] the mail is kept if the first digit is 2.
    Say(String),
    /// Hangs up without an answer. At [`Verb::Body`] that is after the whole
    /// mail has arrived, and the mail is not kept.
    HangUp,
    /// Like [`Act::HangUp`], but the mail is kept: the reply that everyone
    /// fears to lose.
    KeepAndHangUp,
    /// Does its duty, then hangs up. At [`Verb::Data`] that is after the 354
    /// and before the dot.
    DutyThenHangUp,
    /// Waits, then does its duty.
    Late(Duration),
    /// Never answers, and reads nothing more.
    Freeze,
    /// Answers with one line of ten megabytes.
    HugeLine,
    /// Does its duty, and adds a 250 that nobody asked for.
    Surplus,
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub struct Rule {
    /// At which word.
    pub at: Verb,
    /// For which recipient; none for everyone. Before RCPT there is none yet.
    pub recipient: Option<String>,
    /// What happens.
    pub act: Act,
    /// How often it happens before the day gets better.
    pub times: u32,
}

/// The rules of a bad day; the first that fits is used.
#[derive(Clone, Debug, Default)]
pub struct Script(Arc<Mutex<Vec<Rule>>>);

impl Script {
    /// A script of these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(Arc::new(Mutex::new(rules)))
    }

    /// A script with one rule, for everyone, for ever.
    pub fn always(at: Verb, act: Act) -> Self {
        Self::new(vec![Rule { at, recipient: None, act, times: u32::MAX }])
    }

    /// What to do at `verb` in a transaction for `recipient`.
    pub(super) fn next(&self, verb: Verb, recipient: Option<&str>) -> Option<Act> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.iter_mut().find(|rule| {
            rule.at == verb
                && rule.times > 0
                && (rule.recipient.is_none() || rule.recipient.as_deref() == recipient)
        })?;
        rule.times = if rule.times == u32::MAX { u32::MAX } else { rule.times.saturating_sub(1) };
        Some(rule.act.clone())
    }
}
