//! Device rules: `--device`, `--device-cgroup-rule` and the defaults in, an eBPF program that the kernel asks before a
//! device node is made or opened out. The parent of a container runs this before clone3.
//!
//! Rules are read in order and the last one that speaks about an access decides it. The program therefore walks them
//! from the end, and crosses off what has been allowed from what was asked for.

use alloc::{format, string::String, vec::Vec};

use skiff_syscalls::bpf::Instruction;

use crate::{Error, Result, digest::fnv1a};

bitflags::bitflags! {
    /// What may be done with a device. The bits are those of the kernel's `BPF_DEVCG_ACC_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Access: u8 {
        /// Make a node (`m`).
        const MKNOD = 1;
        /// Open it for reading (`r`).
        const READ = 2;
        /// Open it for writing (`w`).
        const WRITE = 4;
    }
}

impl Access {
    /// Reads `rwm` or a part of it, in any order, each letter once.
    pub fn parse(text: &str) -> Option<Access> {
        let mut access = Access::empty();
        for letter in text.bytes() {
            let bit = match letter {
                b'r' => Access::READ,
                b'w' => Access::WRITE,
                b'm' => Access::MKNOD,
                _ => return None,
            };
            if access.contains(bit) {
                return None;
            }
            access |= bit;
        }
        (!access.is_empty()).then_some(access)
    }
}

/// What a rule says about the devices that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They may be used so.
    Allow,
    /// They may not.
    Deny,
}

/// Which device nodes a rule matches. The numbers are those of the kernel's `BPF_DEVCG_DEV_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Both kinds.
    Any = 0,
    /// Block devices.
    Block = 1,
    /// Character devices.
    Char = 2,
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Allow or deny.
    pub effect: Effect,
    /// The kind of node.
    pub kind: Kind,
    /// The major number; every one if absent.
    pub major: Option<u32>,
    /// The minor number; every one if absent.
    pub minor: Option<u32>,
    /// The accesses that the rule speaks about.
    pub access: Access,
}

const fn allow_char(major: u32, minor: Option<u32>) -> Rule {
    Rule { effect: Effect::Allow, kind: Kind::Char, major: Some(major), minor, access: Access::all() }
}

/// What holds before any rule of the user: every node can be made, the usual ones can be used, all else is denied.
///
/// # Spec
/// moby `oci/defaults.go` and the nodes that runc adds.
pub const DEFAULT: [Rule; 11] = [
    Rule { effect: Effect::Allow, kind: Kind::Any, major: None, minor: None, access: Access::MKNOD },
    allow_char(1, Some(3)), // null
    allow_char(1, Some(5)), // zero
    allow_char(1, Some(7)), // full
    allow_char(1, Some(8)), // random
    allow_char(1, Some(9)), // urandom
    allow_char(5, Some(0)), // tty
    allow_char(5, Some(1)), // console
    allow_char(5, Some(2)), // ptmx
    allow_char(136, None),  // pts/*
    // fuse
    Rule { effect: Effect::Deny, kind: Kind::Char, major: Some(10), minor: Some(229), access: Access::all() },
];

impl Rule {
    /// Reads the form of `--device-cgroup-rule`: `c 1:3 rwm`, `b 8:* r`, `a *:* rwm`.
    ///
    /// # Errors
    /// What was wrong, in Docker's words.
    pub fn parse(text: &str) -> Result<Rule> {
        parse(text).ok_or_else(|| {
            Error::Invalid(format!("invalid device cgroup rule format: '{text}'"))
                .hint("TYPE MAJOR:MINOR ACCESS, such as 'c 1:3 rwm', 'b 8:* r' or 'a *:* rwm'")
        })
    }
}

fn parse(text: &str) -> Option<Rule> {
    let mut words = text.split(' ');
    let kind = match words.next()? {
        "a" => Kind::Any,
        "b" => Kind::Block,
        "c" => Kind::Char,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let access = Access::parse(words.next()?)?;
    if words.next().is_some() {
        return None;
    }
    Some(Rule { effect: Effect::Allow, kind, major: number(major)?, minor: number(minor)?, access })
}

/// `*` or digits.
fn number(text: &str) -> Option<Option<u32>> {
    if text == "*" {
        return Some(None);
    }
    // from_str_radix takes a sign, too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().map(Some) } else { None }
}

// Registers: the kernel's argument, then what the prologue takes out of it.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// Operations: class | operation | source, as the kernel's linux/bpf_common.h and linux/bpf.h number them.
const LOAD_WORD: u8 = 0x61; // LDX | MEM | W
const MOVE: u8 = 0xbf; // ALU64 | MOV | X
const SET: u8 = 0xb7; // ALU64 | MOV | K
const AND: u8 = 0x54; // ALU | AND | K, 32 bits
const SHIFT_RIGHT: u8 = 0x74; // ALU | RSH | K, 32 bits
const JUMP: u8 = 0x05; // JMP | JA
const JUMP_IF_EQUAL: u8 = 0x16; // JMP32 | JEQ | K
const JUMP_UNLESS_EQUAL: u8 = 0x56; // JMP32 | JNE | K
const JUMP_IF_SET: u8 = 0x46; // JMP32 | JSET | K
const EXIT: u8 = 0x95; // JMP | EXIT

const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    let registers = if cfg!(target_endian = "little") { from << 4 | to } else { to << 4 | from };
    Instruction { code, registers, offset, immediate }
}

#[derive(Default)]
struct Program {
    code: Vec<Instruction>,
    to_allow: Vec<usize>,
    to_deny: Vec<usize>,
}

impl Program {
    fn push(&mut self, code: u8, register: u8, immediate: u32) -> usize {
        self.code.push(instruction(code, register, 0, 0, immediate as i32));
        self.code.len() - 1
    }

    /// Lets the jump at `at` land behind the last instruction so far.
    fn land(&mut self, at: usize) -> Result<()> {
        let distance = i16::try_from(self.code.len() - at - 1);
        self.code[at].offset = distance.map_err(|_| Error::Invalid("device rules: too many".into()))?;
        Ok(())
    }

    /// Jumps to the answer that a rule for all accesses gives.
    fn decide(&mut self, jump: u8, register: u8, immediate: u32, effect: Effect) {
        let at = self.push(jump, register, immediate);
        match effect {
            Effect::Allow => self.to_allow.push(at),
            Effect::Deny => self.to_deny.push(at),
        }
    }

    /// What a rule does when its device is the one that is asked about.
    fn action(&mut self, rule: &Rule) {
        let access = u32::from(rule.access.bits());
        match rule.effect {
            effect if rule.access == Access::all() => self.decide(JUMP, 0, 0, effect),
            Effect::Allow => {
                self.push(AND, WANTED, !access);
                self.decide(JUMP_IF_EQUAL, WANTED, 0, Effect::Allow);
            }
            Effect::Deny => self.decide(JUMP_IF_SET, WANTED, access, Effect::Deny),
        }
    }
}

/// Compiles rules, the last of which has the last word; what none of them speaks about is denied.
///
/// # Errors
/// If there are so many that a jump would not reach its target.
pub fn compile(rules: &[Rule]) -> Result<Vec<Instruction>> {
    let mut program = Program::default();
    // The first word: the kind of device in its low half, what is asked for in its high half.
    program.code.extend_from_slice(&[
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(MOVE, WANTED, KIND, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, WANTED, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ]);
    // access(2) with F_OK asks for nothing.
    program.decide(JUMP_IF_EQUAL, WANTED, 0, Effect::Allow);

    // Neighbours that agree in kind, and then in major number, share the comparison.
    for same_kind in rules.chunk_by(|a, b| a.kind == b.kind).rev() {
        let skip_kind = match same_kind[0].kind {
            Kind::Any => None,
            kind => Some(program.push(JUMP_UNLESS_EQUAL, KIND, kind as u32)),
        };
        for same_major in same_kind.chunk_by(|a, b| a.major == b.major).rev() {
            let skip_major = same_major[0].major.map(|major| program.push(JUMP_UNLESS_EQUAL, MAJOR, major));
            for rule in same_major.iter().rev() {
                match rule.minor {
                    None => program.action(rule),
                    Some(minor) if rule.access == Access::all() => {
                        program.decide(JUMP_IF_EQUAL, MINOR, minor, rule.effect);
                    }
                    Some(minor) => {
                        let skip = program.push(JUMP_UNLESS_EQUAL, MINOR, minor);
                        program.action(rule);
                        program.land(skip)?;
                    }
                }
            }
            if let Some(at) = skip_major {
                program.land(at)?;
            }
        }
        if let Some(at) = skip_kind {
            program.land(at)?;
        }
    }

    for at in core::mem::take(&mut program.to_deny) {
        program.land(at)?;
    }
    program.push(SET, ANSWER, 0);
    program.push(EXIT, 0, 0);
    for at in core::mem::take(&mut program.to_allow) {
        program.land(at)?;
    }
    program.push(SET, ANSWER, 1);
    program.push(EXIT, 0, 0);
    Ok(program.code)
}

/// A short name of a program that tells it from others: FNV-1a over its instructions.
pub fn fingerprint(program: &[Instruction]) -> String {
    let words = program.iter().flat_map(|one| {
        [
            u64::from(one.code) | u64::from(one.registers) << 8 | u64::from(one.offset as u16) << 16,
            u64::from(one.immediate as u32),
        ]
    });
    let hash = fnv1a(words.flat_map(u64::to_le_bytes));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with a program.
    fn run(program: &[Instruction], kind: Kind, access: Access, major: u32, minor: u32) -> bool {
        let context = [kind as u32 | u32::from(access.bits()) << 16, major, minor];
        let mut registers = [0_u32; 6];
        let mut at = 0;
        loop {
            let one = program[at];
            let (to, from) = (usize::from(one.registers & 15), usize::from(one.registers >> 4));
            let constant = one.immediate as u32;
            at += 1;
            let jump = match one.code {
                LOAD_WORD => {
                    assert_eq!(from, usize::from(CONTEXT));
                    registers[to] = context[one.offset as usize / 4];
                    false
                }
                MOVE => {
                    registers[to] = registers[from];
                    false
                }
                SET => {
                    registers[to] = constant;
                    false
                }
                AND => {
                    registers[to] &= constant;
                    false
                }
                SHIFT_RIGHT => {
                    registers[to] >>= constant;
                    false
                }
                JUMP => true,
                JUMP_IF_EQUAL => registers[to] == constant,
                JUMP_UNLESS_EQUAL => registers[to] != constant,
                JUMP_IF_SET => registers[to] & constant != 0,
                EXIT => return registers[0] != 0,
                code => panic!("unknown instruction {code:#x}"),
            };
            if jump {
                assert!(one.offset >= 0, "the verifier wants an end");
                at += one.offset as usize;
            }
        }
    }

    /// What the rules mean, said plainly.
    fn meaning(rules: &[Rule], kind: Kind, access: Access, major: u32, minor: u32) -> bool {
        access.iter().all(|bit| {
            let last = rules.iter().rev().find(|rule| {
                (rule.kind == Kind::Any || rule.kind == kind)
                    && rule.major.is_none_or(|number| number == major)
                    && rule.minor.is_none_or(|number| number == minor)
                    && rule.access.contains(bit)
            });
            last.is_some_and(|rule| rule.effect == Effect::Allow)
        })
    }

    fn assert_means_what_it_says(rules: &[Rule]) {
        let program = compile(rules).unwrap();
        for kind in [Kind::Block, Kind::Char] {
            for bits in 0..8 {
                let access = Access::from_bits_retain(bits);
                for major in [0, 1, 5, 8, 10, 136, u32::MAX] {
                    for minor in [0, 1, 2, 3, 5, 8, 229, u32::MAX] {
                        assert_eq!(
                            run(&program, kind, access, major, minor),
                            meaning(rules, kind, access, major, minor),
                            "{kind:?} {major}:{minor} {access:?} with {rules:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_default_program_is_short_and_means_the_default_rules() {
        assert_means_what_it_says(&DEFAULT);
        assert_eq!(compile(&DEFAULT).unwrap().len(), 28);
    }

    #[test]
    fn the_default_lets_nodes_be_made_but_not_used() {
        let program = compile(&DEFAULT).unwrap();
        assert!(run(&program, Kind::Block, Access::MKNOD, 8, 0));
        assert!(!run(&program, Kind::Block, Access::READ, 8, 0));
        assert!(!run(&program, Kind::Block, Access::READ | Access::MKNOD, 8, 0));
        assert!(run(&program, Kind::Char, Access::READ | Access::WRITE, 1, 3));
        assert!(!run(&program, Kind::Char, Access::MKNOD, 10, 229));
    }

    #[test]
    fn any_mixture_of_rules_means_the_same_compiled() {
        let mut state = 7_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..300 {
            let rules: Vec<Rule> = (0..random(9))
                .map(|_| Rule {
                    effect: if random(3) == 0 { Effect::Deny } else { Effect::Allow },
                    kind: [Kind::Any, Kind::Block, Kind::Char][random(3) as usize],
                    major: [None, Some(1), Some(8)][random(3) as usize],
                    minor: [None, Some(3), Some(u32::MAX)][random(3) as usize],
                    access: Access::from_bits_retain(1 + random(7) as u8),
                })
                .collect();
            assert_means_what_it_says(&rules);
        }
    }

    #[test]
    fn rules_that_would_not_fit_are_refused_instead_of_jumping_astray() {
        let rules: Vec<Rule> = (0..20_000).map(|minor| allow_char(minor % 2, Some(minor))).collect();
        assert_eq!(compile(&rules).unwrap_err(), Error::Invalid("device rules: too many".into()));
    }

    #[test]
    fn a_rule_is_read_as_docker_reads_it() {
        let rule = Rule::parse("b 8:* rw").unwrap();
        assert_eq!((rule.kind, rule.major, rule.minor), (Kind::Block, Some(8), None));
        assert_eq!(rule.access, Access::READ | Access::WRITE);
        assert_eq!(Rule::parse("a *:* rwm").unwrap().kind, Kind::Any);
        for wrong in
            ["", "c", "c 1", "c 1:3", "d 1:3 r", "c 1:3 x", "c 1:3 rr", "c +1:3 r", "c 1:3 r w", "c : r"]
        {
            assert!(Rule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
