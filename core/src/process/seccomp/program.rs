//! The compiler: rules by system call number come in, a classic BPF program goes out. It runs in the build for the
//! standard profile (everything here is `const`), and in the server child for others.
//!
//! ```text
//! load arch; is it the native one?  no: is it the next?  no: kill the process
//! load number; binary search over ranges of numbers with the same answer
//!   leaf: return the answer, or compare arguments and return
//! ```
//!
//! The program is written from its end to its beginning, so that every jump's distance is known when it is written.

use skiff_syscalls::seccomp::Instruction;

/// What the kernel takes at most.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// What becomes of a system call, as the filter returns it: `SECCOMP_RET_*` with its data.
pub type Action = u32;

/// The call is made.
pub const ALLOW: Action = 0x7fff_0000;
/// The call is made and logged.
pub const LOG: Action = 0x7ffc_0000;
/// A tracer is asked; the data goes to it.
pub const TRACE: Action = 0x7ff0_0000;
/// The call fails with the errno in the data.
pub const ERRNO: Action = 0x0005_0000;
/// The thread gets SIGSYS.
pub const TRAP: Action = 0x0003_0000;
/// The thread ends.
pub const KILL_THREAD: Action = 0;
/// The process ends.
pub const KILL_PROCESS: Action = 0x8000_0000;

/// Numbers from here on are those of x32 on x86_64: another ABI, for which there are no rules.
const X32: u32 = 0x4000_0000;
/// ARM's own calls begin here, far from the ordinary ones: they tell nothing of how new a profile is.
pub const PRIVATE: u32 = 0x000f_0000;

/// How an argument is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// It differs.
    NotEqual,
    /// It is smaller.
    Less,
    /// It is not greater.
    LessOrEqual,
    /// It is the same.
    Equal,
    /// It is not smaller.
    GreaterOrEqual,
    /// It is greater.
    Greater,
    /// Its bits under this mask are the value.
    Masked(u64),
}

/// How much of an argument the kernel looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// The low 32 bits; the value's upper half is ignored as well.
    Narrow,
    /// All 64 bits.
    Wide,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// How much of it.
    pub width: Width,
    /// How it is compared,
    pub comparison: Comparison,
    /// and with what.
    pub value: u64,
}

/// What becomes of a system call when all conditions hold. A rule without conditions outweighs those with conditions; of
/// several that hold the first one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule<'a> {
    /// The call's number.
    pub number: u32,
    /// What is done.
    pub action: Action,
    /// When.
    pub conditions: &'a [Condition],
}

/// The rules of one architecture.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    /// `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// Sorted by number.
    pub rules: &'a [Rule<'a>],
    /// What becomes of calls that no rule speaks of.
    pub default: Action,
    /// The greatest number that whoever wrote the rules knew; for calls above it that no rule speaks of
    /// [`Self::newer`] counts.
    pub newest: Option<u32>,
    /// What becomes of those.
    pub newer: Action,
    /// What becomes of x32 calls, where there are such.
    pub x32: Option<Action>,
}

/// The program has more instructions than fit into the buffer, or more ranges than the compiler has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Compiles into the end of `out`, and tells where the program begins.
///
/// # Errors
/// [`TooLong`] if it doesn't fit.
pub const fn compile(sections: &[Section<'_>], out: &mut [Instruction]) -> Result<usize, TooLong> {
    let at = out.len();
    let mut writer = Writer { out, at, overflow: false, returns: [(0, NOWHERE); 8], oldest: 0 };
    let mut entry = writer.give(KILL_PROCESS);
    let mut i = sections.len();
    while i > 0 {
        i -= 1;
        entry = writer.section(&sections[i], entry);
    }
    writer.falls_into(entry);
    writer.put(LOAD, ARCHITECTURE);
    if writer.overflow { Err(TooLong) } else { Ok(writer.at) }
}

// Instruction codes, composed of BPF_* from linux/bpf_common.h.
const LOAD: u16 = 0x20; // LD | W | ABS
const AND: u16 = 0x54; // ALU | AND | K
const JUMP: u16 = 0x05; // JMP | JA
const IF_EQUAL: u16 = 0x15; // JMP | JEQ | K
const IF_GREATER: u16 = 0x25; // JMP | JGT | K
const IF_AT_LEAST: u16 = 0x35; // JMP | JGE | K
const IF_ANY_BIT: u16 = 0x45; // JMP | JSET | K
const RETURN: u16 = 0x06; // RET | K

// Offsets into struct seccomp_data.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn low_half(argument: u8) -> u32 {
    16 + 8 * argument as u32 + if cfg!(target_endian = "big") { 4 } else { 0 }
}
const fn high_half(argument: u8) -> u32 {
    low_half(argument) ^ 4
}

const NOWHERE: usize = usize::MAX;
/// A conditional jump skips 255 instructions at most; up to three may be put between it and what it was measured for.
const NEAR: usize = 250;

/// Numbers from `start` to the next range have the same answer, but for a few.
#[derive(Clone, Copy)]
struct Range {
    start: u32,
    answer: Answer,
    exceptions: [(u32, Answer); Range::EXCEPTIONS],
    exception_count: usize,
}

impl Range {
    /// A lone number costs one comparison as an exception, and two as a range of its own. The standard profile of x86_64
    /// alone has 84 instructions with none, 67 with two and 64 with three, which only makes the way through it longer.
    const EXCEPTIONS: usize = 2;

    const fn new(start: u32, answer: Answer) -> Self {
        Range { start, answer, exceptions: [(0, answer); Self::EXCEPTIONS], exception_count: 0 }
    }

    const fn except(&mut self, number: u32, answer: Answer) {
        self.exceptions[self.exception_count] = (number, answer);
        self.exception_count += 1;
    }
}

#[derive(Clone, Copy)]
enum Answer {
    Plain(Action),
    /// The rules from the first index up to the second one.
    Conditional(usize, usize),
}

impl Answer {
    /// Whether both are the same plain action.
    const fn is_plain(self, other: Answer) -> bool {
        matches!((self, other), (Answer::Plain(one), Answer::Plain(another)) if one == another)
    }
}

struct Ranges {
    list: [Range; Ranges::CAPACITY],
    len: usize,
    overflow: bool,
}

impl Ranges {
    /// More than twice the number of system calls that any architecture has.
    const CAPACITY: usize = 1024;

    const fn of(section: &Section<'_>) -> Self {
        let rules = section.rules;
        let mut ranges = Ranges {
            list: [Range::new(0, Answer::Plain(section.default)); Self::CAPACITY],
            len: 1,
            overflow: false,
        };
        let mut next = 0; // the first number that nothing was said about yet
        let mut i = 0;
        while i < rules.len() {
            let number = rules[i].number;
            let (mut end, mut plain) = (i, None);
            while end < rules.len() && rules[end].number == number {
                if plain.is_none() && rules[end].conditions.is_empty() {
                    plain = Some(rules[end].action);
                }
                end += 1;
            }
            ranges.gap(section, next, number);
            ranges.push(
                number,
                match plain {
                    Some(action) => Answer::Plain(action),
                    None => Answer::Conditional(i, end),
                },
            );
            next = number + 1;
            i = end;
        }
        ranges.gap(section, next, u32::MAX);
        if let Some(action) = section.x32 {
            ranges.push(X32, Answer::Plain(action));
        }
        ranges.fold();
        ranges
    }

    /// Makes exceptions of lone numbers between two ranges with the same answer.
    const fn fold(&mut self) {
        let mut len = 1;
        let mut i = 1;
        while i < self.len {
            let Range { start, answer, .. } = self.list[i];
            let base = self.list[len - 1].answer;
            if i + 1 < self.len
                && self.list[i + 1].start == start + 1
                && base.is_plain(self.list[i + 1].answer)
            {
                if self.list[len - 1].exception_count == Range::EXCEPTIONS {
                    self.list[len] = Range::new(start, base);
                    len += 1;
                }
                self.list[len - 1].except(start, answer);
                i += 2;
            } else {
                self.list[len] = self.list[i];
                len += 1;
                i += 1;
            }
        }
        self.len = len;
    }

    /// Where to cut `self[from..to]` in two, so that each part has half of the numbers: the kernel tries a program on every
    /// number that it has when the program is put on, and most of the time that this takes goes into that.
    const fn middle(&self, from: usize, to: usize) -> usize {
        let twice = self.number(from) + self.number(to);
        let mut best = from + 1;
        let mut i = best + 1;
        while i < to {
            if (2 * self.number(i)).abs_diff(twice) < (2 * self.number(best)).abs_diff(twice) {
                best = i;
            }
            i += 1;
        }
        best
    }

    /// The first number of a range, as far as kernels have them.
    const fn number(&self, at: usize) -> u32 {
        /// More than any architecture has.
        const NUMBERS: u32 = 512;
        if at < self.len && self.list[at].start < NUMBERS { self.list[at].start } else { NUMBERS }
    }

    /// Numbers from `start` up to `end` that no rule speaks of.
    const fn gap(&mut self, section: &Section<'_>, start: u32, end: u32) {
        let newer = match section.newest {
            Some(newest) => newest + 1,
            None => u32::MAX,
        };
        if start < end && start < newer {
            self.push(start, Answer::Plain(section.default));
        }
        if start < end && newer < end {
            self.push(if start > newer { start } else { newer }, Answer::Plain(section.newer));
        }
    }

    const fn push(&mut self, start: u32, answer: Answer) {
        let last = self.list[self.len - 1];
        if last.answer.is_plain(answer) {
            return;
        }
        // The very first range was there before anything was known.
        if last.start == start {
            self.len -= 1;
        }
        if self.len == Self::CAPACITY {
            self.overflow = true;
            return;
        }
        self.list[self.len] = Range::new(start, answer);
        self.len += 1;
    }
}

struct Writer<'o> {
    out: &'o mut [Instruction],
    /// Where the last written instruction is.
    at: usize,
    overflow: bool,
    /// Where some actions are returned.
    returns: [(Action, usize); 8],
    oldest: usize,
}

impl Writer<'_> {
    const fn put(&mut self, code: u16, operand: u32) -> usize {
        self.put_branch(code, operand, 0, 0)
    }

    const fn put_branch(&mut self, code: u16, operand: u32, if_true: u8, if_false: u8) -> usize {
        if self.at == 0 {
            self.overflow = true;
        } else {
            self.at -= 1;
            self.out[self.at] = Instruction { code, if_true, if_false, operand };
        }
        self.at
    }

    /// Where `action` is returned, near enough for a conditional jump.
    const fn give(&mut self, action: Action) -> usize {
        let mut slot = 0;
        while slot < self.returns.len() {
            let (known, position) = self.returns[slot];
            if position != NOWHERE && known == action {
                break;
            }
            slot += 1;
        }
        if slot == self.returns.len() {
            slot = self.oldest;
            self.oldest = (self.oldest + 1) % self.returns.len();
        } else if self.returns[slot].1 - self.at < NEAR {
            return self.returns[slot].1;
        }
        let position = self.put(RETURN, action);
        self.returns[slot] = (action, position);
        position
    }

    /// A place near enough for a conditional jump from which `target` is reached.
    const fn near(&mut self, target: usize) -> usize {
        if target - self.at < NEAR {
            target
        } else if self.out[target].code == RETURN {
            self.give(self.out[target].operand)
        } else {
            self.put(JUMP, (target - self.at) as u32)
        }
    }

    /// Makes what is written next go on at `target`.
    const fn falls_into(&mut self, target: usize) {
        if target != self.at {
            if self.out[target].code == RETURN {
                self.put(RETURN, self.out[target].operand);
            } else {
                self.put(JUMP, (target - self.at) as u32);
            }
        }
    }

    const fn branch(&mut self, code: u16, operand: u32, if_true: usize, if_false: usize) -> usize {
        let if_false = self.near(if_false);
        let if_true = self.near(if_true);
        self.put_branch(code, operand, (if_true - self.at) as u8, (if_false - self.at) as u8)
    }

    /// The check for one architecture; `otherwise` is the next one's.
    const fn section(&mut self, section: &Section<'_>, otherwise: usize) -> usize {
        let ranges = Ranges::of(section);
        if ranges.overflow {
            self.overflow = true;
            return self.at;
        }
        let tree = self.tree(section, &ranges, 0, ranges.len);
        self.falls_into(tree);
        let load = self.put(LOAD, NUMBER);
        self.branch(IF_EQUAL, section.architecture, load, otherwise)
    }

    /// The search among `ranges[from..to]`, which holds at least one.
    const fn tree(&mut self, section: &Section<'_>, ranges: &Ranges, from: usize, to: usize) -> usize {
        if to - from == 1 {
            let range = &ranges.list[from];
            let mut entry = self.answer(section, range.answer);
            let mut i = range.exception_count;
            while i > 0 {
                i -= 1;
                let (number, answer) = range.exceptions[i];
                let excepted = self.answer(section, answer);
                entry = self.branch(IF_EQUAL, number, excepted, entry);
            }
            return entry;
        }
        let middle = ranges.middle(from, to);
        let upper = self.tree(section, ranges, middle, to);
        let lower = self.tree(section, ranges, from, middle);
        self.branch(IF_AT_LEAST, ranges.list[middle].start, upper, lower)
    }

    const fn answer(&mut self, section: &Section<'_>, answer: Answer) -> usize {
        match answer {
            Answer::Plain(action) => self.give(action),
            Answer::Conditional(first, end) => self.rules(section, first, end),
        }
    }

    /// The rules of one call, one after the other; the default if none holds.
    const fn rules(&mut self, section: &Section<'_>, first: usize, end: usize) -> usize {
        let mut next = self.give(section.default);
        let mut i = end;
        while i > first {
            i -= 1;
            let rule = &section.rules[i];
            let mut entry = self.give(rule.action);
            let mut j = rule.conditions.len();
            while j > 0 {
                j -= 1;
                let loaded = if j > 0 {
                    all_leave(core::slice::from_ref(&rule.conditions[j - 1]), &rule.conditions[j])
                } else {
                    i > first && all_leave(section.rules[i - 1].conditions, &rule.conditions[0])
                };
                entry = self.check(&rule.conditions[j], entry, next, loaded);
            }
            next = entry;
        }
        next
    }

    /// One condition. `loaded`: what it looks at is in the accumulator already.
    const fn check(&mut self, condition: &Condition, holds: usize, fails: usize, loaded: bool) -> usize {
        let Condition { argument, width, comparison, value } = *condition;
        let low = value as u32;
        let narrow = matches!(width, Width::Narrow);
        let mut entry = match comparison {
            Comparison::Equal => self.branch(IF_EQUAL, low, holds, fails),
            Comparison::NotEqual => self.branch(IF_EQUAL, low, fails, holds),
            Comparison::Greater => self.branch(IF_GREATER, low, holds, fails),
            Comparison::LessOrEqual => self.branch(IF_GREATER, low, fails, holds),
            Comparison::GreaterOrEqual => self.branch(IF_AT_LEAST, low, holds, fails),
            Comparison::Less => self.branch(IF_AT_LEAST, low, fails, holds),
            Comparison::Masked(mask) if low == 0 => self.branch(IF_ANY_BIT, mask as u32, fails, holds),
            Comparison::Masked(mask) => {
                self.branch(IF_EQUAL, low, holds, fails);
                self.put(AND, mask as u32)
            }
        };
        if !loaded {
            entry = self.put(LOAD, low_half(argument));
        }
        if narrow {
            return entry;
        }
        // The upper halves decide unless they are the same.
        let high = (value >> 32) as u32;
        match comparison {
            Comparison::Equal => self.branch(IF_EQUAL, high, entry, fails),
            Comparison::NotEqual => self.branch(IF_EQUAL, high, entry, holds),
            Comparison::Greater | Comparison::GreaterOrEqual => {
                let same = self.branch(IF_EQUAL, high, entry, fails);
                self.branch(IF_GREATER, high, holds, same)
            }
            Comparison::Less | Comparison::LessOrEqual => {
                let same = self.branch(IF_EQUAL, high, entry, holds);
                self.branch(IF_GREATER, high, fails, same)
            }
            Comparison::Masked(mask) => {
                self.branch(IF_EQUAL, high, entry, fails);
                self.put(AND, (mask >> 32) as u32)
            }
        };
        self.put(LOAD, high_half(argument))
    }
}

/// Whether all of `before` leave in the accumulator what `condition` looks at.
const fn all_leave(before: &[Condition], condition: &Condition) -> bool {
    let mut i = 0;
    while i < before.len() {
        let one = &before[i];
        let changed = matches!(one.comparison, Comparison::Masked(_)) && one.value as u32 != 0;
        if changed
            || one.argument != condition.argument
            || !matches!((one.width, condition.width), (Width::Narrow, Width::Narrow))
        {
            return false;
        }
        i += 1;
    }
    !before.is_empty()
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;
    use crate::process::seccomp::interpreter::{Call, read, run};

    const NATIVE: u32 = 7;
    const DEFAULT: Action = ERRNO | 1;
    const NEWER: Action = ERRNO | 38;

    fn section<'a>(rules: &'a [Rule<'a>]) -> Section<'a> {
        Section {
            architecture: NATIVE,
            rules,
            default: DEFAULT,
            newest: rules.iter().map(|rule| rule.number).filter(|number| *number < PRIVATE).max(),
            newer: NEWER,
            x32: None,
        }
    }

    fn compiled(sections: &[Section<'_>]) -> Vec<Instruction> {
        let mut out = vec![Instruction { code: 0, if_true: 0, if_false: 0, operand: 0 }; MAX_INSTRUCTIONS];
        let start = compile(sections, &mut out).unwrap();
        out.split_off(start)
    }

    fn call(number: u32, argument: u64) -> Call {
        Call { architecture: NATIVE, number, arguments: [argument, 0, argument, 0, 0, argument] }
    }

    const EDGES: [u64; 14] = [
        0,
        1,
        4,
        5,
        6,
        0x7fff_ffff,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0004,
        0x1_0000_0005,
        0x1_0000_0006,
        0x2_0000_0005,
        0xffff_ffff_0000_0005,
        u64::MAX,
    ];

    #[test]
    fn every_comparison_in_both_widths_is_what_it_says() {
        use Comparison::*;
        for comparison in
            [NotEqual, Less, LessOrEqual, Equal, GreaterOrEqual, Greater, Masked(0xf_0000_0006), Masked(3)]
        {
            for width in [Width::Narrow, Width::Wide] {
                for (argument, value) in [0, 2, 5].into_iter().flat_map(|i| EDGES.map(|value| (i, value))) {
                    let conditions = [Condition { argument, width, comparison, value }];
                    let rules = [Rule { number: 3, action: ALLOW, conditions: &conditions }];
                    let program = compiled(&[section(&rules)]);
                    for edge in EDGES {
                        let call = call(3, edge);
                        assert_eq!(
                            run(&program, &call),
                            read(&[section(&rules)], &call),
                            "{conditions:?} {edge:#x}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn conditions_of_a_rule_all_hold_and_of_rules_one() {
        let one =
            |argument, comparison, value| Condition { argument, width: Width::Narrow, comparison, value };
        let both = [one(0, Comparison::Greater, 4), one(0, Comparison::Less, 0x7fff_ffff)];
        let masked =
            [one(0, Comparison::Masked(6), 4), one(0, Comparison::Equal, 4), one(1, Comparison::Equal, 0)];
        let wide = [Condition { width: Width::Wide, ..one(2, Comparison::Equal, 0x1_0000_0005) }];
        let rules = [
            Rule { number: 9, action: TRAP, conditions: &masked },
            Rule { number: 9, action: ALLOW, conditions: &both },
            Rule { number: 9, action: LOG, conditions: &wide },
            Rule { number: 9, action: KILL_THREAD, conditions: &both[1..] },
        ];
        let program = compiled(&[section(&rules)]);
        let mut seen = Vec::new();
        for edge in EDGES {
            let action = run(&program, &call(9, edge));
            assert_eq!(action, read(&[section(&rules)], &call(9, edge)), "{edge:#x}");
            seen.push(action);
        }
        for action in [TRAP, ALLOW, KILL_THREAD, DEFAULT] {
            assert!(seen.contains(&action), "{action:#x}");
        }
    }

    #[test]
    fn a_rule_without_conditions_outweighs_others() {
        let conditions =
            [Condition { argument: 0, width: Width::Narrow, comparison: Comparison::Equal, value: 1 }];
        let rules = [
            Rule { number: 0, action: TRAP, conditions: &conditions },
            Rule { number: 0, action: ALLOW, conditions: &[] },
            Rule { number: 0, action: LOG, conditions: &[] },
        ];
        assert_eq!(run(&compiled(&[section(&rules)]), &call(0, 1)), ALLOW);
    }

    #[test]
    fn long_programs_jump_far() {
        let conditions = EDGES.map(|value| Condition {
            argument: 5,
            width: Width::Wide,
            comparison: Comparison::LessOrEqual,
            value,
        });
        let mut rules = Vec::new();
        for number in (0..460).filter(|number| number % 7 != 3) {
            let conditions = if number % 50 == 0 { &conditions[..(number / 40) as usize] } else { &[] };
            rules.push(Rule { number, action: ERRNO | (100 + number), conditions });
        }
        let sections = [
            section(&rules),
            Section { architecture: 8, rules: &rules[100..], x32: Some(TRAP), ..section(&[]) },
            Section { architecture: 9, ..section(&[]) },
        ];
        let program = compiled(&sections);
        assert!(program.len() > 1500, "{}", program.len());
        for architecture in 6..11 {
            for number in (0..500).chain([0x3fff_ffff, 0x4000_0000, u32::MAX]) {
                for edge in [0, 6, u64::MAX] {
                    let call = Call { architecture, ..call(number, edge) };
                    assert_eq!(run(&program, &call), read(&sections, &call), "{call:?}");
                }
            }
        }
    }

    #[test]
    fn private_numbers_do_not_make_the_gap_before_them_old() {
        let rule = |number| Rule { number, action: ALLOW, conditions: &[] };
        let rules = [rule(5), rule(0xf0002), rule(0xf0005)];
        let program = compiled(&[section(&rules)]);
        for (number, action) in [
            (4, DEFAULT),
            (5, ALLOW),
            (6, NEWER),
            (0xf0001, NEWER),
            (0xf0002, ALLOW),
            (0xf0003, NEWER),
            (0xf0005, ALLOW),
        ] {
            assert_eq!(run(&program, &call(number, 0)), action, "{number:#x}");
        }
    }

    #[test]
    fn calls_that_the_writer_knew_are_not_newer() {
        let rules = [Rule { number: 5, action: ALLOW, conditions: &[] }];
        for (newest, seven, nine) in
            [(Some(8), DEFAULT, NEWER), (Some(6), NEWER, NEWER), (None, DEFAULT, DEFAULT)]
        {
            let program = compiled(&[Section { newest, ..section(&rules) }]);
            assert_eq!(
                [4, 5, 7, 9, u32::MAX].map(|n| run(&program, &call(n, 0))),
                [DEFAULT, ALLOW, seven, nine, nine]
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let conditions =
            [Condition { argument: 0, width: Width::Wide, comparison: Comparison::Less, value: 1 }; 6];
        let rules: Vec<_> =
            (0..400).map(|number| Rule { number, action: ALLOW, conditions: &conditions }).collect();
        let mut out = vec![Instruction { code: 0, if_true: 0, if_false: 0, operand: 0 }; MAX_INSTRUCTIONS];
        assert_eq!(compile(&[section(&rules)], &mut out), Err(TooLong));
        let many: Vec<_> =
            (0..2000).map(|i| Rule { number: 2 * i, action: ALLOW, conditions: &[] }).collect();
        assert_eq!(compile(&[section(&many)], &mut out), Err(TooLong));
        assert_eq!(compile(&[section(&rules[..1])], &mut out[..3]), Err(TooLong));
    }
}
