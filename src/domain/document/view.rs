//! What the rules of a kind computed, in the shape in which templates see it: as
//! `t`. Amounts are whole minor units of `currency`.

use serde::Serialize;

use super::{
    DocumentError, Reading,
    bill::Bill,
    money::Prices,
    rates::{Days, Words},
    receipt::StampDuty,
    sums::{Pricing, RateTotal, Sums, too_large},
};
use crate::domain::evidence::DocumentFacts;

/// The computed side of a document.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a template asks each by its name")]
pub struct View {
    /// Whether this is a qualified document (適格): the issuer is registered.
    pub qualified: bool,
    /// 登録番号 as it is printed: that of the issuer, or in a payment notice that
    /// of the recipient.
    pub registration_number: Option<String>,
    /// The three letters of the currency.
    pub currency: &'static str,
    /// Whether the lines' amounts include their tax.
    pub inclusive: bool,
    /// Whether lines have amounts.
    pub priced: bool,
    /// Whether any line has a quantity or a unit price.
    pub counted: bool,
    /// Whether taxes are spoken of.
    pub taxed: bool,
    /// One for each line of the data.
    pub lines: Vec<LineView>,
    /// One for each class and rate, in the order of their first line.
    pub rates: Vec<RateView>,
    /// Those of the rates that have a mark, for the legend.
    pub marked: Vec<RateView>,
    /// Without tax.
    pub net: i64,
    /// The tax.
    pub tax: i64,
    /// The tax in yen, for documents in another currency.
    pub tax_yen: Option<i64>,
    /// With tax.
    pub total: i64,
    /// Of a return: whether it is so small that no return invoice is owed.
    pub exempt: bool,
    /// Of a receipt: the stamp duty that it would cost on paper.
    pub stamp_duty: Option<StampDuty>,
    /// Of a dunning letter: what is open.
    pub open: Vec<OpenView>,
    /// Of a dunning letter: 1, a reminder, to 3, the last one.
    pub level: Option<u8>,
    /// Codes of what a person should look at; the document is made all the same.
    pub warnings: Vec<&'static str>,
}

/// The computed side of a line.
#[derive(Clone, Debug, Serialize)]
pub struct LineView {
    /// `standard`, `reduced`, `exempt`, `export` or `out_of_scope`.
    pub class: &'static str,
    /// The rate in percent, such as `10`; absent where there is none.
    pub rate: Option<String>,
    /// What marks the rate, by language; absent where nothing does.
    pub mark: Option<Words>,
    /// What stands in the place of a rate, by language; absent where there is one.
    pub label: Option<Words>,
    /// The amount; absent where there are no prices.
    pub amount: Option<i64>,
}

/// The computed side of a rate.
#[derive(Clone, Debug, Serialize)]
pub struct RateView {
    /// As in a line.
    pub class: &'static str,
    /// The rate in percent, such as `10`; absent where there is none.
    pub rate: Option<String>,
    /// In hundredths of a percent, for the filter `percent`.
    pub basis_points: u32,
    /// What marks the rate, by language; absent where nothing does.
    pub mark: Option<Words>,
    /// What the mark means, or what stands in the place of a rate.
    pub label: Option<Words>,
    /// The sum of the lines, with tax if prices include it.
    pub base: i64,
    /// The tax.
    pub tax: i64,
    /// The tax in yen, for documents in another currency.
    pub tax_yen: Option<i64>,
}

/// An invoice that is open.
#[derive(Clone, Debug, Serialize)]
pub struct OpenView {
    /// What it came to.
    pub amount: i64,
    /// What was paid of it.
    pub paid: i64,
    /// What is left.
    pub open: i64,
    /// Days from its due date to that of the letter.
    pub days: i64,
}

impl Bill {
    /// What all documents with lines have in common: the sums under `pricing`
    /// and the facts, by the date of issue.
    pub(super) fn reading(&self, pricing: Pricing, days: Days) -> Result<Reading, DocumentError> {
        let sums = self.sums(pricing, days)?;
        let number = self.registration_number();
        let mut warnings = Vec::new();
        if number.as_ref().is_some_and(|number| !number.has_check_digit()) {
            warnings.push("registration_number_check_digit");
        }
        let priced = pricing != Pricing::None;
        let amount = if priced {
            Some(self.currency.amount(sums.total).ok_or_else(too_large)?)
        } else {
            None
        };
        let facts = DocumentFacts {
            number: self.number.clone(),
            date: Some(self.issue_date),
            amount,
            currency: self.currency.currency().filter(|_| priced),
            counterparty: self.recipient.as_ref().map(|party| party.name.clone()),
            counterparty_code: None,
        };
        let rates: Vec<RateView> = sums.rates.iter().map(RateView::of).collect();
        let view = View {
            qualified: number.is_some(),
            registration_number: number.map(|number| number.as_str().to_owned()),
            currency: self.currency.code(),
            inclusive: self.prices == Prices::Inclusive,
            priced,
            counted: self
                .lines
                .iter()
                .any(|line| line.quantity.is_some() || line.unit_price.is_some()),
            taxed: pricing == Pricing::Taxed,
            lines: self.line_views(&sums, &rates),
            marked: rates.iter().filter(|rate| rate.mark.is_some()).cloned().collect(),
            rates,
            net: sums.net,
            tax: sums.tax,
            tax_yen: sums.tax_yen,
            total: sums.total,
            warnings,
            ..View::default()
        };
        Ok(Reading { view, facts })
    }

    fn line_views(&self, sums: &Sums, rates: &[RateView]) -> Vec<LineView> {
        let views = self.lines.iter().zip(&sums.amounts).map(|(line, amount)| {
            let points = line.tax_rate.and_then(super::money::Decimal::basis_points).unwrap_or(0);
            let class = line.tax_class.word();
            let known =
                rates.iter().find(|rate| rate.class == class && rate.basis_points == points);
            LineView {
                class,
                rate: known.and_then(|rate| rate.rate.clone()),
                mark: known.and_then(|rate| rate.mark),
                label: known.filter(|rate| rate.rate.is_none()).and_then(|rate| rate.label),
                amount: *amount,
            }
        });
        views.collect()
    }
}

impl RateView {
    fn of(total: &RateTotal) -> Self {
        Self {
            class: total.class.word(),
            rate: total.class.has_rate().then(|| percent(total.basis_points)),
            basis_points: total.basis_points,
            mark: total.rate.mark,
            label: total.rate.label,
            base: total.base,
            tax: total.tax,
            tax_yen: total.tax_yen,
        }
    }
}

/// `10`, or `2.5`.
pub fn percent(basis_points: u32) -> String {
    let (whole, part) = (basis_points.div_euclid(100), basis_points.rem_euclid(100));
    format!("{whole}.{part:02}").trim_end_matches('0').trim_end_matches('.').to_owned()
}
