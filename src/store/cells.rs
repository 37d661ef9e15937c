//! Cells of a row, typed, from either driver.
//!
//! What cannot be read is [`StoreError::Corrupt`] with the column's name: a
//! stored value that this program would not have written.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uuid::Uuid;

use super::StoreError;
use crate::domain::ids::TenantId;

/// Reads columns by name.
pub(crate) trait Cells {
    fn int(&self, column: &'static str) -> Result<i64, StoreError>;
    fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError>;
    fn text(&self, column: &'static str) -> Result<String, StoreError>;
    fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError>;
    fn blob(&self, column: &'static str) -> Result<Vec<u8>, StoreError>;
    fn blob_opt(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreError>;
    fn uuid(&self, column: &'static str) -> Result<Uuid, StoreError>;
    fn uuid_opt(&self, column: &'static str) -> Result<Option<Uuid>, StoreError>;

    fn time(&self, column: &'static str) -> Result<DateTime<Utc>, StoreError> {
        instant(column, self.int(column)?)
    }

    fn time_opt(&self, column: &'static str) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.int_opt(column)?.map(|micros| instant(column, micros)).transpose()
    }

    fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    fn tenant(&self, column: &'static str) -> Result<TenantId, StoreError> {
        TenantId::parse(&self.text(column)?)
            .map_err(|_| StoreError::Corrupt { column, expected: "a tenant id" })
    }

    fn array<const N: usize>(&self, column: &'static str) -> Result<[u8; N], StoreError> {
        self.blob(column)?
            .try_into()
            .map_err(|_| StoreError::Corrupt { column, expected: "bytes of the agreed length" })
    }

    fn word<T>(
        &self,
        column: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(&self.text(column)?).ok_or(StoreError::Corrupt { column, expected })
    }
}

macro_rules! cells {
    ($($row:ty)*) => {$(
        impl Cells for $row {
            fn int(&self, column: &'static str) -> Result<i64, StoreError> {
                self.try_get(column).map_err(|_| corrupt(column, "a number"))
            }
            fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
                self.try_get(column).map_err(|_| corrupt(column, "a number or nothing"))
            }
            fn text(&self, column: &'static str) -> Result<String, StoreError> {
                self.try_get(column).map_err(|_| corrupt(column, "a text"))
            }
            fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError> {
                self.try_get(column).map_err(|_| corrupt(column, "a text or nothing"))
            }
            fn blob(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
                self.try_get(column).map_err(|_| corrupt(column, "bytes"))
            }
            fn blob_opt(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
                self.try_get(column).map_err(|_| corrupt(column, "bytes or nothing"))
            }
            fn uuid(&self, column: &'static str) -> Result<Uuid, StoreError> {
                self.try_get(column).map_err(|_| corrupt(column, "an id"))
            }
            fn uuid_opt(&self, column: &'static str) -> Result<Option<Uuid>, StoreError> {
                self.try_get(column).map_err(|_| corrupt(column, "an id or nothing"))
            }
        }
    )*};
}
cells!(sqlx::sqlite::SqliteRow sqlx::postgres::PgRow);

fn corrupt(column: &'static str, expected: &'static str) -> StoreError {
    StoreError::Corrupt { column, expected }
}

/// The instant of stored microseconds.
pub(crate) fn instant(column: &'static str, micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros).ok_or(corrupt(column, "an instant"))
}

/// The microseconds of an instant that may be absent.
pub(crate) fn micros(instant: Option<DateTime<Utc>>) -> Option<i64> {
    instant.map(|instant| instant.timestamp_micros())
}
