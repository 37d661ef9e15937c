//! 適格簡易請求書 (消費税法57条の4②), for trades with many unspecified customers:
//! as the invoice, but nobody needs to be named, and either the tax or its rate
//! suffices. Ours has both.

use super::{DocumentError, Reading, bill::Bill, rates::Days, sums::Pricing};

pub(super) fn read(bill: &Bill) -> Result<Reading, DocumentError> {
    bill.must_say_when()?;
    bill.must_have_yen()?;
    let days = bill.supplied()?.unwrap_or(Days::on(bill.issue_date));
    bill.reading(Pricing::Taxed, days)
}
