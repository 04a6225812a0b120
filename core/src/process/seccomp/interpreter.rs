//! What the kernel does with a filter program, for tests: a call comes in, its action goes out.

use skiff_syscalls::seccomp::Instruction;

use super::program::{Action, Comparison, Condition, Rule, Section, Width};

/// `struct seccomp_data` without the instruction pointer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call {
    pub architecture: u32,
    pub number: u32,
    pub arguments: [u64; 6],
}

/// Runs a program; panics where the kernel would refuse it.
pub fn run(program: &[Instruction], call: &Call) -> Action {
    let mut accumulator = 0u32;
    let mut at = 0;
    loop {
        let Instruction { code, if_true, if_false, operand } = program[at];
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { if_true } else { if_false });
        match code {
            0x20 => {
                assert!(operand % 4 == 0 && operand < 64);
                accumulator = match operand {
                    0 => call.number,
                    4 => call.architecture,
                    8 | 12 => panic!("nobody asks for the instruction pointer"),
                    _ => (call.arguments[(operand as usize - 16) / 8] >> (operand % 8 * 8)) as u32,
                };
            }
            0x54 => accumulator &= operand,
            0x05 => at += operand as usize,
            0x15 => branch(accumulator == operand),
            0x25 => branch(accumulator > operand),
            0x35 => branch(accumulator >= operand),
            0x45 => branch(accumulator & operand != 0),
            0x06 => return operand,
            _ => panic!("unknown instruction {code:#x}"),
        }
    }
}

/// The same from the rules, read one by one.
pub fn read(sections: &[Section<'_>], call: &Call) -> Action {
    let Some(section) = sections.iter().find(|section| section.architecture == call.architecture) else {
        return 0x8000_0000;
    };
    if let Some(action) = section.x32
        && call.number >= 0x4000_0000
    {
        return action;
    }
    let ours = || section.rules.iter().filter(|rule| rule.number == call.number);
    let rule =
        ours().find(|rule| rule.conditions.is_empty()).or_else(|| ours().find(|rule| matches(rule, call)));
    match rule {
        Some(rule) => rule.action,
        None if ours().next().is_none() && section.newest.is_some_and(|newest| call.number > newest) => {
            section.newer
        }
        None => section.default,
    }
}

fn matches(rule: &Rule<'_>, call: &Call) -> bool {
    rule.conditions.iter().all(|condition| holds(condition, call.arguments[usize::from(condition.argument)]))
}

fn holds(condition: &Condition, argument: u64) -> bool {
    let cut = |value: u64| if condition.width == Width::Narrow { value & 0xffff_ffff } else { value };
    let (argument, value) = (cut(argument), cut(condition.value));
    match condition.comparison {
        Comparison::NotEqual => argument != value,
        Comparison::Less => argument < value,
        Comparison::LessOrEqual => argument <= value,
        Comparison::Equal => argument == value,
        Comparison::GreaterOrEqual => argument >= value,
        Comparison::Greater => argument > value,
        Comparison::Masked(mask) => argument & cut(mask) == value,
    }
}
