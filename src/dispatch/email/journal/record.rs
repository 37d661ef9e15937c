//! The bytes of a journal: a header of 64 bytes, then lines of 32.
//!
//! ```text
//! header  magic 8 | boot id 16 | epoch 16 | zero 20 | CRC-32 4
//! line    kind 1 | zero 1 | attempt 2 | job 16 | micros 8 | CRC-32 4
//! ```
//!
//! Numbers are little-endian. The version is part of the magic.

use flate2::Crc;
use uuid::Uuid;

use super::BootId;
use crate::domain::ids::{Epoch, JobId};

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const RECORD_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"kk-dot\0\x01";

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The final dot is about to be sent.
    Dot,
    /// The relay took the mail.
    Accepted,
    /// The relay did not take the mail; it may be sent again.
    Free,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) attempt: u16,
    pub(super) job: JobId,
    pub(super) at_micros: i64,
}

impl Record {
    pub(super) fn bytes(&self) -> [u8; RECORD_BYTES] {
        let kind = match self.kind {
            Kind::Dot => b'D',
            Kind::Accepted => b'A',
            Kind::Free => b'F',
        };
        fill([
            &[kind, 0],
            &self.attempt.to_le_bytes(),
            self.job.0.as_bytes(),
            &self.at_micros.to_le_bytes(),
        ])
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = checked(bytes, RECORD_BYTES)?;
        let [kind, zero] = take(&mut rest)?;
        let kind = match (kind, zero) {
            (b'D', 0) => Kind::Dot,
            (b'A', 0) => Kind::Accepted,
            (b'F', 0) => Kind::Free,
            _ => return None,
        };
        let attempt = u16::from_le_bytes(take(&mut rest)?);
        let job = JobId(Uuid::from_bytes(take(&mut rest)?));
        let at_micros = i64::from_le_bytes(take(&mut rest)?);
        Some(Self { kind, attempt, job, at_micros })
    }
}

pub(super) fn header(boot: BootId, epoch: Epoch) -> [u8; HEADER_BYTES] {
    fill([&MAGIC, boot.0.as_bytes(), epoch.0.as_bytes(), &[0; 20]])
}

pub(super) fn parse_header(bytes: &[u8]) -> Option<(BootId, Epoch)> {
    let mut rest = checked(bytes, HEADER_BYTES)?;
    if take(&mut rest)? != MAGIC {
        return None;
    }
    let boot = BootId(Uuid::from_bytes(take(&mut rest)?));
    let epoch = Epoch(Uuid::from_bytes(take(&mut rest)?));
    Some((boot, epoch))
}

/// Puts `parts` one after the other and their CRC behind them.
fn fill<const N: usize, const P: usize>(parts: [&[u8]; P]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut crc = Crc::new();
    for part in parts {
        crc.update(part);
    }
    let sum = crc.sum().to_le_bytes();
    let all = parts.into_iter().flatten().chain(&sum);
    for (place, byte) in bytes.iter_mut().zip(all) {
        *place = *byte;
    }
    bytes
}

/// The bytes before the CRC, if there are `len` in all and the CRC is right.
fn checked(bytes: &[u8], len: usize) -> Option<&[u8]> {
    let (data, sum) = bytes.split_last_chunk::<4>()?;
    let mut crc = Crc::new();
    crc.update(data);
    (bytes.len() == len && crc.sum().to_le_bytes() == *sum).then_some(data)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}
