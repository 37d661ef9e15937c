//! 領収書: what was paid, for what (但し書き), and how.
//!
//! A receipt on paper for 50,000 yen or more costs stamp duty (印紙税法別表第一
//! 第17号の1); the same receipt sent by mail costs nothing. If the tax is shown
//! apart, the sum without it counts; those who are not registered are judged by
//! the whole sum. A receipt that says it was paid by credit card is none for
//! money.

use serde::Serialize;

use super::{
    DocumentError, Reading,
    bill::{Bill, PaidBy},
    money::Coin,
    rates::Days,
    sums::Pricing,
};

/// Receipts below this cost nothing, in yen.
const DUTIABLE_FROM: i64 = 50_000;
/// Up to and with this sum: this duty, in yen (第17号の1文書).
const DUTIES: [(i64, i64); 13] = [
    (1_000_000, 200),
    (2_000_000, 400),
    (3_000_000, 600),
    (5_000_000, 1_000),
    (10_000_000, 2_000),
    (20_000_000, 4_000),
    (30_000_000, 6_000),
    (50_000_000, 10_000),
    (100_000_000, 20_000),
    (200_000_000, 40_000),
    (300_000_000, 60_000),
    (500_000_000, 100_000),
    (1_000_000_000, 150_000),
];
/// The duty above all of these.
const DUTY_MAX: i64 = 200_000;

/// The stamp duty of a receipt, in yen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StampDuty {
    /// The sum that counts.
    pub base: i64,
    /// The duty that the receipt costs on paper; 0 below 50,000 yen or if it was
    /// paid by card.
    pub duty: i64,
    /// Whether a stamp must be put on once the receipt is on paper: there is a
    /// duty, and no tax office has approved paying it by declaration.
    pub required: bool,
}

pub(super) fn read(bill: &Bill) -> Result<Reading, DocumentError> {
    if bill.purpose.as_deref().is_none_or(|purpose| purpose.trim().is_empty()) {
        return Err(DocumentError::field("purpose", "what was paid for is expected"));
    }
    if bill.currency != Coin::Jpy {
        return Err(DocumentError::field("currency", "receipts are in yen"));
    }
    let days = bill.supplied()?.unwrap_or(Days::on(bill.issue_date));
    let mut reading = bill.reading(Pricing::Taxed, days)?;
    if reading.view.total <= 0 {
        return Err(DocumentError::field("lines", "nothing was received"));
    }
    let base = if reading.view.qualified { reading.view.net } else { reading.view.total };
    let duty = if bill.paid_by == Some(PaidBy::CreditCard) { 0 } else { duty(base) };
    let required = duty > 0 && bill.stamp_approved_by.is_none();
    reading.view.stamp_duty = Some(StampDuty { base, duty, required });
    Ok(reading)
}

fn duty(base: i64) -> i64 {
    if base < DUTIABLE_FROM {
        return 0;
    }
    DUTIES.iter().find(|(most, _)| base <= *most).map_or(DUTY_MAX, |(_, duty)| *duty)
}

#[cfg(test)]
mod tests {
    use super::duty;

    #[test]
    fn the_duty_rises_in_steps() {
        for (base, expected) in [
            (49_999, 0),
            (50_000, 200),
            (1_000_000, 200),
            (1_000_001, 400),
            (10_000_000, 2_000),
            (1_000_000_000, 150_000),
            (1_000_000_001, 200_000),
        ] {
            assert_eq!(duty(base), expected, "{base}");
        }
    }
}
