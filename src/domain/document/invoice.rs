//! 適格請求書, the qualified invoice of the Japanese consumption tax.
//!
//! The lines are summed by rate, the tax is computed once for each rate
//! (消費税法57条の4, 施行令70条の10), and what the data state themselves must agree:
//! an invoice whose sums contradict its lines is never printed.
//!
//! Rates are data. Neither 10 nor 8 percent is written here.

use chrono::NaiveDate;
use serde::Deserialize;

use super::{
    DocumentError,
    money::{Decimal, Prices, Rounding, tax},
    registration::RegistrationNumber,
};

/// The parts of an invoice's data that rules speak about. The shape of all
/// fields is checked by the template's schema.
#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    /// The invoice number.
    pub number: String,
    /// The day of issue.
    pub issue_date: NaiveDate,
    /// Who is to pay.
    pub recipient: Recipient,
    /// Who asks.
    pub issuer: Issuer,
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

/// Who is to pay.
#[derive(Clone, Debug, Deserialize)]
pub struct Recipient {
    /// The name without an honorific.
    pub name: String,
}

/// Who asks.
#[derive(Clone, Debug, Deserialize)]
pub struct Issuer {
    /// 登録番号; without it the document is not a qualified invoice.
    pub registration_number: Option<String>,
    /// Corporations have a check digit in their number.
    pub kind: Option<IssuerKind>,
}

/// What the issuer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKind {
    /// 法人.
    Corporation,
    /// 個人事業者.
    SoleProprietor,
}

/// How a line is taxed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxClass {
    /// At the standard rate.
    #[default]
    Standard,
    /// 軽減税率; marked in print.
    Reduced,
    /// 非課税.
    Exempt,
    /// 輸出免税.
    Export,
    /// 不課税, such as expenses passed on.
    OutOfScope,
}

impl TaxClass {
    /// The word in data and templates.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Reduced => "reduced",
            Self::Exempt => "exempt",
            Self::Export => "export",
            Self::OutOfScope => "out_of_scope",
        }
    }

    fn has_rate(self) -> bool {
        matches!(self, Self::Standard | Self::Reduced)
    }
}

/// One line of an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// How many.
    pub quantity: Option<Decimal>,
    /// What one costs.
    pub unit_price: Option<Decimal>,
    /// What all cost, in whole yen.
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
}

/// What the lines of one class and rate come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTotal {
    /// How they are taxed.
    pub class: TaxClass,
    /// The rate in hundredths of a percent; 0 where there is none.
    pub basis_points: u32,
    /// The sum of the lines as stated, in yen: with tax if prices include it.
    pub base: i64,
    /// The tax, in yen.
    pub tax: i64,
}

/// What an invoice comes to, in yen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The amounts of the lines.
    pub amounts: Vec<i64>,
    /// By class and rate, in the order of their first line.
    pub rates: Vec<RateTotal>,
    /// Without tax.
    pub net: i64,
    /// The tax.
    pub tax: i64,
    /// With tax.
    pub total: i64,
}

impl Invoice {
    /// Reads the data of an invoice and checks the registration number.
    pub fn read<'de>(data: impl serde::Deserializer<'de>) -> Result<Self, DocumentError> {
        let invoice = Self::deserialize(data)
            .map_err(|_| DocumentError::field("data", "not the data of an invoice"))?;
        if let Some(number) = &invoice.issuer.registration_number {
            let field = "issuer.registration_number";
            let number = RegistrationNumber::parse(number)
                .ok_or_else(|| DocumentError::field(field, "T and 13 digits are expected"))?;
            if invoice.issuer.kind == Some(IssuerKind::Corporation) && !number.has_check_digit() {
                return Err(DocumentError::field(field, "the check digit is wrong"));
            }
        }
        Ok(invoice)
    }

    /// Sums the lines, computes the tax once for each rate, and compares with
    /// what the sender states.
    pub fn totals(&self) -> Result<Totals, DocumentError> {
        let too_large = || DocumentError::field("lines", "the sum is too large");
        let mut amounts = Vec::with_capacity(self.lines.len());
        let mut rates: Vec<RateTotal> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let amount = line.amount(index, self.rounding)?;
            let (class, basis_points) = (line.tax_class, line.basis_points(index)?);
            amounts.push(amount);
            let known = rates
                .iter_mut()
                .find(|rate| rate.class == class && rate.basis_points == basis_points);
            match known {
                Some(rate) => rate.base = rate.base.checked_add(amount).ok_or_else(too_large)?,
                None => rates.push(RateTotal { class, basis_points, base: amount, tax: 0 }),
            }
        }
        let (mut base, mut all_tax) = (0i64, 0i64);
        for rate in &mut rates {
            rate.tax = tax(rate.base, rate.basis_points, self.prices, self.rounding)
                .ok_or_else(too_large)?;
            base = base.checked_add(rate.base).ok_or_else(too_large)?;
            all_tax = all_tax.checked_add(rate.tax).ok_or_else(too_large)?;
        }
        let (net, total) = match self.prices {
            Prices::Exclusive => (Some(base), base.checked_add(all_tax)),
            Prices::Inclusive => (base.checked_sub(all_tax), Some(base)),
        };
        let (net, total) = (net.ok_or_else(too_large)?, total.ok_or_else(too_large)?);
        let totals = Totals { amounts, rates, net, tax: all_tax, total };
        self.compare(&totals)?;
        Ok(totals)
    }

    fn compare(&self, totals: &Totals) -> Result<(), DocumentError> {
        let Some(stated) = &self.totals else { return Ok(()) };
        let pairs = [
            ("net", stated.net, totals.net),
            ("tax", stated.tax, totals.tax),
            ("total", stated.total, totals.total),
        ];
        for (name, stated, computed) in pairs {
            if stated.is_some_and(|stated| stated.yen() != Some(computed)) {
                return Err(DocumentError::Total { field: format!("totals.{name}") });
            }
        }
        Ok(())
    }
}

impl Line {
    /// The amount of the line: as stated, or quantity times unit price. If both
    /// are there they may differ by less than a yen.
    fn amount(&self, index: usize, rounding: Rounding) -> Result<i64, DocumentError> {
        let field = || format!("lines[{index}].amount");
        let product = |mode| match (self.quantity, self.unit_price) {
            (Some(quantity), Some(price)) => Some(quantity.times(price, mode)),
            (None, Some(price)) => Some(price.times(Decimal::parse("1").ok()?, mode)),
            (_, None) => None,
        };
        let Some(stated) = self.amount else {
            return match product(rounding) {
                Some(Some(amount)) => Ok(amount),
                Some(None) => Err(DocumentError::field(field(), "too large")),
                None => Err(DocumentError::field(field(), "an amount or a unit price is expected")),
            };
        };
        let stated =
            stated.yen().ok_or_else(|| DocumentError::field(field(), "whole yen are expected"))?;
        if let (Some(Some(low)), Some(Some(high))) =
            (product(Rounding::Floor), product(Rounding::Ceil))
        {
            let (low, high) = (low.min(high), low.max(high));
            if !(low..=high).contains(&stated) {
                return Err(DocumentError::Total { field: field() });
            }
        }
        Ok(stated)
    }

    fn basis_points(&self, index: usize) -> Result<u32, DocumentError> {
        let error = |what| DocumentError::field(format!("lines[{index}].tax_rate"), what);
        match (self.tax_class.has_rate(), self.tax_rate) {
            (true, Some(rate)) => {
                rate.basis_points().ok_or_else(|| error("a percentage is expected"))
            }
            (true, None) => Err(error("missing")),
            (false, None) => Ok(0),
            (false, Some(_)) => Err(error("this tax class has no rate")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn invoice(lines: &serde_json::Value) -> serde_json::Value {
        json!({
            "number": "1", "issue_date": "2026-11-21", "recipient": {"name": "甲"},
            "issuer": {}, "lines": lines,
        })
    }

    fn totals(data: &serde_json::Value) -> Result<Totals, DocumentError> {
        Invoice::read(data)?.totals()
    }

    #[test]
    fn tax_is_rounded_once_for_each_rate() {
        for row in include_str!("../../../tests/vectors/tax_per_line_is_wrong.tsv").lines().skip(1)
        {
            let columns: Vec<&str> = row.split('\t').collect();
            let amounts: Vec<i64> = serde_json::from_str(columns[0]).unwrap();
            let lines: Vec<_> = amounts
                .iter()
                .map(|amount| json!({"amount": amount.to_string(), "tax_rate": columns[1]}))
                .collect();
            let totals = totals(&invoice(&json!(lines))).unwrap();
            assert_eq!(totals.tax.to_string(), columns[3], "{row}");
        }
    }

    #[test]
    fn the_worked_invoice_comes_to_118_535() {
        let data = invoice(&json!([
            {"quantity": "1", "unit_price": "100000", "tax_rate": "10"},
            {"quantity": "3", "unit_price": "2480", "tax_rate": "8", "tax_class": "reduced"},
            {"amount": "500", "tax_class": "out_of_scope"},
        ]));
        let totals = totals(&data).unwrap();
        assert_eq!((totals.net, totals.tax, totals.total), (107_940, 10_595, 118_535), "the sums");
        let taxes: Vec<i64> = totals.rates.iter().map(|rate| rate.tax).collect();
        assert_eq!(taxes, [10_000, 595, 0], "the taxes");
    }

    #[test]
    fn prices_with_tax_keep_their_total() {
        let mut data = invoice(&json!([{"amount": "1000", "tax_rate": "10"}]));
        data["prices"] = json!("tax_inclusive");
        let totals = totals(&data).unwrap();
        assert_eq!((totals.net, totals.tax, totals.total), (910, 90, 1000), "90.9 is cut off");
    }

    #[test]
    fn a_stated_sum_must_agree_with_the_lines() {
        let mut data = invoice(&json!([{"amount": "101", "tax_rate": "10"}]));
        data["totals"] = json!({"net": "101", "tax": "10", "total": "111"});
        assert!(totals(&data).is_ok(), "the right sums are taken");
        data["totals"]["tax"] = json!("11");
        let wrong = DocumentError::Total { field: "totals.tax".into() };
        assert_eq!(totals(&data), Err(wrong), "a wrong sum is named");
        let line = invoice(
            &json!([{"quantity": "2", "unit_price": "50", "amount": "99", "tax_rate": "10"}]),
        );
        let wrong = DocumentError::Total { field: "lines[0].amount".into() };
        assert_eq!(totals(&line), Err(wrong), "a wrong line is named");
    }

    #[test]
    fn a_line_without_tax_has_no_rate() {
        let data = invoice(&json!([{"amount": "1", "tax_class": "exempt", "tax_rate": "10"}]));
        assert!(matches!(totals(&data), Err(DocumentError::Field { .. })), "a rate is refused");
        let data = invoice(&json!([{"amount": "1"}]));
        assert!(
            matches!(totals(&data), Err(DocumentError::Field { .. })),
            "a missing rate is refused"
        );
    }

    #[test]
    fn sums_never_wrap() {
        let line = json!({"amount": "999999999999", "tax_rate": "100"});
        let lines = vec![line; 1000];
        assert!(totals(&invoice(&json!(lines))).is_ok(), "a quadrillion fits");
    }
}
