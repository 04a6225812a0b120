//! Every rule of `COPY` and `ADD` on a real file system, below a scratch directory beside which a canary lies.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, chmodat, chownat, mknodat, readlinkat, statat, symlinkat, utimensat},
};

use super::{hashes::Hashes, *};
use crate::{
    Error,
    digest::Digest,
    file,
    layer::{
        inflate::tests::gzip,
        tar::tests::{Block, archive},
    },
};

/// A context, an image and a cache.
struct Scratch {
    path: String,
    outer: OwnedFd,
}

impl Scratch {
    /// `None`, with a printed reason, where the tests can't change owners.
    fn new(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            std::println!("skipped: not root");
            return None;
        }
        let path = format!("/tmp/skiff-transfer-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(file::CWD, path.as_str());
        let outer = file::make_host_directories(&path, 0o755).unwrap();
        file::create(&outer, "canary", b"alive", 0o644).unwrap();
        let scratch = Scratch { path, outer };
        ["tree", "image", "cache"].iter().for_each(|name| drop(scratch.clean(name)));
        Some(scratch)
    }

    /// One of its directories, empty.
    fn clean(&self, name: &str) -> OwnedFd {
        file::remove_tree(&self.outer, name).unwrap();
        file::subdirectory(&self.outer, name, 0o755).unwrap()
    }

    fn at(&self, name: &str) -> OwnedFd {
        file::directory(&self.outer, name).unwrap()
    }

    fn hashes(&self) -> Hashes {
        Hashes::load(&self.outer)
    }

    fn copy(&self, ignore: &str, request: &Request) -> Result<Copied> {
        let (tree, image) = (self.at("tree"), self.at("image"));
        let ignore = Patterns::parse(ignore.as_bytes()).unwrap();
        let copied = select(tree.as_fd(), Some(&ignore), request)?.copy(Ground::plain(image.as_fd()));
        assert_eq!(file::read(&self.outer, "canary", 100).unwrap(), b"alive");
        copied
    }

    fn digest(&self, request: &Request) -> Digest {
        let tree = self.at("tree");
        let mut hashes = self.hashes();
        let digest = select(tree.as_fd(), None, request).unwrap().digest(&mut hashes, None).unwrap();
        hashes.save();
        digest
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(file::CWD, self.path.as_str());
    }
}

/// Makes nodes from words: `d/`, `file`, `file=content`, `link>target`; `@mode` at the end of the first two.
fn plant(root: &OwnedFd, words: &str) {
    for word in words.split_whitespace() {
        let (word, mode) = word.split_once('@').unwrap_or((word, ""));
        let mode = u32::from_str_radix(mode, 8).ok();
        let path = if let Some((name, target)) = word.split_once('>') {
            parents(root, name);
            symlinkat(target, root, name).unwrap();
            continue;
        } else if let Some(directory) = word.strip_suffix('/') {
            file::make_directories(root, directory.as_bytes()).unwrap();
            directory
        } else {
            let (name, content) =
                word.split_once('=').unwrap_or((word, word.rsplit('/').next().unwrap_or(word)));
            parents(root, name);
            file::create(root, name, content.as_bytes(), 0o644).unwrap();
            name
        };
        let usual = if word.ends_with('/') { 0o755 } else { 0o644 };
        chmodat(root, path, Mode::from_raw_mode(mode.unwrap_or(usual)), AtFlags::empty()).unwrap();
        let past = rustix::fs::Timespec { tv_sec: 1000, tv_nsec: 5 };
        let times = rustix::fs::Timestamps { last_access: past, last_modification: past };
        utimensat(root, path, &times, AtFlags::empty()).unwrap();
    }
}

fn parents(root: &OwnedFd, path: &str) {
    if let Some((directory, _)) = path.rsplit_once('/') {
        file::make_directories(root, directory.as_bytes()).unwrap();
    }
}

/// What is in a tree, in the words that plant it; modes that are not the usual ones with them.
fn seen(root: &OwnedFd) -> String {
    let mut words = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(directory) = waiting.pop() {
        let here = if directory.is_empty() { "." } else { directory.as_str() };
        for (name, kind) in file::entries(root, here).unwrap() {
            let path =
                format!("{directory}{}{}", &"/"[usize::from(directory.is_empty())..], name.to_str().unwrap());
            let mode = statat(root, path.as_str(), AtFlags::SYMLINK_NOFOLLOW).unwrap().st_mode & 0o7777;
            let shown = |usual: u32| if mode == usual { String::new() } else { format!("@{mode:o}") };
            words.push(match kind {
                FileType::Directory => {
                    waiting.push(path.clone());
                    format!("{path}/{}", shown(0o755))
                }
                FileType::Symlink => {
                    format!(
                        "{path}>{}",
                        readlinkat(root, path.as_str(), Vec::new()).unwrap().to_str().unwrap()
                    )
                }
                FileType::RegularFile => {
                    let content = file::read(root, path.as_str(), 1 << 20).unwrap();
                    let content = String::from_utf8_lossy(&content).into_owned();
                    let is_usual = path.rsplit('/').next() == Some(&content);
                    let content = if is_usual { String::new() } else { format!("={content}") };
                    format!("{path}{content}{}", shown(0o644))
                }
                kind => format!("{path}?{kind:?}"),
            });
        }
    }
    words.sort();
    words.join(" ")
}

fn request(sources: &str, destination: &str) -> Request {
    Request {
        sources: sources.split_whitespace().map(Into::into).collect(),
        destination: destination.into(),
        ..Request::default()
    }
}

fn patterns(text: &str) -> Patterns {
    Patterns::parse(text.replace(' ', "\n").as_bytes()).unwrap()
}

#[test]
fn sources_and_destinations_are_what_docker_takes_them_for() {
    let Some(scratch) = Scratch::new("rules") else { return };
    let tree = "f=f g=g@4755 d/x=x d/s/y=y@600 d/s/@700 l>f dl>d d/in>../f abs>/d/x up>../../f";
    for (sources, destination, image, expected) in [
        // A file.
        ("f", "/n", "", "n=f"),
        ("f", "/n/", "", "n/ n/f"),
        ("f", "/n/.", "", "n/ n/f"),
        ("f", "/a/b/n", "", "a/ a/b/ a/b/n=f"),
        ("f", "/n", "n/@700", "n/@700 n/f"),
        ("f", "/n", "n=old@600", "n=f"),
        ("f", "/", "", "f"),
        ("g", "/g", "", "g@4755"),
        ("/../f", "/n", "", "n=f"),
        ("./d/../f", "/n", "", "n=f"),
        ("f/", "/n", "", "n=f"),
        ("f g", "/n/", "", "n/ n/f n/g@4755"),
        ("f g", "/n", "", "n=g@4755"),
        // A directory gives what is in it.
        ("d", "/n", "", "n/ n/in>../f n/s/@700 n/s/y@600 n/x"),
        ("d/", "/n/", "n/@711 n/s/ n/x=old n/z", "n/@711 n/in>../f n/s/@700 n/s/y@600 n/x n/z"),
        ("d/s", "/", "y=old", "y@600"),
        // Links as sources are followed, those in directories are not.
        ("l", "/n/", "", "n/ n/l=f"),
        ("dl", "/n", "", "n/ n/in>../f n/s/@700 n/s/y@600 n/x"),
        ("dl/x", "/n", "", "n=x"),
        ("abs", "/n", "", "n=x"),
        ("up", "/n", "", "n=f"),
        ("d/in", "/n", "", "n=f"),
        // Links in the image are followed inside it.
        ("f", "/n", "n>real", "n>real real=f"),
        ("f", "/n", "n>/a/b", "a/ a/b=f n>/a/b"),
        ("f", "/n/", "n>../../real real/", "n>../../real real/ real/f"),
        ("f", "/n/", "n>made", "made/ made/f n>made"),
        ("d/s", "/n", "n>real real/", "n>real real/ real/y@600"),
        ("f", "/n/", "n/f>../real real=real", "n/ n/f real"),
        // Patterns.
        ("*", "/n/", "", "n/ n/abs=x n/f n/g@4755 n/in>../f n/l=f n/s/@700 n/s/y@600 n/up=f n/x"),
        ("?", "/n/", "", "n/ n/f n/g@4755 n/in>../f n/l=f n/s/@700 n/s/y@600 n/x"),
        ("[f-g]", "/n/", "", "n/ n/f n/g@4755"),
        ("d/[^s]", "/n/", "", "n/ n/x"),
        ("*/x", "/n/", "", "n/ n/x"),
        ("*/*/y", "/n", "", "n=y@600"),
        ("dl/[x]", "/n/", "", "n/ n/x"),
        ("nothing*", "/n/", "", ""),
        ("d/nothing?", "/n/", "", ""),
    ] {
        plant(&scratch.clean("tree"), tree);
        plant(&scratch.clean("image"), image);
        assert_eq!(scratch.copy("", &request(sources, destination)), Ok(Copied::default()), "{sources}");
        assert_eq!(seen(&scratch.at("image")), expected, "{sources} {destination} onto {image}");
    }
}

#[test]
fn what_is_not_there_and_what_is_in_the_way_is_told() {
    let Some(scratch) = Scratch::new("errors") else { return };
    plant(&scratch.at("tree"), "readme d/file d/l/x loop>loop out>../../canary hidden/x hl>hidden/x");
    for (sources, destination, image, error) in [
        ("nothing", "/", "", "\"/nothing\": not found"),
        ("raedme", "/", "", "\"/raedme\": not found\nhint: did you mean \"readme\"?"),
        ("d/fil", "/", "", "\"/d/fil\": not found\nhint: did you mean \"d/file\"?"),
        ("readme/x", "/", "", "\"/readme/x\": not found"),
        ("none/*", "/", "", "\"/none\": not found"),
        ("../canary", "/", "", "\"/canary\": not found"),
        ("out", "/", "", "\"/out\": not found"),
        ("hidden", "/", "", "\"/hidden\": not found\nhint: .dockerignore or --exclude leaves it out"),
        ("hidden/x", "/", "", "\"/hidden/x\": not found\nhint: .dockerignore or --exclude leaves it out"),
        ("hl", "/", "", "\"/hl\": not found\nhint: .dockerignore or --exclude leaves it out"),
        ("hiddem", "/", "", "\"/hiddem\": not found"),
        ("loop", "/", "", "open loop: ELOOP (too many levels of symbolic links)"),
        ("d", "/n", "n", "cannot copy to non-directory: /n"),
        ("d", "/n", "n/l", "cannot copy to non-directory: /n/l"),
        ("d", "/n", "n/l>/", "cannot copy to non-directory: /n/l"),
        ("d/file", "/n/", "n/file/", "cannot replace to directory /n/file with file"),
        ("d/file", "/n/x", "n", "create directory /n: ENOTDIR (not a directory)"),
        ("d/[", "/", "", "syntax error in pattern \"[\""),
    ] {
        plant(&scratch.clean("image"), image);
        let told = scratch.copy("hidden", &request(sources, destination)).unwrap_err().to_string();
        assert_eq!(told, error, "{sources}");
    }
    let bad = |request: Request| scratch.copy("", &request).unwrap_err().to_string();
    let plain = request("readme", "/");
    assert!(
        bad(Request { chmod: Some("9".into()), ..plain.clone() }).starts_with("invalid chmod parameter: '9'")
    );
    let error = bad(Request { chown: Some("ann".into()), ..plain });
    assert_eq!(error, "unable to find user ann: no matching entries in passwd file");
}

#[test]
fn what_is_left_out_is_not_copied_and_what_is_brought_back_is() {
    let Some(scratch) = Scratch::new("ignore") else { return };
    plant(&scratch.at("tree"), "a.md b.txt d/a.md d/b.txt d/e/a.md d/e/b.txt k/a.md o/");
    let whole = "a.md b.txt d/ d/a.md d/b.txt d/e/ d/e/a.md d/e/b.txt k/ k/a.md o/";
    for (sources, ignore, excludes, expected) in [
        (".", "", "", whole),
        (".", "*.md k o", "", "b.txt d/ d/a.md d/b.txt d/e/ d/e/a.md d/e/b.txt"),
        (".", "**/*.md", "", "b.txt d/ d/b.txt d/e/ d/e/b.txt k/ o/"),
        (".", "* !d/e/a.md", "", "d/ d/e/ d/e/a.md"),
        (".", "d !d/e o", "", "a.md b.txt d/ d/e/ d/e/a.md d/e/b.txt k/ k/a.md"),
        ("d", "d !d/e/b.txt", "", "e/ e/b.txt"),
        ("*", "d !d/e/b.txt", "", "a.md b.txt e/ e/b.txt"),
        ("*", "* !d/none", "", ""),
        (".", "", "*.md d/e", "b.txt d/ d/a.md d/b.txt k/ k/a.md o/"),
        ("d", "", "*.md", "b.txt e/ e/a.md e/b.txt"),
        ("d", "", "e !e/a.md", "a.md b.txt e/ e/a.md"),
        ("*.*", "", "*.md", "b.txt"),
        ("a.md", "", "*.md", "a.md"),
    ] {
        scratch.clean("image");
        let request = Request { excludes: patterns(excludes), ..request(sources, "/") };
        scratch.copy(&ignore.replace(' ', "\n"), &request).unwrap();
        assert_eq!(seen(&scratch.at("image")), expected, "{sources} -{ignore} -{excludes}");
    }
    // Nothing of it is left.
    let none = Request { excludes: patterns("**"), ..request("d", "/") };
    assert!(scratch.copy("*\n!d/none", &none).is_err());
}

#[test]
fn directories_on_the_way_come_with_parents() {
    let Some(scratch) = Scratch::new("parents") else { return };
    plant(&scratch.at("tree"), "a/b/c.txt a/b/d.md a/e/c.txt x/y/z/f l>a/b a/b/@700");
    for (sources, image, expected) in [
        ("a/b/c.txt", "", "n/ n/a/ n/a/b/@700 n/a/b/c.txt"),
        ("./a/b/c.txt", "n/a/b/", "n/ n/a/ n/a/b/ n/a/b/c.txt"),
        ("a/e x/y", "", "n/ n/a/ n/a/e/ n/a/e/c.txt n/x/ n/x/y/ n/x/y/z/ n/x/y/z/f"),
        ("x/./y/z", "", "n/ n/y/ n/y/z/ n/y/z/f"),
        ("a/./*/c.txt", "", "n/ n/b/@700 n/b/c.txt n/e/ n/e/c.txt"),
        ("**/*.txt", "", "n/ n/a/ n/a/b/@700 n/a/b/c.txt n/a/e/ n/a/e/c.txt"),
        ("l/./c.txt", "", "n/ n/c.txt"),
        ("a/*/none", "", ""),
    ] {
        plant(&scratch.clean("image"), image);
        scratch.copy("", &Request { parents: true, ..request(sources, "/n/") }).unwrap();
        assert_eq!(seen(&scratch.at("image")), expected, "{sources}");
    }
    for (source, error) in [
        ("a/none.txt", "\"/a/none.txt\": not found"),
        ("l/c.txt", "\"/l/c.txt\": not found\nhint: with --parents, links on the way to it are not followed"),
        ("none/./x", "\"/none\": not found"),
    ] {
        let request = Request { parents: true, ..request(source, "/n/") };
        assert_eq!(scratch.copy("", &request).unwrap_err().to_string(), error);
    }
}

#[test]
fn owners_modes_and_times_are_as_they_are_asked_for() {
    let Some(scratch) = Scratch::new("attributes") else { return };
    plant(&scratch.at("tree"), "d/f@6755 d/s/ d/l>f");
    for path in ["d/f", "d/s", "d/l"] {
        let id = Some(rustix::fs::Uid::from_raw(7));
        chownat(scratch.at("tree"), path, id, None, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    chmodat(scratch.at("tree"), "d/f", Mode::from_raw_mode(0o6755), AtFlags::empty()).unwrap();
    let passwd = "ann:x:1000:100::/:\n";
    let ids = |path: &str| {
        let stat = statat(scratch.at("image"), path, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777)
    };
    let all = |chown: Option<&str>, chmod: Option<&str>, keep_owner| {
        let image = scratch.clean("image");
        let etc = file::make_directories(&image, b"etc").unwrap();
        file::create(&etc, "passwd", passwd.as_bytes(), 0o644).unwrap();
        file::create(&etc, "group", b"users:x:50:\n", 0o644).unwrap();
        // What is made here would get this group.
        plant(&image, "n/@2775");
        chownat(&image, "n", None, Some(rustix::fs::Gid::from_raw(9)), AtFlags::empty()).unwrap();
        chmodat(&image, "n", Mode::from_raw_mode(0o2775), AtFlags::empty()).unwrap();
        let request = Request {
            chown: chown.map(Into::into),
            chmod: chmod.map(Into::into),
            keep_owner,
            documents: vec![Document { name: "doc".into(), content: b"doc".to_vec() }],
            ..request("d", "/n/m/")
        };
        scratch.copy("", &request).unwrap();
        assert_eq!(ids("n"), (0, 9, 0o2775));
        ["n/m", "n/m/f", "n/m/s", "n/m/l", "n/m/doc"].map(ids)
    };
    assert_eq!(
        all(None, None, false),
        [(0, 0, 0o755), (0, 0, 0o6755), (0, 0, 0o755), (0, 0, 0o777), (0, 0, 0o644)]
    );
    assert_eq!(all(None, None, true)[1..3], [(7, 0, 0o6755), (7, 0, 0o755)]);
    for (chown, uid, gid) in
        [("5", 5, 5), ("5:6", 5, 6), ("ann", 1000, 100), ("ann:users", 1000, 50), ("1000", 1000, 1000)]
    {
        let modes = [0o755, 0o6755, 0o755, 0o777, 0o644];
        assert_eq!(all(Some(chown), None, true), modes.map(|mode| (uid, gid, mode)), "{chown}");
    }
    let modes = all(None, Some("u=rwX,go=rX"), false).map(|(_, _, mode)| mode);
    assert_eq!(modes, [0o755, 0o755, 0o755, 0o777, 0o644]);
    let modes = all(None, Some("640"), false).map(|(_, _, mode)| mode);
    assert_eq!(modes, [0o755, 0o640, 0o640, 0o777, 0o640]);

    let time = |path: &str| {
        let stat = statat(scratch.at("image"), path, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        (stat.st_mtime, stat.st_mtime_nsec)
    };
    assert_eq!((time("n/m/f"), time("n/m/s")), ((1000, 5), (1000, 5)));
    for (epoch, mtime) in [(500, (500, 0)), (1000, (1000, 0)), (1001, (1000, 5))] {
        scratch.clean("image");
        scratch.copy("", &Request { epoch: Some(epoch), ..request("d", "/n/") }).unwrap();
        assert_eq!((time("n/f"), time("n/s"), time("n/l")), (mtime, mtime, (epoch, 0)));
    }
}

#[test]
fn names_of_one_file_stay_so_and_odd_kinds_are_kept_or_left() {
    let Some(scratch) = Scratch::new("kinds") else { return };
    let tree = scratch.at("tree");
    plant(&tree, "d/a=x d/b/");
    rustix::fs::linkat(&tree, "d/a", &tree, "d/b/c", AtFlags::empty()).unwrap();
    let make =
        |name: &str, kind, device| mknodat(&tree, name, kind, Mode::from_raw_mode(0o640), device).unwrap();
    make("d/pipe", FileType::Fifo, 0);
    make("d/socket", FileType::Socket, 0);
    make("d/null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    plant(&tree, "d/new\u{a0}line");
    scratch.copy("", &request("d", "/")).unwrap();
    let image = scratch.at("image");
    let stat = |name: &str| statat(&image, name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert_eq!((stat("a").st_ino, stat("a").st_nlink), (stat("b/c").st_ino, 2));
    assert_eq!(FileType::from_raw_mode(stat("pipe").st_mode), FileType::Fifo);
    assert_eq!(stat("null").st_rdev, rustix::fs::makedev(1, 3));
    assert!(statat(&image, "socket", AtFlags::empty()).is_err());
    assert!(scratch.copy("", &request("d/socket", "/")).is_err());
    // A pipe is copied, not read.
    scratch.copy("", &request("d/pipe", "/p")).unwrap();
    assert_eq!(FileType::from_raw_mode(stat("p").st_mode), FileType::Fifo);
    make("d/white", FileType::CharacterDevice, 0);
    scratch.copy("", &request("d", "/")).unwrap();
    assert!(statat(&image, "white", AtFlags::empty()).is_err());
    assert!(matches!(scratch.copy("", &request("d/white", "/")), Err(Error::Invalid(_))));
}

#[test]
fn documents_are_files() {
    let Some(scratch) = Scratch::new("documents") else { return };
    plant(&scratch.at("tree"), "f");
    let document = |name: &str| Document { name: name.into(), content: b"text".to_vec() };
    for (names, destination, image, expected) in [
        ("E", "/n", "", "n=text"),
        ("E F", "/n/", "", "n/ n/E=text n/F=text"),
        ("E", "/n", "n>real", "n>real real=text"),
        ("E", "/n", "n/", "n/ n/E=text"),
        ("E", "/a/b/c", "", "a/ a/b/ a/b/c=text"),
    ] {
        plant(&scratch.clean("image"), image);
        let documents = names.split(' ').map(document).collect();
        scratch.copy("", &Request { documents, ..request("", destination) }).unwrap();
        assert_eq!(seen(&scratch.at("image")), expected, "{names} {destination}");
    }
}

#[test]
fn add_unpacks_what_is_an_archive_whatever_it_is_called() {
    let Some(scratch) = Scratch::new("archive") else { return };
    let tree = scratch.at("tree");
    let tar = archive(&[
        Block::file("x", b"1").mode(0o4755),
        Block::directory("d/").mode(0o700),
        Block::file("d/.wh.y", b"2"),
        Block::symlink("l", "/canary"),
        Block::file("l", b"3"),
    ]);
    let write = |name: &str, bytes: &[u8]| drop(file::create(&tree, name, bytes, 0o644).unwrap());
    write("plain", &tar);
    write("zip.txt", &gzip(&tar));
    write("not.tar", b"just text");
    write("long.tar", &[b'x'; 2000]);
    write("zeros", &[0; 1024]);
    write("broken.gz", b"\x1f\x8b\x08 and no more");
    write("text.gz", &gzip(b"hello"));
    write("x.xz", b"\xfd7zXZ\0 whatever");
    write("half", &tar[..512]);
    write("climb", &archive(&[Block::file("../out", b"")]));
    let add = |source: &str, destination: &str| {
        scratch.clean("image");
        scratch.copy("", &Request { unpack: true, ..request(source, destination) })?;
        Ok::<_, Error>(seen(&scratch.at("image")))
    };
    let unpacked = "n/ n/d/.wh.y=2 n/d/@700 n/l=3 n/x=1@4755";
    for source in ["plain", "zip.txt"] {
        assert_eq!(add(source, "/n").unwrap(), unpacked);
        assert_eq!(add(source, "/n/").unwrap(), unpacked);
    }
    assert_eq!(add("not.tar", "/n").unwrap(), "n=just text");
    for source in ["long.tar", "zeros", "text.gz", "broken.gz"] {
        assert!(add(source, "/n/").is_ok(), "{source}");
        assert!(statat(scratch.at("image"), format!("n/{source}"), AtFlags::empty()).is_ok(), "{source}");
    }
    let error = add("x.xz", "/n").unwrap_err().to_string();
    assert!(error.starts_with("\"/x.xz\": read archive: xz is not supported"), "{error}");
    assert!(add("half", "/n").unwrap_err().to_string().starts_with("\"/half\": read tar"));
    assert!(add("climb", "/n").is_err());
    // COPY does not look into it.
    scratch.clean("image");
    scratch.copy("", &request("zip.txt", "/n")).unwrap();
    assert_eq!(statat(scratch.at("image"), "n", AtFlags::empty()).unwrap().st_size, gzip(&tar).len() as i64);
}

#[test]
fn a_digest_is_that_of_what_would_be_copied_and_of_nothing_else() {
    let Some(scratch) = Scratch::new("digest") else { return };
    let of = |words: &str, sources: &str| {
        plant(&scratch.clean("tree"), words);
        scratch.digest(&request(sources, "/n/"))
    };
    let base = of("d/a=1 d/b=2 d/s/ d/l>a", "d");
    assert_eq!(of("d/l>a d/s/ d/b=2 d/a=1 other", "d"), base);
    // What the directory is called, and its own mode, are not copied.
    assert_eq!(of("e/@700 e/a=1 e/b=2 e/s/ e/l>a", "e"), base);
    for words in [
        "d/a=1 d/b=3 d/s/ d/l>a",
        "d/a=1 d/c=2 d/s/ d/l>a",
        "d/a=1 d/b=2@755 d/s/ d/l>a",
        "d/a=1 d/b=2 d/s/@700 d/l>a",
        "d/a=1 d/b=2 d/s d/l>a",
        "d/a=1 d/b=2 d/s/ d/l>b",
        "d/a=1 d/b=2 d/s/",
        "d/a=1 d/s/b=2 d/l>a",
    ] {
        assert_ne!(of(words, "d"), base, "{words}");
    }
    let file = of("f=1", "f");
    assert_ne!(of("g=1", "g"), file);
    assert_ne!(of("f=1 g=1", "[fg]"), file);
    assert_eq!(of("f=1 g=1", "[f]"), file);

    // Modes are those that the copies get; owners count where they are kept.
    let with = |words: &str, uid: u32, change: &dyn Fn(&mut Request)| {
        plant(&scratch.clean("tree"), words);
        let owner = Some(rustix::fs::Uid::from_raw(uid));
        chownat(scratch.at("tree"), "f", owner, None, AtFlags::empty()).unwrap();
        let mut request = request("f", "/n/");
        change(&mut request);
        scratch.digest(&request)
    };
    let octal: &dyn Fn(&mut Request) = &|request| request.chmod = Some("644".into());
    assert_eq!(with("f=1@664", 0, octal), with("f=1@600", 0, octal));
    assert_eq!(with("f=1", 5, &|_| ()), with("f=1", 6, &|_| ()));
    let kept: &dyn Fn(&mut Request) = &|request| request.keep_owner = true;
    assert_ne!(with("f=1", 5, kept), with("f=1", 6, kept));
    let noted = |note: &[u8]| {
        let tree = scratch.clean("tree");
        plant(&tree, "f=1 s/");
        for path in ["f", "s"] {
            let flags = rustix::fs::OFlags::RDONLY;
            let node = file::beneath(&tree, path, flags, Mode::empty()).unwrap();
            rustix::fs::fsetxattr(&node, "user.note", note, rustix::fs::XattrFlags::empty()).unwrap();
        }
        scratch.clean("image");
        scratch.copy("", &request(".", "/")).unwrap();
        let copied = ["f", "s"].map(|path| {
            let node = file::beneath(scratch.at("image"), path, rustix::fs::OFlags::RDONLY, Mode::empty());
            let mut value = [0_u8; 9];
            rustix::fs::fgetxattr(node.unwrap(), "user.note", &mut value).map(|count| value[..count].to_vec())
        });
        assert_eq!(copied, [Ok(note.to_vec()), Ok(note.to_vec())]);
        [scratch.digest(&request("f", "/")), scratch.digest(&request(".", "/"))]
    };
    let ([file, all], [other_file, other_all]) = (noted(b"a"), noted(b"b"));
    assert!(file != other_file && all != other_all);
    let document: &dyn Fn(&mut Request) =
        &|request| request.documents = vec![Document { name: "E".into(), content: b"1".to_vec() }];
    assert_ne!(with("f=1", 0, document), with("f=1", 0, &|_| ()));
}

#[test]
fn a_file_is_read_again_only_if_it_changed_or_has_just_been_written() {
    let Some(scratch) = Scratch::new("again") else { return };
    plant(&scratch.at("tree"), "d/a=1 d/b=2");
    let request = request("d", "/n/");
    let first = scratch.digest(&request);
    // Too new to be remembered: nothing was written.
    assert!(file::read(scratch.at("cache"), "files", 1000).is_err());
    crate::clock::sleep(2_100_000_000);
    assert_eq!(scratch.digest(&request), first);
    let remembered = file::read(scratch.at("cache"), "files", 1000).unwrap();
    assert_eq!(remembered.len(), 24 + 2 * 88);
    // It is what is remembered that is taken.
    let mut hashes = scratch.hashes();
    let tree = scratch.at("tree");
    let mut selection = select(tree.as_fd(), None, &request).unwrap();
    let facts = selection.items[0].nodes[1].facts;
    hashes.put(&facts, Digest::of(b"another"));
    hashes.save();
    assert_ne!(scratch.digest(&request), first);
    let mut lines = Vec::new();
    selection.digest(&mut scratch.hashes(), Some(&mut lines)).unwrap();
    let shown: Vec<_> = lines.iter().map(|line| (line.path.as_slice(), line.mode, line.hash)).collect();
    let (a, b) = (Digest::of(b"another"), Digest::of(b"2"));
    assert_eq!(shown, [(&b"a"[..], 0o100_644, Some(a)), (b"b", 0o100_644, Some(b))]);
    // A change that keeps size and time is seen by the other time.
    rustix::fs::unlinkat(&tree, "d/a", AtFlags::empty()).unwrap();
    plant(&tree, "d/a=3");
    let changed = scratch.digest(&request);
    assert_ne!(changed, first);
    plant(&scratch.clean("tree"), "d/a=3 d/b=2");
    assert_eq!(scratch.digest(&request), changed);
}

#[test]
fn a_change_between_the_digest_and_the_copy_is_told() {
    let Some(scratch) = Scratch::new("changed") else { return };
    let (tree, image) = (scratch.at("tree"), scratch.at("image"));
    plant(&tree, "d/a=1 d/b=2");
    let request = request("d", "/n/");
    let mut selection = select(tree.as_fd(), None, &request).unwrap();
    rustix::fs::unlinkat(&tree, "d/b", AtFlags::empty()).unwrap();
    plant(&tree, "d/b=3");
    let copied = selection.copy(Ground::plain(image.as_fd())).unwrap();
    assert_eq!(copied.changed.as_deref(), Some(&b"d/b"[..]));
    // Something that leads elsewhere in its place is not followed.
    rustix::fs::unlinkat(&tree, "d/b", AtFlags::empty()).unwrap();
    symlinkat("../../canary", &tree, "d/b").unwrap();
    let error = selection.copy(Ground::plain(image.as_fd())).unwrap_err();
    assert_eq!(error.to_string(), "\"/d/b\" has changed while it was looked at");
    assert!(selection.digest(&mut scratch.hashes(), None).is_err());
    // The directory too.
    file::remove_tree(&tree, "d").unwrap();
    symlinkat("/etc", &tree, "d").unwrap();
    assert!(matches!(selection.copy(Ground::plain(image.as_fd())), Err(Error::Conflict(_))));
}

#[test]
fn what_is_the_same_as_the_last_time_only_gets_another_name() {
    let Some(scratch) = Scratch::new("before") else { return };
    let tree = scratch.at("tree");
    plant(&tree, "d/s/a=1 d/s/b=2 d/s/c=3 d/s/l>a d/s/m>a d/e/f=6 d/top=7");
    rustix::fs::linkat(&tree, "d/s/a", &tree, "d/s/x", AtFlags::empty()).unwrap();
    let request = request("d", "/n/");
    let copy = |into: &str, before: Option<BorrowedFd<'_>>| {
        let (made, mut hashes) = (scratch.clean(into), scratch.hashes());
        let mut selection = select(tree.as_fd(), None, &request).unwrap();
        selection.digest(&mut hashes, None).unwrap();
        let ground = Ground { before, hashes: Some(&mut hashes), ..Ground::plain(made.as_fd()) };
        assert_eq!(selection.copy(ground), Ok(Copied::default()));
        hashes.save();
        made
    };
    let inode = |tree: &OwnedFd, path: &str| statat(tree, path, AtFlags::SYMLINK_NOFOLLOW).unwrap().st_ino;
    let one = copy("one", None);
    assert_eq!(inode(&one, "n/s/a"), inode(&one, "n/s/x"));
    for path in ["d/s/b", "d/s/m", "d/s/x"] {
        rustix::fs::unlinkat(&tree, path, AtFlags::empty()).unwrap();
    }
    // Of the same size and age, and two files that were one.
    plant(&tree, "d/s/b=5 d/s/m>b d/s/x=1");
    chmodat(&tree, "d/s/c", Mode::from_raw_mode(0o600), AtFlags::empty()).unwrap();
    let two = copy("two", Some(one.as_fd()));
    assert_eq!(
        seen(&two),
        "n/ n/e/ n/e/f=6 n/s/ n/s/a=1 n/s/b=5 n/s/c=3@600 n/s/l>a n/s/m>b n/s/x=1 n/top=7"
    );
    let is_same = |path: &str| inode(&one, path) == inode(&two, path);
    assert!(["n/s/a", "n/s/l", "n/e/f", "n/top"].iter().all(|path| is_same(path)));
    assert!(!["n/s/b", "n/s/c", "n/s/m", "n/s/x"].iter().any(|path| is_same(path)));
    // It is known what the names are of, and what nobody has seen being written is not trusted.
    rustix::fs::unlinkat(&two, "n/e/f", AtFlags::empty()).unwrap();
    plant(&two, "n/e/f=8");
    let three = copy("three", Some(two.as_fd()));
    assert_eq!(inode(&three, "n/s/a"), inode(&two, "n/s/a"));
    assert_eq!(file::read(&three, "n/e/f", 10).unwrap(), b"6");
    // In a directory that was there, nothing is linked.
    let at = scratch.clean("four");
    plant(&at, "n/s/");
    let mut hashes = scratch.hashes();
    let mut selection = select(tree.as_fd(), None, &request).unwrap();
    selection.digest(&mut hashes, None).unwrap();
    let before = Some(three.as_fd());
    let ground = Ground { before, hashes: Some(&mut hashes), ..Ground::plain(at.as_fd()) };
    selection.copy(ground).unwrap();
    assert_ne!(inode(&at, "n/s/a"), inode(&three, "n/s/a"));
    assert_eq!(inode(&at, "n/e/f"), inode(&three, "n/e/f"));
}

#[test]
fn remote_sources_are_told_by_their_schemes() {
    for (source, remote) in [
        ("https://x/y", true),
        ("http://x", true),
        ("git@github.com:x/y.git", true),
        ("git://x", true),
        ("ssh://git@x/y", true),
        ("httpd.conf", false),
        ("./http://x", false),
    ] {
        assert_eq!(is_remote(source), remote, "{source}");
    }
}
