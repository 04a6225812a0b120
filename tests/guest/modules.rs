//! A kernel's directory of modules in, the wanted ones and what they depend on out, in an order in which they can be
//! loaded. What a module needs is written in its own file, so no depmod is needed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// What skiff and the scenarios use that Debian's cloud kernel doesn't have built in.
pub const WANTED: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "loop",
    "overlay",
    "ext4",
    "veth",
    "bridge",
    "br_netfilter",
    "tun",
    "nf_tables",
    "nf_conntrack",
    "nft_chain_nat",
    "nft_nat",
    "nft_masq",
    "nft_redir",
    "nft_ct",
    "nft_fib_inet",
    "nft_reject_inet",
];

/// What a scenario loads for itself.
pub const LATER: &[&str] = &["bfq"];

/// A module's name and content.
pub type Module = (String, Vec<u8>);

/// Reads `wanted` modules with their dependencies, dependencies first. A name without a file is built into the kernel.
pub fn load_order(directory: &Path, wanted: &[&str]) -> io::Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(directory, &mut files)?;
    let mut order = Vec::new();
    for name in wanted {
        add(name, &files, &mut order)?;
    }
    Ok(order)
}

fn index(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if kind.is_dir() {
            index(&entry.path(), files)?;
        } else if let Some((module, "ko" | "ko.xz")) = name.split_once('.') {
            files.insert(module.replace('-', "_"), entry.path());
        }
    }
    Ok(())
}

fn add(name: &str, files: &BTreeMap<String, PathBuf>, order: &mut Vec<Module>) -> io::Result<()> {
    let name = name.replace('-', "_");
    let Some(path) = files.get(&name) else { return Ok(()) };
    if order.iter().any(|(done, _)| *done == name) {
        return Ok(());
    }
    let content = if path.extension().is_some_and(|extension| extension == "xz") {
        std::process::Command::new("xz").arg("-dc").arg(path).output()?.stdout
    } else {
        fs::read(path)?
    };
    for needed in depends(&content) {
        add(&needed, files, order)?;
    }
    order.push((name, content));
    Ok(())
}

/// The `depends=a,b` string of a module's .modinfo section.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let list = module[at + KEY.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    list.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect()
}
