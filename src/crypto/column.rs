//! Seals one personal value for one column of one row.
//!
//! Table, column and row are bound in, so that a database editor cannot move
//! one person's address under another's delivery and have us open it there.

use zeroize::Zeroizing;

use super::{CryptoError, Key, wrap};
use crate::entropy::Entropy;

/// Seals `plain` for `table`.`column` of the row with this id.
pub fn seal_column(
    key: &Key,
    table: &str,
    column: &str,
    row: &[u8; 16],
    plain: &[u8],
    entropy: &Entropy,
) -> Result<Vec<u8>, CryptoError> {
    wrap::wrap(key, &place(table, column, row), plain, entropy)
}

/// Opens what [`seal_column`] made for the same column of the same row.
pub fn open_column(
    key: &Key,
    table: &str,
    column: &str,
    row: &[u8; 16],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    wrap::unwrap_(key, &place(table, column, row), sealed)
}

fn place(table: &str, column: &str, row: &[u8; 16]) -> Vec<u8> {
    wrap::place(&[b"kakitome column v1", table.as_bytes(), column.as_bytes(), row])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_opens_in_its_own_column_and_row_only() {
        let key = Key::take(&mut [8; 32]);
        let entropy = Entropy::from_seed_number(1);
        let name = "山田 太郎".as_bytes();
        let sealed = seal_column(&key, "jobs", "name", &[1; 16], name, &entropy).unwrap();
        let open = |table, column, row| open_column(&key, table, column, row, &sealed);
        assert_eq!(open("jobs", "name", &[1; 16]).unwrap().as_slice(), name, "at home");
        assert!(open("jobs", "name", &[2; 16]).is_err(), "another row");
        assert!(open("jobs", "address", &[1; 16]).is_err(), "another column");
        assert!(open("links", "name", &[1; 16]).is_err(), "another table");
        assert!(open("jobsn", "ame", &[1; 16]).is_err(), "the same letters, cut elsewhere");
    }

    #[test]
    fn equal_values_look_different() {
        let key = Key::take(&mut [8; 32]);
        let entropy = Entropy::from_seed_number(1);
        let seal = || seal_column(&key, "jobs", "name", &[1; 16], b"x", &entropy).unwrap();
        assert_ne!(seal(), seal(), "sealing twice must not show equality");
    }
}
