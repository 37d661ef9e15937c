//! The rules of documents: what an invoice must say, how its tax is rounded,
//! what of it is kept as evidence.
//!
//! A template whose name is `invoice` or begins with `invoice-` is an invoice
//! and follows [`invoice`]; every other document has no rules of its own.

pub mod customer_barcode;
pub mod invoice;
pub mod money;
pub mod registration;

use serde_json::{Map, Value};

use super::{
    amount::{Amount, Currency},
    evidence::DocumentFacts,
};
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

/// Whether documents of this template follow the rules of [`invoice`].
pub fn is_invoice(template: &str) -> bool {
    template == "invoice" || template.starts_with("invoice-")
}

/// What a document itself says of the facts that must stay searchable; `None`
/// if it is of a kind that says nothing, or if its data break the rules (then
/// it cannot be rendered either).
pub fn facts(template: &str, data: &Map<String, Value>) -> Option<DocumentFacts> {
    if !is_invoice(template) {
        return None;
    }
    let invoice = Invoice::read(data).ok()?;
    let total = invoice.totals().ok()?.total;
    Some(DocumentFacts {
        number: Some(invoice.number),
        date: Some(invoice.issue_date),
        amount: Some(Amount::from_units(total).ok()?),
        currency: Some(Currency::JPY),
        counterparty: Some(invoice.recipient.name),
        counterparty_code: None,
    })
}
