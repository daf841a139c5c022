//! Random bits from one seed that the driver drew: the core itself has no source of them.

use sha2::{Digest as _, Sha256};

/// A stream of random bytes: SHA-256 over the seed and a counter. As unpredictable as the seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    seed: [u8; 32],
    drawn: u64,
}

impl Dice {
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.drawn.to_be_bytes());
        hash.finalize().into()
    }

    /// `bytes` random bytes (at most 32) as hexadecimal digits.
    pub(crate) fn hex(&mut self, bytes: usize) -> String {
        let block = self.block();
        digits(&block[..bytes.min(block.len())])
    }

    /// A UUID of version 4 (RFC 9562 section 5.4).
    pub(crate) fn uuid(&mut self) -> String {
        uuid(&self.hex(16), '4')
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let block = self.block();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&block[..8]);
        low + u64::from_be_bytes(bytes) % (high.saturating_sub(low) + 1)
    }
}

/// A UUID that follows from a text (RFC 9562 section 5.8).
pub(crate) fn uuid_of(text: impl AsRef<[u8]>) -> String {
    let hash: [u8; 32] = Sha256::digest(text).into();
    uuid(&digits(&hash[..16]), '8')
}

fn digits(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    hex
}

/// 32 hexadecimal digits as a UUID of this version.
fn uuid(hex: &str, version: char) -> String {
    let variant = match hex.as_bytes()[16] {
        b'0' | b'4' | b'8' | b'c' => '8',
        b'1' | b'5' | b'9' | b'd' => '9',
        b'2' | b'6' | b'a' | b'e' => 'a',
        _ => 'b',
    };
    let (a, b, c) = (&hex[..8], &hex[8..12], &hex[13..16]);
    format!("{a}-{b}-{version}{c}-{variant}{}-{}", &hex[17..20], &hex[20..])
}
