//! 納品書: what was delivered, and when. Prices are free to be left out, and so
//! are taxes; but either every line has them or none.

use super::{DocumentError, Reading, bill::Bill, rates::Days, sums::Pricing};

pub(super) fn read(bill: &Bill) -> Result<Reading, DocumentError> {
    let Some(day) = bill.delivered_on else {
        return Err(DocumentError::field("delivered_on", "missing"));
    };
    let priced = bill.lines.iter().any(super::bill::Line::is_priced);
    let taxed = bill.lines.iter().any(|line| line.tax_rate.is_some() || !line.tax_class.has_rate());
    let pricing = match (priced, taxed) {
        (true, true) => Pricing::Taxed,
        (true, false) => Pricing::Plain,
        (false, _) => Pricing::None,
    };
    bill.reading(pricing, Days::on(day))
}
