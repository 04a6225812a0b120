//! Scenarios about device rules, asked of the kernel: what can be made and what can be opened.

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, open, unlink},
    io::Errno,
};
use skiff_core::{
    fork::{self, Ended},
    process::cgroup::{
        Host, Resources,
        devices::{DEFAULT, Rule},
    },
};

use crate::cgroup::{born_in, limited};

/// Makes a node and opens it, both from inside the group.
fn attempt(kind: FileType, major: u32, minor: u32, flags: OFlags) -> (Result<(), Errno>, Result<(), Errno>) {
    let path = "/tmp/node";
    let made = mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), makedev(major, minor));
    let opened = open(path, flags | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).map(drop);
    let _ = unlink(path);
    (made, opened)
}

pub fn rules() {
    let host = Host::find().unwrap();
    let (block, char) = (FileType::BlockDevice, FileType::CharacterDevice);
    let (read, write, both) = (OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR);

    // What the kernel says without rules is the yardstick: the nodes are real.
    assert_eq!(attempt(block, 254, 0, both), (Ok(()), Ok(())));

    let mut with_disk = DEFAULT.to_vec();
    with_disk.push(Rule::parse("b 254:* r").unwrap());
    for (name, rules, expected) in [
        (
            "default",
            &DEFAULT[..],
            [
                ((block, 254, 0, read), (Ok(()), Err(Errno::PERM))),
                ((char, 1, 3, both), (Ok(()), Ok(()))),
                ((char, 1, 1, read), (Ok(()), Err(Errno::PERM))),
                ((char, 10, 229, both), (Err(Errno::PERM), Err(Errno::NOENT))),
            ],
        ),
        (
            "disk",
            &with_disk[..],
            [
                ((block, 254, 0, read), (Ok(()), Ok(()))),
                ((block, 254, 0, write), (Ok(()), Err(Errno::PERM))),
                ((char, 1, 9, read), (Ok(()), Ok(()))),
                ((char, 1, 1, read), (Ok(()), Err(Errno::PERM))),
            ],
        ),
    ] {
        // Twice: the second default one finds the program that the first has loaded.
        for _ in 0..2 {
            let group = limited(&host, name, &Resources::default());
            group.restrict_devices(&host, rules).unwrap();
            let child = born_in(&group, || {
                for ((kind, major, minor, flags), expected) in expected {
                    let found = attempt(kind, major, minor, flags);
                    assert_eq!(found, expected, "{name}: {kind:?} {major}:{minor} {flags:?}");
                }
                0
            });
            assert_eq!(fork::wait(&child), Ok(Ended::Exited(0)));
            group.remove(1000).unwrap();
        }
    }
}
