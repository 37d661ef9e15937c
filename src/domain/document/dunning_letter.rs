//! 督促状: which invoices are overdue, by how many days, and what is open in all.
//! Three levels: a reminder, a demand, the last one before other steps.

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    DocumentError, Reading,
    bill::Party,
    money::{Coin, Decimal},
    sums::too_large,
    view::{OpenView, View},
};
use crate::domain::evidence::DocumentFacts;

#[derive(Clone, Debug, Deserialize)]
struct DunningLetter {
    reference: Option<String>,
    date: NaiveDate,
    pay_by: NaiveDate,
    level: u8,
    recipient: Party,
    #[serde(default)]
    currency: Coin,
    invoices: Vec<OpenInvoice>,
    /// Charges for the delay.
    charge: Option<Decimal>,
    /// What the sender says is open in all.
    total: Option<Decimal>,
}

#[derive(Clone, Debug, Deserialize)]
struct OpenInvoice {
    due_date: NaiveDate,
    amount: Decimal,
    paid: Option<Decimal>,
}

pub(super) fn read(data: &Map<String, Value>) -> Result<Reading, DocumentError> {
    let letter = DunningLetter::deserialize(data)
        .map_err(|_| DocumentError::field("data", "not the data of a dunning letter"))?;
    if !(1..=3).contains(&letter.level) {
        return Err(DocumentError::field("level", "1, 2 or 3 is expected"));
    }
    if letter.pay_by < letter.date {
        return Err(DocumentError::field("pay_by", "before the date of the letter"));
    }
    let (open, net) = letter.open()?;
    let charge = match letter.charge {
        Some(charge) => minor(charge, letter.currency, || "charge".to_owned())?,
        None => 0,
    };
    let total = net.checked_add(charge).ok_or_else(too_large)?;
    if letter.total.is_some_and(|stated| stated.minor(letter.currency) != Some(total)) {
        return Err(DocumentError::Total { field: "total".into() });
    }
    let facts = DocumentFacts {
        number: letter.reference,
        date: Some(letter.date),
        amount: Some(letter.currency.amount(total).ok_or_else(too_large)?),
        currency: letter.currency.currency(),
        counterparty: Some(letter.recipient.name),
        counterparty_code: None,
    };
    let view = View {
        currency: letter.currency.code(),
        level: Some(letter.level),
        open,
        net,
        total,
        ..View::default()
    };
    Ok(Reading { view, facts })
}

impl DunningLetter {
    /// Each invoice and their sum.
    fn open(&self) -> Result<(Vec<OpenView>, i64), DocumentError> {
        let mut all = Vec::with_capacity(self.invoices.len());
        let mut sum = 0i64;
        for (index, invoice) in self.invoices.iter().enumerate() {
            let field = |name: &str| format!("invoices[{index}].{name}");
            let amount = minor(invoice.amount, self.currency, || field("amount"))?;
            let paid = match invoice.paid {
                Some(paid) => minor(paid, self.currency, || field("paid"))?,
                None => 0,
            };
            let open = amount.checked_sub(paid).ok_or_else(too_large)?;
            if paid < 0 || open <= 0 {
                return Err(DocumentError::field(field("paid"), "nothing of it is open"));
            }
            let days = self.date.signed_duration_since(invoice.due_date).num_days();
            if days < 1 {
                return Err(DocumentError::field(field("due_date"), "not overdue on this date"));
            }
            sum = sum.checked_add(open).ok_or_else(too_large)?;
            all.push(OpenView { amount, paid, open, days });
        }
        Ok((all, sum))
    }
}

fn minor(
    number: Decimal,
    coin: Coin,
    field: impl FnOnce() -> String,
) -> Result<i64, DocumentError> {
    number.minor(coin).ok_or_else(|| DocumentError::field(field(), "not an amount of the currency"))
}
