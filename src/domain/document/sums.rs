//! The sums of a document: by rate, the tax once for each rate, and the
//! comparison with what the sender states.

use super::{
    DocumentError,
    bill::{Bill, Line},
    money::{Coin, Decimal, Prices, Rounding, tax, tax_in_yen},
    rates::{self, Days, Rate, TaxClass},
};

/// How much of a document's lines has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// Every line has an amount and is taxed.
    Taxed,
    /// Every line has an amount; taxes are not spoken of.
    Plain,
    /// Lines have quantities only.
    None,
}

/// What the lines of one class and rate come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTotal {
    /// How they are taxed.
    pub class: TaxClass,
    /// The rate in hundredths of a percent; 0 where there is none.
    pub basis_points: u32,
    /// The marks and words of the rate.
    pub rate: &'static Rate,
    /// The sum of the lines as stated: with tax if prices include it.
    pub base: i64,
    /// The tax.
    pub tax: i64,
    /// The tax in yen, for documents in another currency.
    pub tax_yen: Option<i64>,
}

/// What a document comes to, in minor units of its currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// The amounts of the lines; `None` where there are no prices.
    pub amounts: Vec<Option<i64>>,
    /// By class and rate, in the order of their first line.
    pub rates: Vec<RateTotal>,
    /// Without tax.
    pub net: i64,
    /// The tax.
    pub tax: i64,
    /// The tax in yen, for documents in another currency.
    pub tax_yen: Option<i64>,
    /// With tax.
    pub total: i64,
}

impl Bill {
    /// Sums the lines, computes the tax once for each rate, and compares with
    /// what the sender states. Rates must have held on one of `days`, or on the
    /// day that a line has for itself.
    pub fn sums(&self, pricing: Pricing, days: Days) -> Result<Sums, DocumentError> {
        let mut sums = Sums::default();
        for (index, line) in self.lines.iter().enumerate() {
            let amount = match pricing {
                Pricing::None => None,
                Pricing::Taxed | Pricing::Plain => {
                    Some(line.amount(index, self.currency, self.rounding)?)
                }
            };
            sums.amounts.push(amount);
            match (pricing, amount) {
                (Pricing::Taxed, Some(amount)) => {
                    let (points, rate) = line.rate(index, days)?;
                    sums.add(line.tax_class, points, rate, amount)?;
                }
                (_, Some(amount)) => sums.net = plus(sums.net, amount)?,
                (_, None) => {}
            }
        }
        match pricing {
            Pricing::Taxed => sums.tax_all(self)?,
            Pricing::Plain | Pricing::None => sums.total = sums.net,
        }
        self.compare(&sums)?;
        Ok(sums)
    }

    fn compare(&self, sums: &Sums) -> Result<(), DocumentError> {
        let Some(stated) = &self.totals else { return Ok(()) };
        let differs = |stated: Option<Decimal>, computed: i64| {
            stated.is_some_and(|stated| stated.minor(self.currency) != Some(computed))
        };
        let wrong = |field: String| Err(DocumentError::Total { field });
        for (name, stated, computed) in [
            ("net", stated.net, sums.net),
            ("tax", stated.tax, sums.tax),
            ("total", stated.total, sums.total),
        ] {
            if differs(stated, computed) {
                return wrong(format!("totals.{name}"));
            }
        }
        for (index, stated) in stated.rates.iter().enumerate() {
            let points = stated.tax_rate.map_or(Some(0), Decimal::basis_points);
            let computed = sums
                .rates
                .iter()
                .find(|rate| rate.class == stated.tax_class && Some(rate.basis_points) == points);
            let Some(computed) = computed else {
                return wrong(format!("totals.rates[{index}].tax_rate"));
            };
            if differs(stated.base, computed.base) {
                return wrong(format!("totals.rates[{index}].base"));
            }
            if differs(stated.tax, computed.tax) {
                return wrong(format!("totals.rates[{index}].tax"));
            }
        }
        Ok(())
    }
}

impl Sums {
    fn add(
        &mut self,
        class: TaxClass,
        basis_points: u32,
        rate: &'static Rate,
        amount: i64,
    ) -> Result<(), DocumentError> {
        let known = self
            .rates
            .iter_mut()
            .find(|known| known.class == class && known.basis_points == basis_points);
        match known {
            Some(known) => known.base = plus(known.base, amount)?,
            None => self.rates.push(RateTotal {
                class,
                basis_points,
                rate,
                base: amount,
                tax: 0,
                tax_yen: None,
            }),
        }
        Ok(())
    }

    fn tax_all(&mut self, bill: &Bill) -> Result<(), DocumentError> {
        let (prices, rounding) = (bill.prices, bill.rounding);
        let exchange = bill.exchange_rate.filter(|_| bill.currency != Coin::Jpy);
        let mut base = 0i64;
        for rate in &mut self.rates {
            rate.tax = tax(rate.base, rate.basis_points, prices, rounding).ok_or_else(too_large)?;
            base = plus(base, rate.base)?;
            self.tax = plus(self.tax, rate.tax)?;
            if let Some(exchange) = exchange {
                let how = (prices, rounding);
                let yen =
                    tax_in_yen(rate.base, bill.currency, exchange.rate, rate.basis_points, how)
                        .ok_or_else(too_large)?;
                rate.tax_yen = Some(yen);
                self.tax_yen = Some(plus(self.tax_yen.unwrap_or(0), yen)?);
            }
        }
        (self.net, self.total) = match prices {
            Prices::Exclusive => (base, plus(base, self.tax)?),
            Prices::Inclusive => (base.checked_sub(self.tax).ok_or_else(too_large)?, base),
        };
        Ok(())
    }
}

/// More than any document comes to.
pub(super) fn too_large() -> DocumentError {
    DocumentError::field("lines", "the sum is too large")
}

fn plus(a: i64, b: i64) -> Result<i64, DocumentError> {
    a.checked_add(b).ok_or_else(too_large)
}

impl Line {
    /// Whether the line has a price or an amount.
    pub fn is_priced(&self) -> bool {
        self.amount.is_some() || self.unit_price.is_some()
    }

    /// The amount of the line: as stated, or quantity times unit price. If both
    /// are there they may differ by less than the smallest coin.
    fn amount(&self, index: usize, coin: Coin, rounding: Rounding) -> Result<i64, DocumentError> {
        let field = || format!("lines[{index}].amount");
        let product = |mode| match (self.quantity, self.unit_price) {
            (Some(quantity), Some(price)) => Some(quantity.times(price, coin, mode)),
            (None, Some(price)) => Some(price.times(Decimal::parse("1").ok()?, coin, mode)),
            (_, None) => None,
        };
        let Some(stated) = self.amount else {
            return match product(rounding) {
                Some(Some(amount)) => Ok(amount),
                Some(None) => Err(DocumentError::field(field(), "too large")),
                None => Err(DocumentError::field(field(), "an amount or a unit price is expected")),
            };
        };
        let stated = stated.minor(coin).ok_or_else(|| {
            let what = match coin.decimals() {
                0 => "whole yen are expected",
                _ => "at most two decimals are expected",
            };
            DocumentError::field(field(), what)
        })?;
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

    fn rate(&self, index: usize, days: Days) -> Result<(u32, &'static Rate), DocumentError> {
        let error = |what| DocumentError::field(format!("lines[{index}].tax_rate"), what);
        let points = match (self.tax_class.has_rate(), self.tax_rate) {
            (true, Some(rate)) => {
                rate.basis_points().ok_or_else(|| error("a percentage is expected"))?
            }
            (true, None) => return Err(error("missing")),
            (false, None) => 0,
            (false, Some(_)) => return Err(error("this tax class has no rate")),
        };
        let days = self.date.map_or(days, Days::on);
        let rate = rates::find(self.tax_class, points, days)
            .ok_or_else(|| error("not a rate of this class on the day of supply"))?;
        Ok((points, rate))
    }
}
