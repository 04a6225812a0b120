//! Layers as programs have them, the same ones on every machine: directories of files of all sizes, of text, of machine
//! code and of what is compressed already.

use std::io::{Result, Write};

use skiff_core::layer::{
    emit,
    pax::Moment,
    tar::{Entry, Kind},
};

/// Files in one directory.
const FILES_A_DIRECTORY: usize = 16;

/// What is to be made.
#[derive(Clone, Copy)]
pub struct Shape {
    /// The same seed gives the same bytes.
    pub seed: u64,
    pub files: usize,
    /// Of a file, on average.
    pub mean_bytes: usize,
}

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.number() >> 33) as usize % limit
    }

    /// Small numbers are more likely, as words and instructions are.
    fn skewed(&mut self, limit: usize) -> usize {
        let most = self.below(limit) + 1;
        self.below(most)
    }
}

/// What files are made of.
struct Matter {
    dice: Dice,
    words: Vec<Vec<u8>>,
    instructions: Vec<Vec<u8>>,
}

impl Matter {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let words = (0..4000)
            .map(|_| {
                let length = 2 + dice.skewed(12);
                (0..length).map(|_| b"etaoinshrdlucmfwypvbgkqjxz"[dice.skewed(26)]).collect()
            })
            .collect();
        let instructions = (0..600)
            .map(|_| {
                let length = 1 + dice.below(4);
                (0..length).map(|_| dice.number() as u8).collect()
            })
            .collect();
        Matter { dice, words, instructions }
    }

    /// The content of one file.
    fn fill(&mut self, size: usize, out: &mut Vec<u8>) {
        out.clear();
        let kind = self.dice.below(20);
        while out.len() < size {
            if kind < 19 && out.len() > 64 && self.dice.below(7) == 0 {
                self.repeat(out);
                continue;
            }
            match kind {
                0..=10 => {
                    let word = self.dice.skewed(self.words.len());
                    out.extend_from_slice(&self.words[word]);
                    out.push(if self.dice.below(9) == 0 { b'\n' } else { b' ' });
                }
                11..=18 => {
                    let instruction = self.dice.skewed(self.instructions.len());
                    out.extend_from_slice(&self.instructions[instruction]);
                    if self.dice.below(3) == 0 {
                        out.extend_from_slice(&(self.dice.skewed(1 << 12) as u16).to_le_bytes());
                    }
                }
                _ => out.extend_from_slice(&self.dice.number().to_le_bytes()),
            }
        }
        out.truncate(size);
    }

    /// Something that stood there before.
    fn repeat(&mut self, out: &mut Vec<u8>) {
        let from = out.len() - 1 - self.dice.skewed(out.len().min(16 << 10) - 1);
        let length = (8 + self.dice.skewed(60)).min(out.len() - from);
        out.extend_from_within(from..from + length);
    }

    /// From a 40th of the mean to five times as much, the logarithm evenly spread.
    fn size(&mut self, mean_bytes: usize) -> usize {
        let unit = self.dice.below(1 << 20) as f64 / f64::from(1 << 20);
        (mean_bytes as f64 / 40.0 * 200.0_f64.powf(unit) * 1.06) as usize
    }
}

/// Writes the layer's tar.
pub fn write(shape: Shape, to: &mut impl Write) -> Result<()> {
    let mut matter = Matter::new(shape.seed);
    let (mut block, mut content) = (Vec::new(), Vec::new());
    let seed = shape.seed;
    let mut entry = Entry { mtime: Moment { seconds: 1_700_000_000, nanos: 0 }, ..Entry::default() };
    let directory = |path: String, to: &mut dyn Write| {
        let mut block = Vec::new();
        let mtime = Moment { seconds: 1_600_000_000, nanos: 0 };
        let path = path.into_bytes();
        emit::header(
            &Entry { kind: Kind::Directory, path, mode: 0o755, mtime, ..Entry::default() },
            &mut block,
        );
        to.write_all(&block)
    };
    for top in ["usr/", "usr/lib/"] {
        directory(top.into(), to)?;
    }
    for number in 0..shape.files {
        let (package, part) = (number / FILES_A_DIRECTORY / 8, number / FILES_A_DIRECTORY % 8);
        if number % (FILES_A_DIRECTORY * 8) == 0 {
            directory(format!("usr/lib/package-{seed}-{package}/"), to)?;
        }
        if number % FILES_A_DIRECTORY == 0 {
            directory(format!("usr/lib/package-{seed}-{package}/part{part}/"), to)?;
        }
        entry.path = format!("usr/lib/package-{seed}-{package}/part{part}/file{number}").into_bytes();
        entry.mode = if number % 10 == 0 { 0o755 } else { 0o644 };
        let is_link = number % 33 == 32;
        entry.kind = if is_link { Kind::Symlink } else { Kind::File };
        entry.link = if is_link { format!("file{}", number - 1).into_bytes() } else { Vec::new() };
        let size = if is_link { 0 } else { matter.size(shape.mean_bytes) };
        entry.size = size as u64;
        entry.mtime.seconds += 61;
        block.clear();
        emit::header(&entry, &mut block);
        matter.fill(size, &mut content);
        block.extend_from_slice(&content);
        emit::pad(entry.size, &mut block);
        to.write_all(&block)?;
    }
    block.clear();
    emit::end(&mut block);
    to.write_all(&block)
}
