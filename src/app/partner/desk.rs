//! The simulator's desk: what it took, what it printed, what it still has to
//! say. It lies in a file, so that a restarted demo goes on where it stopped.
#![expect(clippy::arithmetic_side_effects, reason = "a simulator adds days to today")]

use std::{collections::BTreeSet, fmt::Write as _, fs, io, path::Path};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{Day, PartnerFault, Script, check::Verdict, failed};

/// How long a letter takes to come back.
const RETURN_DAYS: i64 = 10;

/// One printed letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// The batch it came in.
    pub batch: String,
    /// The id printed on its pages.
    pub piece: String,
    /// SHA-256 of the PDF in hexadecimal.
    pub sha256: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Desk {
    pub(super) taken: BTreeSet<String>,
    pub(super) printed: Vec<Printed>,
    pending: Vec<Answer>,
    written: u64,
}

/// An answer file that is still to be written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) name: String,
    due: DateTime<Utc>,
    text: String,
    /// The forms it is still to be written in, the next one last.
    forms: Vec<Form>,
}

/// How a file is left in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    /// All of it, then the marker.
    Whole,
    /// Half of it, without marker.
    Half,
    /// Half of it, with marker.
    HalfMarked,
}

impl Answer {
    /// What is written next, and whether it is marked as finished.
    pub(super) fn next_form(&mut self) -> (&str, bool) {
        let half = self.text.len() / 2;
        let half = self.text.get(..half).unwrap_or_default();
        match self.forms.pop().unwrap_or(Form::Whole) {
            Form::Whole => (&self.text, true),
            Form::Half => (half, false),
            Form::HalfMarked => (half, true),
        }
    }
}

impl Desk {
    pub(super) fn open(folder: &Path) -> Result<Self, PartnerFault> {
        match fs::read(folder.join("desk.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| failed("read its desk")(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed("read its desk")(error)),
        }
    }

    pub(super) fn save(&self, folder: &Path) -> Result<(), PartnerFault> {
        let bytes =
            serde_json::to_vec(self).map_err(|error| failed("keep its desk")(error.into()))?;
        fs::write(folder.join("desk.tmp"), bytes)
            .and_then(|()| fs::rename(folder.join("desk.tmp"), folder.join("desk.json")))
            .map_err(failed("keep its desk"))
    }

    /// Answers that are due now and have something left to be written.
    pub(super) fn due(&mut self, now: DateTime<Utc>) -> impl Iterator<Item = &mut Answer> {
        self.pending.iter_mut().filter(move |answer| answer.due <= now)
    }

    /// Removes what was said to the end.
    pub(super) fn forget_said(&mut self) {
        self.pending.retain(|answer| !answer.forms.is_empty());
    }

    /// Writes down what will be said about a batch, and when.
    pub(super) fn plan(
        &mut self,
        batch: &str,
        verdicts: &[Verdict],
        day: Day,
        script: &Script,
        zone: Tz,
        now: DateTime<Utc>,
    ) {
        self.taken.insert(batch.to_owned());
        let fine: Vec<&Verdict> =
            verdicts.iter().filter(|verdict| verdict.fault.is_none()).collect();
        if day == Day::Mute || verdicts.is_empty() {
            return;
        }
        self.printed.extend(fine.iter().map(|verdict| Printed {
            batch: batch.to_owned(),
            piece: verdict.piece.clone(),
            sha256: verdict.sha256.clone(),
        }));
        let first: Vec<Said<'_>> = verdicts
            .iter()
            .map(|verdict| match verdict.fault {
                None => {
                    Said { piece: &verdict.piece, answer: "accepted", date: None, reason: None }
                }
                Some(reason) => Said {
                    piece: &verdict.piece,
                    answer: "rejected",
                    date: None,
                    reason: Some(reason),
                },
            })
            .collect();
        let date_after =
            |after: TimeDelta| (now + after).with_timezone(&zone).date_naive().to_string();
        let posted_on = date_after(script.post_after);
        let posted: Vec<Said<'_>> = fine
            .iter()
            .map(|verdict| Said {
                piece: &verdict.piece,
                answer: "posted",
                date: Some(&posted_on),
                reason: None,
            })
            .collect();
        let (accept_after, post_after) = match day {
            Day::OutOfOrder => (script.post_after, script.accept_after),
            Day::Good
            | Day::RejectsOne
            | Day::Silent
            | Day::Mute
            | Day::Twice
            | Day::HalfWritten
            | Day::Broken
            | Day::Returns => (script.accept_after, script.post_after),
        };
        self.say(batch, &first, day, now + accept_after);
        if day != Day::Silent && !posted.is_empty() {
            self.say(batch, &posted, day, now + post_after);
        }
        if let (Day::Returns, Some(verdict)) = (day, fine.first()) {
            let after = script.post_after + TimeDelta::days(RETURN_DAYS);
            let (piece, on) = (verdict.piece.as_str(), date_after(after));
            let back = Said { piece, answer: "returned", date: Some(&on), reason: Some("moved") };
            self.say(batch, &[back], day, now + after);
        }
    }

    fn say(&mut self, batch: &str, said: &[Said<'_>], day: Day, due: DateTime<Utc>) {
        let times = if day == Day::Twice { 2 } else { 1 };
        for _ in 0..times {
            self.written = self.written.saturating_add(1);
            // Both kinds of file take part.
            let (ending, text) = if self.written.is_multiple_of(2) {
                ("csv", as_csv(batch, said))
            } else {
                ("json", as_json(batch, said))
            };
            let forms = match day {
                Day::HalfWritten => vec![Form::Whole, Form::Half],
                Day::Broken => vec![Form::Whole, Form::HalfMarked],
                Day::Good
                | Day::RejectsOne
                | Day::Silent
                | Day::Mute
                | Day::Twice
                | Day::OutOfOrder
                | Day::Returns => vec![Form::Whole],
            };
            let name = format!("{:06}-{batch}.{ending}", self.written);
            self.pending.push(Answer { name, due, text, forms });
        }
    }
}

#[derive(Serialize)]
struct Said<'a> {
    piece: &'a str,
    answer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

fn as_json(batch: &str, said: &[Said<'_>]) -> String {
    serde_json::json!({"version": 1, "batch": batch, "answers": said}).to_string()
}

fn as_csv(batch: &str, said: &[Said<'_>]) -> String {
    let mut text = "batch,piece,answer,date,reason\r\n".to_owned();
    for Said { piece, answer, date, reason } in said {
        let (date, reason) = (date.unwrap_or_default(), reason.unwrap_or_default());
        // Writing into a String cannot fail.
        write!(text, "{batch},{piece},{answer},{date},{reason}\r\n").unwrap_or_default();
    }
    text
}
