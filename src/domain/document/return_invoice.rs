//! 適格返還請求書 (消費税法57条の4③), for goods that came back, discounts and
//! rebates: it names the day of the first supply, and its rates are those of
//! that day.
//!
//! Amounts are as the sender states them, positive or negative; a fraction of
//! tax is rounded by its absolute value, so that both ways give the same tax.
//! Below 10,000 yen with tax no such invoice is owed (施行令70条の9③二).

use super::{DocumentError, Reading, bill::Bill, money::Coin, rates::Days, sums::Pricing};

/// Returns below this need no invoice, in yen with tax.
const OWED_FROM: u64 = 10_000;

pub(super) fn read(bill: &Bill) -> Result<Reading, DocumentError> {
    if bill.recipient.is_none() {
        return Err(DocumentError::field("recipient", "missing"));
    }
    bill.must_have_yen()?;
    let first: Option<Days> = bill.first_supplied()?;
    let days = first.ok_or_else(|| {
        DocumentError::field("original_date", "the date or period of the first supply is expected")
    })?;
    if days.from > bill.issue_date {
        return Err(DocumentError::field("original_date", "after the date of issue"));
    }
    let mut reading = bill.reading(Pricing::Taxed, days)?;
    reading.view.exempt =
        bill.currency == Coin::Jpy && reading.view.total.unsigned_abs() < OWED_FROM;
    Ok(reading)
}
