//! What the question's page says: where the code went, how long it holds, how
//! many tries are left, and what was wrong with the answer.

use axum::http::StatusCode;
use minijinja::{Value, context};

use super::{
    super::{Inner, opening::Proof, when::When},
    Asker,
};
use crate::{
    domain::{
        factor::{FactorKind, masked},
        locale::Locale,
    },
    store::factors::{CODE_PAUSE, CODE_TRIES_MAX, FactorRow, WINDOW_TRIES_MAX},
};

/// What became of an answer.
pub(super) enum Asked {
    /// It is right.
    Held(Proof),
    /// It is not, or was not even compared.
    Not(Problem),
    /// There is no room to compare it now.
    Busy,
}

/// Why an answer did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is another code or passcode.
    Wrong,
    /// It is not eight digits; nothing was counted.
    NoCode,
    /// There is nothing in it; nothing was counted.
    NoPasscode,
    /// No code holds: it is over, used, or was tried too often.
    NoneHolds,
    /// No passcode may be tried for a while.
    Closed,
}

impl Problem {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Wrong | Self::NoneHolds => StatusCode::FORBIDDEN,
            Self::NoCode | Self::NoPasscode => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Closed => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Wrong => "wrong_answer",
            Self::NoCode => "no_code",
            Self::NoPasscode => "no_passcode",
            Self::NoneHolds => "none_holds",
            Self::Closed => "closed",
        }
    }
}

/// What the template needs.
pub(super) fn values(
    gateway: &Inner,
    asker: &Asker,
    row: &FactorRow,
    day: i64,
    problem: Option<Problem>,
    locale: Locale,
) -> Value {
    let link = &asker.found.link;
    let display = gateway.parts.tenants.display(&link.tenant);
    let words = &gateway.pages.words;
    let when = |instant| When::new(words, locale, display.zone, instant, asker.now);
    let is_code = asker.factor.kind() == FactorKind::EmailCode;
    let holds = row.code_holds(asker.now);
    let pause_over = row
        .code_at
        .and_then(|at| at.checked_add_signed(CODE_PAUSE))
        .is_none_or(|opens| opens <= asker.now);
    let closed = if is_code { None } else { row.closed_until(asker.now) };
    let left = if is_code {
        CODE_TRIES_MAX.saturating_sub(row.code_tries)
    } else if row.closed_until(asker.now).is_some() {
        0
    } else {
        WINDOW_TRIES_MAX.saturating_sub(tries_now(row, asker))
    };
    let tries = words.get(locale, if left == 1 { "try_left" } else { "tries_left" });
    context! {
        here => format!("/c/{}", asker.text),
        ticket => asker.text.as_str(),
        is_code,
        sender => display.name,
        contact => display.contact,
        brand => gateway.pages.brand(&link.tenant),
        address => masked(asker.personal.email.as_deref().unwrap_or_default()),
        holds,
        until => row.code_until.filter(|_| holds).map(when),
        another => row.may_have_code(day) && pause_over,
        day_over => !row.may_have_code(day),
        closed => closed.map(when),
        asks => if is_code { holds } else { closed.is_none() },
        problem => problem.map(Problem::word),
        left => tries.replace("{n}", &left.to_string()),
    }
}

fn tries_now(row: &FactorRow, asker: &Asker) -> i64 {
    let opens = row.window_from.checked_add_signed(crate::store::factors::WINDOW);
    if opens.is_some_and(|opens| opens <= asker.now) { 0 } else { row.window_tries }
}
