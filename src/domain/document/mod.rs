//! The rules of documents: what an invoice must say, how its tax is rounded,
//! what of it is kept as evidence.
//!
//! A template whose name is `invoice` or begins with `invoice-` is an invoice
//! and follows [`invoice`]; every other document has no rules of its own.

pub mod invoice;
pub mod money;
pub mod registration;

use chrono::NaiveDate;

use invoice::Invoice;

/// What is wrong with a document's data. Names fields, never their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A field cannot be what it says.
    #[error("field {field}: {what}")]
    Field {
        /// The path of the field, such as `lines[3].amount`.
        field: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A stated sum differs from what the lines come to.
    #[error("field {field}: the lines come to another sum")]
    Total {
        /// The path of the stated sum.
        field: String,
    },
}

impl DocumentError {
    pub(crate) fn field(field: impl Into<String>, what: &'static str) -> Self {
        Self::Field { field: field.into(), what }
    }
}

/// What the law wants searchable for years (number, transaction date, amount,
/// counterparty), taken from a document's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFacts {
    /// The document's number as printed.
    pub number: String,
    /// The day of issue.
    pub date: NaiveDate,
    /// The total with tax: a decimal number without grouping.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
    /// The recipient's name as printed, without an honorific.
    pub counterparty: Option<String>,
}

/// Whether documents of this template follow the rules of [`invoice`].
pub fn is_invoice(template: &str) -> bool {
    template == "invoice" || template.starts_with("invoice-")
}

/// The facts of a document; `None` if it is of a kind that has none, or if its
/// data break the rules (then it cannot be rendered either).
pub fn evidence(template: &str, data: &serde_json::Value) -> Option<DocumentFacts> {
    if !is_invoice(template) {
        return None;
    }
    let invoice = Invoice::read(data).ok()?;
    let totals = invoice.totals().ok()?;
    Some(DocumentFacts {
        number: invoice.number,
        date: invoice.issue_date,
        amount: totals.total.to_string(),
        currency: "JPY".to_owned(),
        counterparty: Some(invoice.recipient.name),
    })
}
