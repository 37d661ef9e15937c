//! Bits and checksums for font programs: an LSB-first bit writer, Adler-32
//! that can be joined from parts (RFC 1950), and the sfnt table checksum.

const MODULUS: u32 = 65_521;

/// Writes bits from the least significant end, as DEFLATE does.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    /// Bits in `pending`; below 64 between calls.
    filled: u32,
    written: u32,
}

impl BitWriter {
    /// Goes on after whole bytes.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Writes one code of at most 32 bits.
    #[inline]
    pub(super) fn put(&mut self, (code, length): (u32, u8)) {
        self.written += u32::from(length);
        self.put_word(u64::from(code), u32::from(length));
    }

    /// Writes the low `length` bits of a word; the bits above must be zero.
    #[inline]
    pub(super) fn put_word(&mut self, word: u64, length: u32) {
        let low = self.pending | (word << self.filled);
        let total = self.filled + length;
        if total >= 64 {
            self.bytes.extend_from_slice(&low.to_le_bytes());
            self.pending = word.checked_shr(64 - self.filled).unwrap_or(0);
            self.filled = total - 64;
        } else {
            self.pending = low;
            self.filled = total;
        }
    }

    /// Writes the first `bits` bits of words, of which the last is filled up with
    /// zeros.
    #[inline]
    pub(super) fn put_words(&mut self, words: &[u64], bits: u32) {
        let (whole, rest) = ((bits / 64) as usize, bits % 64);
        let (shift, start) = (self.filled, self.bytes.len());
        self.bytes.resize(start + 8 * whole, 0);
        let mut pending = self.pending;
        for (place, word) in self.bytes[start..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&(pending | word << shift).to_le_bytes());
            // In two steps: a shift by 64 is none.
            pending = word >> 1 >> (63 - shift);
        }
        self.pending = pending;
        if rest > 0 {
            self.put_word(words[whole], rest);
        }
    }

    /// How many bits were written with [`put`](Self::put).
    pub(super) fn bits(&self) -> u32 {
        self.written
    }

    /// The bytes; the last one is filled up with zeros.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        let whole = self.filled.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..whole]);
        self.bytes
    }

    /// The bits as little-endian words; the last one is filled up with zeros.
    pub(super) fn into_words(self) -> impl Iterator<Item = u64> {
        let mut bytes = self.into_bytes();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
            .collect();
        words.into_iter()
    }
}

/// An Adler-32 checksum whose parts can be joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adler {
    a: u16,
    b: u16,
}

impl Adler {
    /// The checksum of these bytes.
    pub(super) fn of(data: &[u8]) -> Self {
        let (mut a, mut b) = (1u32, 0u32);
        for chunk in data.chunks(3_000) {
            for byte in chunk {
                a += u32::from(*byte);
                b += a;
            }
            a %= MODULUS;
            b %= MODULUS;
        }
        Self { a: a as u16, b: b as u16 }
    }

    /// The checksum of what `self` covers followed by what `next` covers.
    #[inline]
    pub(super) fn then(self, next: Self, next_len: u32) -> Self {
        let before = u64::from(self.a) + u64::from(MODULUS) - 1;
        let a = (before + u64::from(next.a)) % u64::from(MODULUS);
        let b = (u64::from(self.b) + u64::from(next.b) + u64::from(next_len) * before)
            % u64::from(MODULUS);
        Self { a: a as u16, b: b as u16 }
    }

    /// As a zlib stream ends.
    pub(super) fn to_be_bytes(self) -> [u8; 4] {
        (u32::from(self.b) << 16 | u32::from(self.a)).to_be_bytes()
    }
}

/// The sum of big-endian words, the last one filled up with zeros.
pub(super) fn checksum(data: &[u8]) -> u32 {
    data.chunks(4).fold(0u32, |sum, chunk| {
        let mut word = [0u8; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u32::from_be_bytes(word))
    })
}
