use sha2::{Digest as _, Sha256};

/// An endless stream of bytes that depends on a seed and a label alone: SHA-256 over a counter.
#[derive(Debug, Clone)]
pub struct Draws {
    key: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Draws {
    /// The stream for `seed` under the parts of a label, which are kept apart from each other.
    #[must_use]
    pub fn new(seed: u64, label: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(seed.to_le_bytes());
        for part in label {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self { key: hash.finalize().into(), counter: 0, block: [0; 32], used: 32 }
    }

    /// Fills `into` with the next bytes.
    pub fn fill(&mut self, into: &mut [u8]) {
        for byte in into {
            if self.used == self.block.len() {
                let hash = Sha256::new_with_prefix(self.key);
                self.block = hash.chain_update(self.counter.to_le_bytes()).finalize().into();
                self.counter += 1;
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_its_seed_and_its_label_only() {
        let draw = |seed, label: &[&str]| {
            let mut bytes = [0; 80];
            Draws::new(seed, label).fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(1, &["a", "0"]), draw(1, &["a", "0"]));
        assert_ne!(draw(1, &["a", "0"]), draw(2, &["a", "0"]));
        assert_ne!(draw(1, &["a", "0"]), draw(1, &["a", "1"]));
        assert_ne!(draw(1, &["ab", "c"]), draw(1, &["a", "bc"]));
        assert_ne!(draw(1, &["a"])[..32], draw(1, &["a"])[32..64]);
    }
}
