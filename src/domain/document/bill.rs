//! What all documents that sum up lines have in common: who, when, what, and in
//! which currency. The rules of a kind are in the file of that kind.
//!
//! The shape of all fields is checked by the template's schema; here are only
//! the parts that rules speak about.

use chrono::NaiveDate;
use serde::Deserialize;

use super::{
    DocumentError,
    money::{Coin, Decimal, Prices, Rounding},
    rates::{Days, TaxClass},
    registration::RegistrationNumber,
};

/// A document with lines.
#[derive(Clone, Debug, Deserialize)]
pub struct Bill {
    /// The number of the document.
    pub number: Option<String>,
    /// The day of issue.
    pub issue_date: NaiveDate,
    /// The day of supply.
    pub supply_date: Option<NaiveDate>,
    /// The days of supply, for a document that sums up several.
    pub supply_period: Option<Period>,
    /// Of goods that came back: the day of the first supply.
    pub original_date: Option<NaiveDate>,
    /// Of goods that came back: the days of the first supplies.
    pub original_period: Option<Period>,
    /// Of a quotation: the last day on which it holds.
    pub valid_until: Option<NaiveDate>,
    /// Of a delivery note: the day of delivery.
    pub delivered_on: Option<NaiveDate>,
    /// Of a payment notice: the day until which errors are to be told.
    pub confirm_by: Option<NaiveDate>,
    /// Of a receipt: what was paid for, 但し書き.
    pub purpose: Option<String>,
    /// Of a receipt: how it was paid.
    pub paid_by: Option<PaidBy>,
    /// Of a receipt on paper: the tax office that approved paying the stamp duty
    /// by declaration.
    pub stamp_approved_by: Option<String>,
    /// Who gets the document.
    pub recipient: Option<Party>,
    /// Who writes it.
    pub issuer: Party,
    /// The currency of all amounts.
    #[serde(default)]
    pub currency: Coin,
    /// For documents in another currency: what it is worth in yen.
    pub exchange_rate: Option<ExchangeRate>,
    /// Whether amounts include their tax.
    #[serde(default)]
    pub prices: Prices,
    /// What becomes of fractions.
    #[serde(default)]
    pub rounding: Rounding,
    /// What is charged.
    pub lines: Vec<Line>,
    /// What the sender says it comes to.
    pub totals: Option<Stated>,
}

/// Two days and all between them.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Period {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
}

/// Who writes or gets a document.
#[derive(Clone, Debug, Deserialize)]
pub struct Party {
    /// The name without an honorific.
    pub name: String,
    /// 登録番号 of issuers of qualified invoices.
    pub registration_number: Option<String>,
    /// Corporations have a check digit in their number.
    pub kind: Option<PartyKind>,
}

/// What a party is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyKind {
    /// 法人.
    Corporation,
    /// 個人事業者.
    SoleProprietor,
}

/// How something was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaidBy {
    /// 現金.
    Cash,
    /// 振込.
    Transfer,
    /// クレジットカード: the receipt is none for money, so there is no duty.
    CreditCard,
    /// 電子マネー.
    ElectronicMoney,
}

/// What one unit of a currency is worth.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ExchangeRate {
    /// Yen for one unit.
    pub rate: Decimal,
    /// The day of the rate.
    pub date: NaiveDate,
}

/// One line.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// The day of this supply, where it is not that of the document.
    pub date: Option<NaiveDate>,
    /// How many.
    pub quantity: Option<Decimal>,
    /// What one costs.
    pub unit_price: Option<Decimal>,
    /// What all cost, in whole minor units.
    pub amount: Option<Decimal>,
    /// How it is taxed.
    #[serde(default)]
    pub tax_class: TaxClass,
    /// The rate in percent.
    pub tax_rate: Option<Decimal>,
}

/// Sums that the sender states.
#[derive(Clone, Debug, Deserialize)]
pub struct Stated {
    /// Without tax.
    pub net: Option<Decimal>,
    /// The tax of all rates.
    pub tax: Option<Decimal>,
    /// With tax.
    pub total: Option<Decimal>,
    /// The sums of single rates.
    #[serde(default)]
    pub rates: Vec<StatedRate>,
}

/// What the sender says the lines of one rate come to.
#[derive(Clone, Debug, Deserialize)]
pub struct StatedRate {
    /// How they are taxed.
    #[serde(default)]
    pub tax_class: TaxClass,
    /// The rate in percent.
    pub tax_rate: Option<Decimal>,
    /// The sum of the lines, with tax if prices include it.
    pub base: Option<Decimal>,
    /// The tax.
    pub tax: Option<Decimal>,
}

impl Bill {
    /// Reads the data and checks the registration numbers.
    pub fn read<'de>(data: impl serde::Deserializer<'de>) -> Result<Self, DocumentError> {
        let bill = Self::deserialize(data)
            .map_err(|_| DocumentError::field("data", "not the data of such a document"))?;
        bill.issuer.number("issuer.registration_number")?;
        if let Some(recipient) = &bill.recipient {
            recipient.number("recipient.registration_number")?;
        }
        Ok(bill)
    }

    /// The issuer's registration number as it is printed.
    pub fn registration_number(&self) -> Option<RegistrationNumber> {
        self.issuer.registration_number.as_deref().and_then(RegistrationNumber::parse)
    }

    /// The days of supply, where they are stated.
    pub fn supplied(&self) -> Result<Option<Days>, DocumentError> {
        days(self.supply_date, self.supply_period, "supply_period")
    }

    /// The days of the first supply, where they are stated.
    pub fn first_supplied(&self) -> Result<Option<Days>, DocumentError> {
        days(self.original_date, self.original_period, "original_period")
    }

    /// A qualified document says when the supply was made: as a whole or line by
    /// line.
    pub fn must_say_when(&self) -> Result<(), DocumentError> {
        let said = self.supplied()?.is_some() || self.lines.iter().all(|line| line.date.is_some());
        if said || self.issuer.registration_number.is_none() {
            return Ok(());
        }
        Err(DocumentError::field("supply_date", "a date or a period of supply is expected"))
    }

    /// The tax of a qualified document is shown in yen, whatever its currency.
    pub fn must_have_yen(&self) -> Result<(), DocumentError> {
        match &self.exchange_rate {
            Some(rate) if !rate.rate.is_positive() => {
                Err(DocumentError::field("exchange_rate.rate", "more than 0 is expected"))
            }
            None if self.currency != Coin::Jpy && self.issuer.registration_number.is_some() => {
                Err(DocumentError::field("exchange_rate", "the tax must be shown in yen"))
            }
            _ => Ok(()),
        }
    }
}

fn days(
    date: Option<NaiveDate>,
    period: Option<Period>,
    field: &'static str,
) -> Result<Option<Days>, DocumentError> {
    match (date, period) {
        (_, Some(period)) if period.from > period.to => {
            Err(DocumentError::field(format!("{field}.to"), "before the first day"))
        }
        (_, Some(period)) => Ok(Some(Days { from: period.from, to: period.to })),
        (Some(date), None) => Ok(Some(Days::on(date))),
        (None, None) => Ok(None),
    }
}

impl Party {
    /// The registration number, checked as far as it can be: that of a
    /// corporation has a check digit, that of others need not have one.
    pub fn number(&self, field: &str) -> Result<Option<RegistrationNumber>, DocumentError> {
        let Some(number) = &self.registration_number else { return Ok(None) };
        let number = RegistrationNumber::parse(number)
            .ok_or_else(|| DocumentError::field(field, "T and 13 digits are expected"))?;
        if self.kind == Some(PartyKind::Corporation) && !number.has_check_digit() {
            return Err(DocumentError::field(field, "the check digit is wrong"));
        }
        Ok(Some(number))
    }
}
