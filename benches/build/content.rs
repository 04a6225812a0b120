//! What is built: an image to stand on, and contexts.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

use super::{engine::BASE, layer, run};

/// Applets that the builds call.
const APPLETS: [&str; 5] = ["sh", "cat", "mkdir", "sort", "wc"];

/// Ten steps on the base image, four RUN and two COPY.
const TEN_STEPS: &str = "\
ENV LANG=C
WORKDIR /app
COPY words /app/words
RUN mkdir out && sort words > out/sorted
COPY src /app/src
RUN cat src/* > out/all
RUN wc out/all > out/count
RUN cat out/count out/sorted > result
CMD [\"cat\", \"/app/result\"]
";

/// A root file system with busybox, as a tar.
pub fn base(scratch: &Path) -> PathBuf {
    let (root, tar) = (scratch.join("rootfs"), scratch.join("rootfs.tar"));
    for directory in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is needed");
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    run(Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&root).arg(".")).unwrap();
    tar
}

/// A small context, and ten steps.
pub fn ten_steps(context: &Path) -> PathBuf {
    let source = context.join("src");
    fs::create_dir_all(&source).unwrap();
    fs::write(context.join("words"), "three\none\ntwo\n").unwrap();
    for number in 0..10 {
        fs::write(source.join(format!("file{number}")), format!("content {number}\n").repeat(100)).unwrap();
    }
    fs::write(context.join("Dockerfile"), format!("FROM {BASE}\n{TEN_STEPS}")).unwrap();
    context.into()
}

/// A context as programs have them, all of which is copied.
pub fn sources(context: &Path, files: usize, mean_bytes: usize) -> PathBuf {
    fs::create_dir_all(context).unwrap();
    let tar = context.with_extension("tar");
    let mut out = BufWriter::new(File::create(&tar).unwrap());
    layer::write(layer::Shape { seed: 1, files, mean_bytes }, &mut out).unwrap();
    out.flush().unwrap();
    run(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(context)).unwrap();
    fs::remove_file(&tar).unwrap();
    let steps = "COPY . /app\nRUN wc /app/Dockerfile > /count\n";
    fs::write(context.join("Dockerfile"), format!("FROM {BASE}\n{steps}")).unwrap();
    context.into()
}

/// Changes the content of one file of [`sources`], and not its size.
pub fn change(context: &Path, number: usize) {
    let path = context.join("usr/lib/package-1-3/part0/file384");
    let mut content = fs::read(&path).unwrap();
    content.splice(0..8, format!("{number:08}").into_bytes());
    fs::write(&path, content).unwrap();
}
