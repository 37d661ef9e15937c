//! What must stay searchable for years after the document is gone: number,
//! transaction date, amount and counterparty (電子帳簿保存法).
//!
//! The document is the better witness. What it says is taken from it; what the
//! sender says besides must not differ, or the log would vouch for something
//! that nobody received.

use std::fmt;

use chrono::NaiveDate;

use super::{
    amount::{Amount, Currency},
    job::{EvidenceClaim, NAME_CHARS_MAX, NUMBER_CHARS_MAX},
    names::counterparty_key,
    refusal::{Refusal, Refused},
    text::check_line,
};

/// The facts by which a delivery is found for years.
#[derive(Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Evidence {
    /// Number of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Transaction date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
    /// Total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Currency of the total; present whenever `amount` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Name of the other side, as it is to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty: Option<String>,
    /// The sender's code for the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterparty_code: Option<String>,
}

/// What a document itself says; the same fields, read from its data.
pub type DocumentFacts = Evidence;

impl Evidence {
    /// Checks what the sender claims.
    pub fn check(claim: &EvidenceClaim) -> Result<Self, Refused> {
        let date = claim.date.as_deref().map(parse_date).transpose()?;
        let currency = match claim.currency.as_deref() {
            Some(text) => {
                Some(Currency::parse(text).map_err(|_| Refusal::BadField.at("evidence.currency"))?)
            }
            None => claim.amount.is_some().then_some(Currency::JPY),
        };
        let amount = match claim.amount.as_deref() {
            Some(text) => Some(text.parse().map_err(|_| Refusal::BadAmount.at("evidence.amount"))?),
            None => None,
        };
        let decimals_fit =
            |amount: Amount| amount.is_whole() || currency.is_none_or(Currency::has_decimals);
        if !amount.is_none_or(decimals_fit) {
            return Err(Refusal::BadAmount.at("evidence.amount"));
        }
        Ok(Self {
            number: line(claim.number.as_deref(), NUMBER_CHARS_MAX, "evidence.number")?,
            date,
            amount,
            currency,
            counterparty: line(
                claim.counterparty.as_deref(),
                NAME_CHARS_MAX,
                "evidence.counterparty",
            )?,
            counterparty_code: line(
                claim.counterparty_code.as_deref(),
                NUMBER_CHARS_MAX,
                "evidence.counterparty_code",
            )?,
        })
    }

    /// Fills what the sender left out from the document, and refuses what the
    /// sender says differently from it. Names are compared by their search key,
    /// so 株式会社 in front or behind is no difference.
    pub fn confirmed_by(self, facts: &DocumentFacts) -> Result<Self, Refused> {
        let mismatch = |path| Refusal::EvidenceMismatch.at(path);
        let differs =
            |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        if differs(&self.number, &facts.number) {
            return Err(mismatch("evidence.number"));
        }
        if matches!((self.date, facts.date), (Some(a), Some(b)) if a != b) {
            return Err(mismatch("evidence.date"));
        }
        if matches!((self.amount, facts.amount), (Some(a), Some(b)) if a != b) {
            return Err(mismatch("evidence.amount"));
        }
        if matches!((self.currency, facts.currency), (Some(a), Some(b)) if a != b) {
            return Err(mismatch("evidence.currency"));
        }
        if let (Some(ours), Some(theirs)) = (&self.counterparty, &facts.counterparty)
            && counterparty_key(ours) != counterparty_key(theirs)
        {
            return Err(mismatch("evidence.counterparty"));
        }
        if differs(&self.counterparty_code, &facts.counterparty_code) {
            return Err(mismatch("evidence.counterparty_code"));
        }
        let facts = facts.clone();
        Ok(Self {
            number: self.number.or(facts.number),
            date: self.date.or(facts.date),
            amount: self.amount.or(facts.amount),
            currency: self.currency.or(facts.currency),
            counterparty: self.counterparty.or(facts.counterparty),
            counterparty_code: self.counterparty_code.or(facts.counterparty_code),
        })
    }
}

fn line(
    text: Option<&str>,
    chars_max: usize,
    path: &'static str,
) -> Result<Option<String>, Refused> {
    let Some(text) = text else { return Ok(None) };
    check_line(text, chars_max).map_err(|_| Refusal::BadText.at(path))?;
    Ok(Some(text.trim().to_owned()))
}

/// `2026-11-30` and nothing else: chrono would also take `2026-1-3`.
fn parse_date(text: &str) -> Result<NaiveDate, Refused> {
    let bad = Refusal::BadField.at("evidence.date");
    let shape = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(n, b)| if n == 4 || n == 7 { b == b'-' } else { b.is_ascii_digit() });
    if !shape {
        return Err(bad);
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| bad)
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Evidence(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> EvidenceClaim {
        EvidenceClaim {
            number: Some("INV-2026-000042".into()),
            date: Some("2026-11-30".into()),
            amount: Some("118535".into()),
            currency: Some("JPY".into()),
            counterparty: Some("株式会社桔梗製作所".into()),
            counterparty_code: Some("C-0042".into()),
        }
    }

    #[test]
    fn a_document_fills_what_the_sender_left_out() {
        let facts = Evidence::check(&claim()).unwrap();
        let sparse =
            Evidence::check(&EvidenceClaim { amount: Some("118535".into()), ..Default::default() })
                .unwrap();
        assert_eq!(sparse.confirmed_by(&facts), Ok(facts.clone()), "all comes from the document");
        let other = EvidenceClaim { counterparty: Some("桔梗製作所㈱".into()), ..claim() };
        let kept = Evidence::check(&other).unwrap().confirmed_by(&facts).unwrap();
        assert_eq!(
            kept.counterparty.as_deref(),
            Some("桔梗製作所㈱"),
            "the same company in other words"
        );
    }

    #[test]
    fn a_claim_that_differs_is_refused_by_name() {
        type Spoil = fn(&mut EvidenceClaim);
        let facts = Evidence::check(&claim()).unwrap();
        let cases: [(Spoil, &str); 5] = [
            (|c| c.number = Some("INV-1".into()), "evidence.number"),
            (|c| c.date = Some("2026-12-01".into()), "evidence.date"),
            (|c| c.amount = Some("118536".into()), "evidence.amount"),
            (|c| c.currency = Some("EUR".into()), "evidence.currency"),
            (|c| c.counterparty = Some("株式会社桔梗商事".into()), "evidence.counterparty"),
        ];
        for (spoil, path) in cases {
            let mut claim = claim();
            spoil(&mut claim);
            let outcome = Evidence::check(&claim).unwrap().confirmed_by(&facts);
            assert_eq!(outcome, Err(Refusal::EvidenceMismatch.at(path)), "{path}");
        }
    }

    #[test]
    fn yen_has_no_decimals_and_dates_are_exact() {
        type Spoil = fn(&mut EvidenceClaim);
        let cases: [(Spoil, Refusal, &str); 6] = [
            (|c| c.amount = Some("118535.50".into()), Refusal::BadAmount, "evidence.amount"),
            (|c| c.amount = Some("118,535".into()), Refusal::BadAmount, "evidence.amount"),
            (|c| c.currency = Some("yen".into()), Refusal::BadField, "evidence.currency"),
            (|c| c.date = Some("2026-02-29".into()), Refusal::BadField, "evidence.date"),
            (|c| c.date = Some("2026-2-03".into()), Refusal::BadField, "evidence.date"),
            (|c| c.number = Some("a\u{202e}b".into()), Refusal::BadText, "evidence.number"),
        ];
        for (spoil, refusal, path) in cases {
            let mut claim = claim();
            spoil(&mut claim);
            assert_eq!(Evidence::check(&claim), Err(refusal.at(path)), "{path}");
        }
        let euro = EvidenceClaim {
            amount: Some("19.95".into()),
            currency: Some("EUR".into()),
            ..Default::default()
        };
        assert!(Evidence::check(&euro).is_ok(), "euro has decimals");
    }
}
