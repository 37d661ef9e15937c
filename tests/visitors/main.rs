//! The recipient's pages, the applications' interface and the log's answers,
//! over real HTTP on loopback and on real databases.
//!
//! Each claim is tried on SQLite, and on PostgreSQL where
//! `KAKITOME_TEST_POSTGRES` names a server (`tests/run` always does).

#[cfg(test)]
mod api;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod astray;
#[cfg(test)]
mod factors;
#[cfg(test)]
mod files;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod house;
#[cfg(test)]
mod letters;
#[cfg(test)]
mod links;
#[cfg(test)]
mod opens;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod races;
#[cfg(test)]
mod scanners;
#[cfg(test)]
mod stand_ins;
#[cfg(test)]
mod taken_back;
