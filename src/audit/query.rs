//! What a person looks for in the log, and how it is asked of the books.
//!
//! Personal values are never in a statement: an address and a name are looked
//! for by their blind indexes, under the tenant's own key, in the same form in
//! which intake wrote them. Number, date and amount stand in clear, as the law
//! wants them searchable (電子帳簿保存法: each alone, ranges of date and
//! amount, and any combination).
//!
//! It refuses a question without a tenant, a value that cannot be one of its
//! field, and a name it does not know.

use chrono::{DateTime, NaiveDate, Utc};

use crate::{
    crypto::{Key, prints},
    domain::{
        amount::{Amount, Currency},
        ids::{EventId, JobId, TenantId},
        log::Kind,
        mail_address::MailAddress,
        names::counterparty_key,
    },
    store::ledger::Search,
};

/// Rows of one page, at the most.
pub const PAGE_ROWS_MAX: i64 = 1_000;
/// Longest value of a field, in bytes.
const VALUE_BYTES_MAX: usize = 512;

/// A field of a question, or its value, is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// There is no field of this name; the name is not repeated.
    #[error("a field of the question is not known")]
    UnknownField,
    /// The value is not one of its field.
    #[error("the value of {0} cannot be read")]
    BadValue(&'static str),
    /// A field was given twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// Nobody's log is nobody's answer.
    #[error("the question names no tenant")]
    NoTenant,
}

/// A question to one tenant's log; what is absent does not matter.
#[derive(Clone, PartialEq, Eq)]
pub struct Query {
    /// Whose log.
    pub tenant: TenantId,
    /// One delivery.
    pub job: Option<JobId>,
    /// One kind of event.
    pub kind: Option<Kind>,
    /// Events from this instant on.
    pub from: Option<DateTime<Utc>>,
    /// Events before this instant.
    pub to: Option<DateTime<Utc>>,
    /// Deliveries to this address; for letters, to this name.
    pub recipient: Option<String>,
    /// Documents of this other side.
    pub counterparty: Option<String>,
    /// Documents with this number.
    pub number: Option<String>,
    /// Documents with a transaction date from this day on.
    pub day_from: Option<NaiveDate>,
    /// Documents with a transaction date up to this day, which is included.
    pub day_to: Option<NaiveDate>,
    /// Documents of at least this amount.
    pub amount_min: Option<Amount>,
    /// Documents of at most this amount.
    pub amount_max: Option<Amount>,
    /// Documents in this currency.
    pub currency: Option<Currency>,
    /// Where the page before ended.
    pub after: Option<EventId>,
    /// Rows of the page.
    pub limit: i64,
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Query {
    /// Everything in a tenant's log, from the beginning.
    pub const fn of(tenant: TenantId) -> Self {
        Self {
            tenant,
            job: None,
            kind: None,
            from: None,
            to: None,
            recipient: None,
            counterparty: None,
            number: None,
            day_from: None,
            day_to: None,
            amount_min: None,
            amount_max: None,
            currency: None,
            after: None,
            limit: PAGE_ROWS_MAX,
        }
    }

    /// Reads a question from `field=value` pairs: `tenant`, `job`, `kind`,
    /// `from`, `to` (RFC 3339, or a day in UTC), `recipient`, `counterparty`,
    /// `number`, `date-from`, `date-to`, `amount-min`, `amount-max`,
    /// `currency`, `after`, `limit`.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, BadQuery> {
        let mut draft = Draft::default();
        for (name, value) in pairs {
            draft.take(name, value)?;
        }
        let Draft { tenant, query } = draft;
        let tenant = tenant.ok_or(BadQuery::NoTenant)?;
        Ok(Self { tenant, ..query })
    }

    /// Whether the question can only be answered through the evidence of a
    /// document.
    pub const fn asks_evidence(&self) -> bool {
        self.recipient.is_some()
            || self.counterparty.is_some()
            || self.number.is_some()
            || self.day_from.is_some()
            || self.day_to.is_some()
            || self.amount_min.is_some()
            || self.amount_max.is_some()
            || self.currency.is_some()
    }

    /// The question as the books understand it; `index` is the tenant's key of
    /// blind indexes.
    pub(super) fn search(&self, index: &Key) -> Search {
        let name_index =
            |field, name: &String| prints::blind_index(index, field, &counterparty_key(name));
        let recipient = |text: &String| match MailAddress::parse(text, true) {
            Ok(address) => prints::blind_index(index, "recipient", &address.canonical()),
            Err(_) => name_index("recipient", text),
        };
        Search {
            tenant: Some(self.tenant.clone()),
            job: self.job,
            kind: self.kind,
            from: self.from,
            to: self.to,
            recipient_index: self.recipient.as_ref().map(recipient),
            counterparty_index: self.counterparty.as_ref().map(|n| name_index("counterparty", n)),
            number: self.number.clone(),
            day_from: self.day_from.map(day_number),
            day_to: self.day_to.map(day_number),
            amount_min: self.amount_min.map(Amount::hundredths),
            amount_max: self.amount_max.map(Amount::hundredths),
            currency: self.currency.map(|currency| currency.as_str().to_owned()),
            after: self.after,
            limit: self.limit,
        }
    }
}

/// A question that is being read.
struct Draft {
    tenant: Option<TenantId>,
    query: Query,
}

impl Default for Draft {
    fn default() -> Self {
        // The tenant is put in place when the question is whole.
        Self { tenant: None, query: Query::of(TenantId::office()) }
    }
}

impl Draft {
    fn take(&mut self, name: &str, value: &str) -> Result<(), BadQuery> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(BadQuery::BadValue(known(name)?));
        }
        let text = || (!value.is_empty()).then(|| value.to_owned());
        let query = &mut self.query;
        match known(name)? {
            field @ "tenant" => set(field, &mut self.tenant, TenantId::parse(value).ok()),
            field @ "job" => set(field, &mut query.job, value.parse().ok()),
            field @ "kind" => set(field, &mut query.kind, Kind::parse(value)),
            field @ "from" => set(field, &mut query.from, instant(value)),
            field @ "to" => set(field, &mut query.to, instant(value)),
            field @ "recipient" => set(field, &mut query.recipient, text()),
            field @ "counterparty" => set(field, &mut query.counterparty, text()),
            field @ "number" => set(field, &mut query.number, text()),
            field @ "date-from" => set(field, &mut query.day_from, value.parse().ok()),
            field @ "date-to" => set(field, &mut query.day_to, value.parse().ok()),
            field @ "amount-min" => set(field, &mut query.amount_min, value.parse().ok()),
            field @ "amount-max" => set(field, &mut query.amount_max, value.parse().ok()),
            field @ "currency" => set(field, &mut query.currency, Currency::parse(value).ok()),
            field @ "after" => set(field, &mut query.after, value.parse().ok()),
            field => {
                let limit = value.parse().ok();
                query.limit = limit
                    .filter(|limit| (1..=PAGE_ROWS_MAX).contains(limit))
                    .ok_or(BadQuery::BadValue(field))?;
                Ok(())
            }
        }
    }
}

/// The names of the fields.
pub const FIELDS: [&str; 15] = [
    "tenant",
    "job",
    "kind",
    "from",
    "to",
    "recipient",
    "counterparty",
    "number",
    "date-from",
    "date-to",
    "amount-min",
    "amount-max",
    "currency",
    "after",
    "limit",
];

fn known(name: &str) -> Result<&'static str, BadQuery> {
    FIELDS.into_iter().find(|field| *field == name).ok_or(BadQuery::UnknownField)
}

fn set<T>(field: &'static str, place: &mut Option<T>, value: Option<T>) -> Result<(), BadQuery> {
    if place.is_some() {
        return Err(BadQuery::Twice(field));
    }
    *place = Some(value.ok_or(BadQuery::BadValue(field))?);
    Ok(())
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    let exact = DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc));
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc());
    exact.ok().or_else(day)
}

/// Days since 1970.
fn day_number(day: NaiveDate) -> i64 {
    day.signed_duration_since(NaiveDate::default()).num_days()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Query, BadQuery> {
        Query::parse(pairs.iter().copied())
    }

    #[test]
    fn every_field_is_read() {
        let pairs = [
            ("tenant", "acme"),
            ("job", "01919999-0000-7000-8000-000000000001"),
            ("kind", "opened"),
            ("from", "2026-11-01"),
            ("to", "2026-12-01T09:00:00+09:00"),
            ("recipient", "Taro@Example.jp"),
            ("counterparty", "(株)ひかり商事"),
            ("number", "INV-42"),
            ("date-from", "2026-11-01"),
            ("date-to", "2026-11-30"),
            ("amount-min", "100"),
            ("amount-max", "19.95"),
            ("currency", "JPY"),
            ("after", "01919999-0000-7000-8000-000000000002"),
            ("limit", "50"),
        ];
        assert_eq!(pairs.map(|(name, _)| name), FIELDS, "the table and the test go together");
        let query = parse(&pairs).unwrap();
        assert_eq!(query.to.unwrap().to_rfc3339(), "2026-12-01T00:00:00+00:00", "zones count");
        let search = query.search(&Key::take(&mut [1; 32]));
        assert_eq!(search.day_from, Some(20_758), "days since 1970");
        assert_eq!((search.amount_min, search.amount_max), (Some(10_000), Some(1_995)), "minor");
        assert_eq!(search.limit, 50, "the page");
    }

    #[test]
    fn a_name_is_found_however_it_is_written() {
        let key = Key::take(&mut [1; 32]);
        let index = |name: &str| {
            let query = parse(&[("tenant", "acme"), ("counterparty", name)]).unwrap();
            query.search(&key).counterparty_index
        };
        assert_eq!(index("株式会社ひかり商事"), index("(株)ひかり商事"), "one company");
        assert_ne!(index("株式会社ひかり商事"), index("株式会社ひかり"), "another company");
    }

    #[test]
    fn what_cannot_be_a_question_is_refused() {
        let tenant = ("tenant", "acme");
        assert_eq!(parse(&[("job", "x")]).err(), Some(BadQuery::BadValue("job")), "a value");
        assert_eq!(parse(&[]).err(), Some(BadQuery::NoTenant), "whose?");
        assert_eq!(
            parse(&[tenant, ("colour", "red")]).err(),
            Some(BadQuery::UnknownField),
            "what?"
        );
        assert_eq!(parse(&[tenant, tenant]).err(), Some(BadQuery::Twice("tenant")), "once");
        for limit in ["0", "1001", "-1", "many"] {
            let refused = parse(&[tenant, ("limit", limit)]).err();
            assert_eq!(refused, Some(BadQuery::BadValue("limit")), "{limit}");
        }
    }
}
