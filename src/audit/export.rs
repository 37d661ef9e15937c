//! A part of the log as a file: CSV for a spreadsheet, JSON lines for a
//! program.
//!
//! The CSV begins with a byte order mark, because the spreadsheet programs of
//! Japanese offices take UTF-8 for Shift JIS without one, and a cell that one
//! of them would take for a formula is prefixed with an apostrophe: a
//! recipient's name must not run on an auditor's desk.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::BASE64;
use serde::Serialize;

use super::Line;

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, UTF-8 with byte order mark.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// The export could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A line could not be put into CSV.
    #[error("a line of CSV cannot be written")]
    Csv(#[from] csv::Error),
    /// A line could not be put into JSON.
    #[error("a line of JSON cannot be written")]
    Json(#[from] serde_json::Error),
    /// The file cannot be written.
    #[error("the file cannot be written")]
    File(#[from] std::io::Error),
}

/// The columns of the CSV.
const COLUMNS: [&str; 19] = [
    "at",
    "tenant",
    "event",
    "kind",
    "actor",
    "code",
    "job",
    "document_number",
    "transaction_date",
    "amount",
    "currency",
    "counterparty",
    "counterparty_code",
    "facts",
    "detail",
    "detail_state",
    "leaf_index",
    "leaf_sha256",
    "leaf",
];

/// Writes lines of the log to a file.
#[derive(Debug)]
pub struct Exporter<W: Write>(Kind<W>);

#[derive(Debug)]
enum Kind<W: Write> {
    Csv(Box<csv::Writer<W>>),
    JsonLines(W),
}

impl<W: Write> Exporter<W> {
    /// Begins a file.
    pub fn begin(mut out: W, format: Format) -> Result<Self, ExportError> {
        match format {
            Format::Csv => {
                out.write_all("\u{feff}".as_bytes())?;
                let ends = csv::Terminator::CRLF;
                let mut writer = csv::WriterBuilder::new().terminator(ends).from_writer(out);
                writer.write_record(COLUMNS)?;
                Ok(Self(Kind::Csv(Box::new(writer))))
            }
            Format::JsonLines => Ok(Self(Kind::JsonLines(out))),
        }
    }

    /// Writes one line.
    pub fn line(&mut self, line: &Line) -> Result<(), ExportError> {
        match &mut self.0 {
            Kind::Csv(writer) => writer.write_record(cells(line).map(|cell| harmless(&cell)))?,
            Kind::JsonLines(out) => {
                serde_json::to_writer(&mut *out, &Json::of(line))?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// Ends the file: everything has been handed to the system.
    pub fn end(self) -> Result<(), ExportError> {
        match self.0 {
            Kind::Csv(mut writer) => writer.flush()?,
            Kind::JsonLines(mut out) => out.flush()?,
        }
        Ok(())
    }
}

/// A cell that no spreadsheet program takes for a formula.
fn harmless(cell: &str) -> String {
    if cell.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

fn cells(line: &Line) -> [String; 19] {
    let pairs = |pairs: &[(String, String)]| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let evidence = line.evidence.clone().unwrap_or_default();
    [
        rfc3339(line.at),
        line.tenant.to_string(),
        line.event.to_string(),
        line.kind.to_string(),
        line.actor.to_string(),
        text(&line.code),
        line.job.map(|job| job.to_string()).unwrap_or_default(),
        text(&evidence.number),
        text(&evidence.date),
        text(&evidence.amount),
        text(&evidence.currency),
        text(&evidence.counterparty),
        text(&evidence.counterparty_code),
        pairs(&line.facts),
        pairs(&line.detail),
        line.detail_state.word().to_owned(),
        line.leaf_index.map(|index| index.to_string()).unwrap_or_default(),
        line.leaf_sha256(),
        BASE64.encode(&line.leaf),
    ]
}

#[derive(Serialize)]
struct Json<'a> {
    at: String,
    tenant: &'a str,
    event: String,
    kind: &'a str,
    actor: &'a str,
    code: Option<&'a str>,
    job: Option<String>,
    evidence: Option<&'a super::Evidence>,
    facts: serde_json::Map<String, serde_json::Value>,
    detail: serde_json::Map<String, serde_json::Value>,
    detail_state: &'static str,
    leaf_index: Option<i64>,
    leaf_sha256: String,
    leaf: String,
}

impl<'a> Json<'a> {
    fn of(line: &'a Line) -> Self {
        let object = |pairs: &[(String, String)]| {
            pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
        };
        Self {
            at: rfc3339(line.at),
            tenant: line.tenant.as_str(),
            event: line.event.to_string(),
            kind: line.kind,
            actor: line.actor,
            code: line.code.as_deref(),
            job: line.job.map(|job| job.to_string()),
            evidence: line.evidence.as_ref(),
            facts: object(&line.facts),
            detail: object(&line.detail),
            detail_state: line.detail_state.word(),
            leaf_index: line.leaf_index,
            leaf_sha256: line.leaf_sha256(),
            leaf: BASE64.encode(&line.leaf),
        }
    }
}

fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{super::*, *};
    use crate::domain::ids::{EventId, JobId, TenantId};

    fn line() -> Line {
        Line {
            at: "2026-11-21T12:00:00Z".parse().unwrap(),
            tenant: TenantId::parse("acme").unwrap(),
            event: EventId(Uuid::from_u128(1)),
            kind: "accepted",
            actor: "application",
            code: None,
            job: Some(JobId(Uuid::from_u128(2))),
            evidence: Some(Evidence {
                number: Some("=1+1".into()),
                counterparty: Some("株式会社ひかり, 商事".into()),
                amount: Some("-500".into()),
                ..Evidence::default()
            }),
            facts: vec![("channel".into(), "email".into())],
            detail: vec![("recipient_name".into(), "@SUM(A1)".into())],
            detail_state: DetailState::Open,
            leaf_index: None,
            leaf: vec![1, 2, 3],
        }
    }

    fn export(format: Format) -> String {
        let mut out = Vec::new();
        let mut exporter = Exporter::begin(&mut out, format).unwrap();
        exporter.line(&line()).unwrap();
        exporter.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_spreadsheet_reads_it_and_runs_nothing() {
        let text = export(Format::Csv);
        assert!(text.starts_with("\u{feff}at,tenant,"), "a byte order mark, then the columns");
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(&record[7], "'=1+1", "no formula");
        assert_eq!(&record[9], "'-500", "no formula either");
        assert_eq!(&record[11], "株式会社ひかり, 商事", "quoted where needed");
        assert_eq!(&record[14], "recipient_name=@SUM(A1)", "a cell begins with its name");
        assert_eq!(record.len(), COLUMNS.len(), "one cell a column");
    }

    #[test]
    fn a_program_reads_it_as_it_is() {
        let text = export(Format::JsonLines);
        let value: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(value["evidence"]["number"], "=1+1", "JSON needs no apostrophe");
        assert_eq!(value["detail"]["recipient_name"], "@SUM(A1)", "opened");
        assert_eq!(value["leaf"], "AQID", "for those who rebuild the tree");
        assert_eq!(text.matches('\n').count(), 1, "one line");
    }
}
