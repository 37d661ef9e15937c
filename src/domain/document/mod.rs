//! The rules of documents: what a kind must say, how its tax is rounded, what of
//! it is kept as evidence.
//!
//! The kind of a document is in the name of its template ([`Kind::of`]). A kind
//! with rules has a file here; everything else has no rules. What the rules
//! compute ([`View`]) is what a template prints: no template adds up anything.
//!
//! Refuses documents that contradict themselves: sums that are not those of the
//! lines, rates that did not hold on the day of supply, registration numbers
//! that cannot be.

pub mod bill;
pub mod customer_barcode;
pub mod kind;
pub mod money;
pub mod profile;
pub mod rates;
pub mod registration;
pub mod sums;
pub mod view;

mod delivery_note;
mod dunning_letter;
mod invoice;
mod payment_notice;
mod quotation;
mod receipt;
mod return_invoice;
mod simplified_invoice;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::evidence::DocumentFacts;
use bill::Bill;
pub use kind::Kind;
pub use receipt::StampDuty;
pub use view::View;

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

/// What a document's data come to under the rules of its kind.
#[derive(Clone, Debug)]
pub struct Reading {
    /// For the template, as `t`.
    pub view: View,
    /// For the search after the document is gone.
    pub facts: DocumentFacts,
}

/// Checks data by the rules of a kind; `None` for a kind without rules.
pub fn read(kind: Kind, data: &Map<String, Value>) -> Result<Option<Reading>, DocumentError> {
    let reading = match kind {
        Kind::Letter => return Ok(None),
        Kind::DunningLetter => dunning_letter::read(data)?,
        Kind::Invoice => invoice::read(&Bill::read(data)?)?,
        Kind::SimplifiedInvoice => simplified_invoice::read(&Bill::read(data)?)?,
        Kind::ReturnInvoice => return_invoice::read(&Bill::read(data)?)?,
        Kind::Receipt => receipt::read(&Bill::read(data)?)?,
        Kind::Quotation => quotation::read(&Bill::read(data)?)?,
        Kind::DeliveryNote => delivery_note::read(&Bill::read(data)?)?,
        Kind::PaymentNotice => payment_notice::read(&Bill::read(data)?)?,
    };
    if matches!(kind, Kind::Invoice | Kind::SimplifiedInvoice | Kind::ReturnInvoice | Kind::Receipt)
        && !reading.view.qualified
    {
        no_number_elsewhere(data)?;
    }
    Ok(Some(reading))
}

/// What a document itself says of the facts that must stay searchable; `None`
/// if it is of a kind that says nothing, or if its data break the rules (then
/// it cannot be rendered either).
pub fn facts(template: &str, data: &Map<String, Value>) -> Option<DocumentFacts> {
    match read(Kind::of(template)?, data) {
        Ok(reading) => Some(reading?.facts),
        Err(_) => None,
    }
}

/// Whether this document needs a revenue stamp once it is on paper (印紙税法): no
/// print partner can put one on.
pub fn needs_stamp(template: &str, data: &Map<String, Value>) -> bool {
    let Some(kind @ Kind::Receipt) = Kind::of(template) else { return false };
    match read(kind, data) {
        Ok(reading) => {
            reading.and_then(|reading| reading.view.stamp_duty).is_some_and(|stamp| stamp.required)
        }
        Err(_) => false,
    }
}

/// Who is not registered must not print what could be taken for a registration
/// number (消費税法57条の5): it stands in its own field, where it is checked, or
/// nowhere.
fn no_number_elsewhere(data: &Map<String, Value>) -> Result<(), DocumentError> {
    for field in ["issuer", "subject", "notes", "payment"] {
        if data.get(field).is_some_and(holds_number) {
            return Err(DocumentError::field(
                field,
                "a registration number belongs into issuer.registration_number",
            ));
        }
    }
    Ok(())
}

fn holds_number(value: &Value) -> bool {
    match value {
        Value::String(text) => registration::RegistrationNumber::is_in(text),
        Value::Array(items) => items.iter().any(holds_number),
        Value::Object(fields) => fields.values().any(holds_number),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
