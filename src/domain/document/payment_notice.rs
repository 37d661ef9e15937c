//! 仕入明細書 (消費税法30条9項三号): the buyer writes down what he bought, in the
//! place of an invoice. It carries the *supplier's* registration number, and
//! counts once the supplier has confirmed it, or was told that silence confirms.

use super::{DocumentError, Reading, bill::Bill, sums::Pricing};

pub(super) fn read(bill: &Bill) -> Result<Reading, DocumentError> {
    let field = "recipient.registration_number";
    let Some(supplier) = &bill.recipient else {
        return Err(DocumentError::field("recipient", "missing"));
    };
    let number = supplier
        .number(field)?
        .ok_or_else(|| DocumentError::field(field, "the supplier's number is expected"))?;
    match bill.confirm_by {
        None => return Err(DocumentError::field("confirm_by", "missing")),
        Some(day) if day < bill.issue_date => {
            return Err(DocumentError::field("confirm_by", "before the date of issue"));
        }
        Some(_) => {}
    }
    let days = bill.supplied()?.ok_or_else(|| {
        DocumentError::field("supply_date", "a date or a period of supply is expected")
    })?;
    bill.must_have_yen()?;
    let mut reading = bill.reading(Pricing::Taxed, days)?;
    reading.view.warnings.clear();
    if !number.has_check_digit() {
        reading.view.warnings.push("registration_number_check_digit");
    }
    reading.view.qualified = true;
    reading.view.registration_number = Some(number.as_str().to_owned());
    Ok(reading)
}
