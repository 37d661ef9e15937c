//! The half hour in which an opened document can be looked at.
//!
//! A session is a signed value, not a row: it names the link and the instant
//! at which it ends. It stands in the address bar in place of the token, so
//! that history, screen shares and the next page's referrer hold something
//! that is worthless in half an hour. It proves only that this link was opened
//! by a person, and by which event of the log; whether the document may still be
//! seen is asked of the database at every request.
//!
//! It refuses every text that it did not write itself; one whose time is over
//! is told apart, so that its reader can be sent back to the mail.

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use crate::{
    crypto::{Key, Lookup, prints},
    domain::{crockford::session_label, ids::EventId},
};

/// How long a session lasts.
pub(super) const LIFE: TimeDelta = TimeDelta::minutes(30);

const BODY: usize = 8 + 32 + 8 + 16;
const TAG: usize = 32;
/// Characters of a session.
const TEXT_LENGTH: usize = ((BODY + TAG) * 4).div_ceil(3);

/// What a session lets its holder do; each kind is signed under its own label,
/// so that none can be taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// See the document.
    Viewer,
    /// Answer the question for the second factor.
    Challenge,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Viewer => "kakitome viewer session v2",
            Self::Challenge => "kakitome challenge v2",
        }
    }
}

/// An opened link, until an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// Where the link's row is.
    pub(super) link: Lookup,
    /// When the session ends.
    pub(super) ends: DateTime<Utc>,
    /// The event that counted the open; none while a question is still open.
    pub(super) opened: EventId,
}

/// What a text in an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A session of ours.
    Live(Session),
    /// A session of ours whose time is over.
    Over,
    /// Nothing of ours.
    Foreign,
}

impl Session {
    /// A session for a link that was opened `now`; it ends no later than the
    /// link itself.
    pub(super) fn begin(
        link: Lookup,
        opened: EventId,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> Self {
        let ends = now.checked_add_signed(LIFE).map_or(expires, |end| end.min(expires));
        Self { link, ends, opened }
    }

    /// A question that is asked `now`, before anything is opened.
    pub(super) fn ask(link: Lookup, now: DateTime<Utc>, expires: DateTime<Utc>) -> Self {
        Self::begin(link, EventId(Uuid::nil()), now, expires)
    }

    /// What this opening is called in answers and in the log; no secret.
    pub(super) fn label(&self) -> String {
        session_label(self.opened)
    }

    /// The text for the address.
    pub(super) fn text(&self, purpose: Purpose, key: &Key) -> String {
        let body = self.body();
        let tag = prints::mac(key, purpose.label(), &[&body]);
        BASE64URL_NOPAD.encode(&[body.as_slice(), &tag].concat())
    }

    /// Reads a text of [`text`](Self::text).
    pub(super) fn parse(text: &str, purpose: Purpose, key: &Key, now: DateTime<Utc>) -> Parsed {
        match Self::read(text, purpose, key) {
            Some(session) if now < session.ends => Parsed::Live(session),
            Some(_) => Parsed::Over,
            None => Parsed::Foreign,
        }
    }

    fn read(text: &str, purpose: Purpose, key: &Key) -> Option<Self> {
        if text.len() != TEXT_LENGTH {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (body, tag) = bytes.split_first_chunk::<BODY>()?;
        if !prints::same(&prints::mac(key, purpose.label(), &[body]), tag) {
            return None;
        }
        let (day, rest) = body.split_first_chunk::<8>()?;
        let (print, ends) = rest.split_first_chunk::<32>()?;
        let (ends, opened) = ends.split_first_chunk::<8>()?;
        let ends = DateTime::from_timestamp_micros(i64::from_be_bytes(*ends))?;
        let opened = EventId(Uuid::from_slice(opened).ok()?);
        let link = Lookup { day: i64::from_be_bytes(*day), print: *print };
        Some(Self { link, ends, opened })
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(BODY);
        body.extend_from_slice(&self.link.day.to_be_bytes());
        body.extend_from_slice(&self.link.print);
        body.extend_from_slice(&self.ends.timestamp_micros().to_be_bytes());
        body.extend_from_slice(self.opened.0.as_bytes());
        body
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32])
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    fn session() -> Session {
        let link = Lookup { day: 20_778, print: [5; 32] };
        let opened = EventId(Uuid::from_u128(7));
        Session::begin(link, opened, now(), now().checked_add_signed(TimeDelta::days(14)).unwrap())
    }

    #[test]
    fn a_session_is_read_back_until_its_end_and_under_its_key() {
        let text = session().text(Purpose::Viewer, &key(1));
        assert_eq!(text.len(), TEXT_LENGTH, "one length for all");
        let read = |minutes| {
            Session::parse(&text, Purpose::Viewer, &key(1), now() + TimeDelta::minutes(minutes))
        };
        assert_eq!(read(29), Parsed::Live(session()), "inside its half hour");
        assert_eq!(read(30), Parsed::Over, "over");
        let other = Session::parse(&text, Purpose::Viewer, &key(2), now());
        assert_eq!(other, Parsed::Foreign, "another key");
        let other = Session::parse(&text, Purpose::Challenge, &key(1), now());
        assert_eq!(other, Parsed::Foreign, "another purpose");
    }

    #[test]
    fn a_session_ends_with_its_link() {
        let (link, opened) = (session().link, session().opened);
        let short = Session::begin(link, opened, now(), now() + TimeDelta::minutes(4));
        assert_eq!(short.ends, now() + TimeDelta::minutes(4), "not after the link");
    }

    proptest! {
        #[test]
        fn one_changed_character_is_refused(at in 0..TEXT_LENGTH, to in "[A-Za-z0-9_-]") {
            let text = session().text(Purpose::Viewer, &key(1));
            let mut spoiled = text.clone().into_bytes();
            spoiled[at] = to.as_bytes()[0];
            let spoiled = String::from_utf8(spoiled).unwrap();
            prop_assume!(spoiled != text);
            prop_assert_eq!(Session::parse(&spoiled, Purpose::Viewer, &key(1), now()), Parsed::Foreign);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,120}") {
            prop_assert_eq!(Session::parse(&text, Purpose::Viewer, &key(1), now()), Parsed::Foreign);
        }
    }
}
