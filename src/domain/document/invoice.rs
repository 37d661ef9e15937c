//! 適格請求書, the qualified invoice of the Japanese consumption tax
//! (消費税法57条の4①): issuer with registration number, date or period of supply,
//! what was supplied with a mark at reduced rates, the sums and the tax by rate,
//! and the recipient.
//!
//! An issuer without a number writes a plain invoice: the same sums, but nothing
//! that could be taken for a qualified one.

use super::{DocumentError, Reading, bill::Bill, rates::Days, sums::Pricing};

pub(super) fn read(bill: &Bill) -> Result<Reading, DocumentError> {
    if bill.recipient.is_none() {
        return Err(DocumentError::field("recipient", "missing"));
    }
    bill.must_say_when()?;
    bill.must_have_yen()?;
    let days = bill.supplied()?.unwrap_or(Days::on(bill.issue_date));
    bill.reading(Pricing::Taxed, days)
}
