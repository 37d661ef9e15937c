//! 見積書: what something would cost, and until when that holds.

use super::{DocumentError, Reading, bill::Bill, rates::Days, sums::Pricing};

pub(super) fn read(bill: &Bill) -> Result<Reading, DocumentError> {
    let Some(to) = bill.valid_until else {
        return Err(DocumentError::field("valid_until", "missing"));
    };
    if to < bill.issue_date {
        return Err(DocumentError::field("valid_until", "before the date of issue"));
    }
    bill.reading(Pricing::Taxed, Days { from: bill.issue_date, to })
}
