//! What must hold for any seccomp profile that somebody gives.

use skiff_core::process::{
    capability::CapabilitySet,
    seccomp::{KernelVersion, from_json},
};

/// The kernel's own limit of a program.
const INSTRUCTIONS_MAX: usize = 4096;
const CLASS: u16 = 0x07;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;

/// A profile is refused, or gives a program that the kernel takes: every path ends in a return, no jump leaves it.
pub fn seccomp(data: &[u8]) {
    let kernel = KernelVersion { major: 6, minor: 1 };
    let compile = || from_json(data, CapabilitySet::empty(), kernel);
    let Ok(filter) = compile() else { return };
    assert_eq!(Ok(&filter), compile().as_ref(), "the same profile, the same program");
    let program = &filter.instructions;
    assert!(program.len() <= INSTRUCTIONS_MAX);
    for (at, instruction) in program.iter().enumerate() {
        let behind = program.len() - at - 1;
        match instruction.code & CLASS {
            // Without a condition.
            JUMP if instruction.code & 0xf0 == 0 => assert!((instruction.operand as usize) < behind),
            JUMP => assert!(usize::from(instruction.if_true.max(instruction.if_false)) < behind),
            RETURN => {}
            _ => assert!(behind > 0, "it runs out of the program"),
        }
    }
}
