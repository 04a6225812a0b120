//! Images that are large in one way or another: loaded, saved, loaded again.

use std::{
    fs,
    io::{Seek, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{
    count, load,
    pack::{Layout, Tar, config, docker, layer, named},
    save::saved,
    support::{
        Scratch,
        tree::{is_root, tar},
    },
    tools::said,
};
use skiff_core::digest::Hasher;

/// Saves an image to another engine, where it has to be the same.
fn goes_over(scratch: &Scratch, other: &Scratch, name: &str) {
    let archive = saved(scratch, &[name]);
    load(other, &archive);
    let format = "{{.Id}} {{json .RootFS.Layers}}";
    assert_eq!(other.text(&["inspect", "-f", format, name]), scratch.text(&["inspect", "-f", format, name]));
    assert!(saved(other, &[name]) == archive);
}

/// A file system in memory over a scratch engine's data, so that what is large does not have to reach a disk.
struct InMemory<'a>(&'a Scratch);

impl InMemory<'_> {
    fn new(scratch: &Scratch) -> InMemory<'_> {
        fs::create_dir(scratch.path("data")).unwrap();
        mount("tmpfs", scratch.path("data").to_str().unwrap(), "tmpfs", MountFlags::empty(), None).unwrap();
        InMemory(scratch)
    }
}

impl Drop for InMemory<'_> {
    fn drop(&mut self) {
        let _ = unmount(self.0.path("data").to_str().unwrap(), UnmountFlags::DETACH);
    }
}

#[test]
fn an_image_of_127_layers_goes_over_with_few_descriptors() {
    let scratch = Scratch::new();
    let plain: Vec<Vec<u8>> = (0..127).map(|n| layer(&format!("f{n}"), &n.to_string())).collect();
    let layers: Vec<(&[u8], &[u8])> = plain.iter().map(|layer| (&layer[..], &layer[..])).collect();
    let mut layout = Layout::default();
    let image = layout.image(&layers);
    load(&scratch, &layout.end(&[named(&image, "many:1")]));
    assert_eq!(count(&scratch, "layers"), 127);
    goes_over(&scratch, &Scratch::new(), "many:1");
    let skiff = scratch.skiff(&["save", "many:1"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -Sn 100; exec \"$0\" \"$@\" | wc -c"])
        .arg(skiff.get_program())
        .args(skiff.get_args());
    shell.envs(skiff.get_envs().filter_map(|(key, value)| Some((key, value?))));
    assert_eq!(said(&mut shell), saved(&scratch, &["many:1"]).len().to_string());
}

#[test]
fn a_layer_of_50_000_files_goes_over() {
    if !is_root() {
        return;
    }
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let _in_memory = [InMemory::new(&scratch), InMemory::new(&other)];
    let mut tar = Tar::default();
    for directory in 0..500 {
        tar = tar.entry(b'5', &format!("d{directory}/"), "", b"");
        for file in 0..100 {
            let name = format!("d{directory}/file-{file}");
            tar = tar.file(&name, &name.as_bytes()[..if file % 10 == 0 { 0 } else { name.len() }]);
        }
    }
    let plain = tar.end();
    let mut layout = Layout::default();
    let image = layout.image(&[(&plain, &plain)]);
    load(&scratch, &layout.end(&[named(&image, "files:1")]));
    goes_over(&scratch, &other, "files:1");
}

#[test]
fn a_file_of_more_than_two_gigabytes_goes_in_and_out() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let _in_memory = InMemory::new(&scratch);
    let size = (2_u64 << 30) + 12_345;
    // So many zeros, which the archive leaves out on the disk.
    let header = Tar::header(b'0', "large", "", size);
    let length = header.len() as u64 + size.next_multiple_of(512) + 1024;
    let (mut hash, zeros) = (Hasher::new(), vec![0; 1 << 20]);
    hash.update(&header);
    let mut left = length - header.len() as u64;
    while left > 0 {
        let some = left.min(zeros.len() as u64);
        hash.update(&zeros[..some as usize]);
        left -= some;
    }
    let archive = Tar::default()
        .file("manifest.json", docker("config.json", r#"["zeros:1"]"#, r#"["layer.tar"]"#))
        .file("config.json", config(&[hash.finish()]));
    let file = scratch.path("archive");
    let mut open = fs::File::create(&file).unwrap();
    open.write_all(&archive.part()).unwrap();
    open.write_all(&Tar::header(b'0', "layer.tar", "", length)).unwrap();
    let end = open.stream_position().unwrap() + length + 1024;
    open.write_all(&header).unwrap();
    open.set_len(end).unwrap();
    assert_eq!(scratch.text(&["load", "-i", file.to_str().unwrap()]), "Loaded image: zeros:1\n");
    let layer = fs::read_dir(scratch.path("data/layers")).unwrap().next().unwrap().unwrap();
    assert_eq!(fs::metadata(layer.path().join("tree/large")).unwrap().len(), size);
    let mut save = scratch.skiff(&["save", "zeros:1"]).stdout(Stdio::piped()).spawn().unwrap();
    let listed = Command::new("tar").arg("-tv").stdin(save.stdout.take().unwrap()).output().unwrap();
    assert!(save.wait().unwrap().success() && listed.status.success());
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&format!(" {length} ")), "{listed}");
}

#[test]
fn a_file_of_more_than_two_gigabytes_that_is_a_hole_goes_over() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("tree")).unwrap();
    let hole = fs::File::create(scratch.path("tree/large")).unwrap();
    hole.set_len((2 << 30) + 12_345).unwrap();
    scratch.text(&["import", tar_file(&scratch).to_str().unwrap(), "hole:1"]);
    goes_over(&scratch, &Scratch::new(), "hole:1");
}

/// The tree, with its holes left out.
fn tar_file(scratch: &Scratch) -> PathBuf {
    let file = scratch.path("tar");
    fs::write(&file, tar(&scratch.path("tree"), &["--format=pax", "-S"])).unwrap();
    file
}
