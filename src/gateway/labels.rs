//! What makes a visitor look like a program, as labels in the log.
//!
//! They are labels and never decide anything: a person behind an odd browser
//! must get their document, and a program that behaves like a person cannot be
//! told from one. Who reads the log later sees on what grounds an open may
//! have been a mail gateway's.

use axum::http::{HeaderMap, HeaderValue, Method, header};
use chrono::{DateTime, TimeDelta, Utc};

/// How soon after the relay took the mail hardly any person has opened it.
const EARLY: TimeDelta = TimeDelta::seconds(60);
/// Fetches of a minute from which on they are a burst.
const BURST: i64 = 5;

/// Parts of names that programs give themselves, in lower case.
const PROGRAMS: [&str; 34] = [
    "axios",
    "barracuda",
    "bingpreview",
    "bot/",
    "bot;",
    "bot)",
    "bot-",
    "slackbot",
    "crawler",
    "curl/",
    "facebookexternalhit",
    "forcepoint",
    "go-http-client",
    "google-safety",
    "googleimageproxy",
    "headlesschrome",
    "http-client",
    "java/",
    "libwww",
    "line-poker",
    "linkscan",
    "mimecast",
    "node-fetch",
    "okhttp",
    "phantomjs",
    "preview",
    "proofpoint",
    "python-",
    "safelinks",
    "scanner",
    "skypeuri",
    "spider",
    "wget",
    "whatsapp",
];

/// Labels of one visit.
#[expect(clippy::struct_excessive_bools, reason = "each is one label")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Labels {
    no_sec_fetch: bool,
    early: bool,
    known_program: bool,
    head: bool,
}

impl Labels {
    /// What a request looks like; `sent` is when the relay took the mail.
    pub(super) fn of(
        method: &Method,
        headers: &HeaderMap,
        sent: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Self {
        let program = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
        let program = program.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
        let early = sent.is_some_and(|sent| now.signed_duration_since(sent) < EARLY);
        Self {
            no_sec_fetch: !headers.contains_key("sec-fetch-site"),
            early,
            known_program: program
                .is_none_or(|name| PROGRAMS.iter().any(|part| name.contains(part))),
            head: method == Method::HEAD,
        }
    }

    /// The labels as the log keeps them, in the order of the alphabet; `count`
    /// is how many of these visits came within a minute. Nothing when nothing
    /// stands out.
    pub(super) fn words(self, count: i64) -> Option<String> {
        let all = [
            (count >= BURST, "burst"),
            (self.early, "early"),
            (self.head, "head"),
            (self.known_program, "known_program"),
            (self.no_sec_fetch, "no_sec_fetch"),
        ];
        let words: Vec<_> = all.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) \
                          AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/604.1";

    fn labels(program: Option<&str>, sec_fetch: bool, seconds: i64) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(program) = program {
            headers.insert(header::USER_AGENT, program.parse().unwrap());
        }
        if sec_fetch {
            headers.insert("sec-fetch-site", "none".parse().unwrap());
        }
        let sent = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        Labels::of(&Method::GET, &headers, Some(sent), sent + TimeDelta::seconds(seconds)).words(1)
    }

    #[test]
    fn a_person_has_no_label() {
        assert_eq!(labels(Some(SAFARI), true, 60), None, "a phone, a minute later");
    }

    #[test]
    fn programs_are_seen_by_what_they_say_and_leave_out() {
        let words = |program| labels(Some(program), true, 600).unwrap_or_default();
        assert_eq!(
            words("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"),
            "known_program",
            "says so"
        );
        assert_eq!(words("python-requests/2.32"), "known_program", "a library");
        assert_eq!(words("Mozilla/5.0 (Linux; Android 14; CUBOT X18) Chrome/130"), "", "a phone");
        assert_eq!(labels(None, true, 600).as_deref(), Some("known_program"), "says nothing");
        assert_eq!(
            labels(Some(SAFARI), false, 22).as_deref(),
            Some("early no_sec_fetch"),
            "what a browser would say, and sooner than a person"
        );
    }

    #[test]
    fn many_fetches_of_a_minute_are_a_burst() {
        let none = Labels::default();
        assert_eq!(none.words(4), None, "a person who reloads");
        assert_eq!(none.words(5).as_deref(), Some("burst"), "no person");
    }
}
