//! Small inputs that between them go everywhere in the readers. The first byte of a tar and of a gzip says how it is cut.

/// Of a target: its seeds.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "tar" => tars(),
        "layer" => [tars(), layers()].concat(),
        "emit" => {
            (0..8).map(|kind| [vec![kind], vec![kind * 31 + 7; 150 + usize::from(kind)]].concat()).collect()
        }
        "gzip" => gzips(),
        "reference" => texts(&REFERENCES),
        "image_config" => texts(&CONFIGS),
        "manifest" => texts(&MANIFESTS),
        "zstd" => zstds(),
        "request" => cut(texts(&REQUESTS)),
        "frames" => frames(),
        "websocket" => websockets(),
        "seccomp" => texts(&PROFILES),
        "template" => texts(&TEMPLATES),
        "flags" => texts(&FLAGS),
        "dockerfile" => texts(&DOCKERFILES),
        "expand" => texts(&WORDS),
        "ignore" => texts(&IGNORES),
        "netlink" => netlinks(),
        "dns" => dnses(),
        "key" => KEYS.iter().map(|parts| parts.join(&0xff)).collect(),
        _ => Vec::new(),
    }
}

/// All targets.
pub const TARGETS: [&str; 20] = [
    "layer",
    "emit",
    "tar",
    "gzip",
    "reference",
    "image_config",
    "manifest",
    "zstd",
    "request",
    "frames",
    "websocket",
    "seccomp",
    "template",
    "flags",
    "dockerfile",
    "expand",
    "ignore",
    "key",
    "netlink",
    "dns",
];

const REFERENCES: [&str; 10] = [
    "busybox",
    "busybox:1.36",
    "library/busybox",
    "localhost:5000/a/b:tag",
    "[::1]:1/a",
    "A.b/c__d.e-f---g:T.1_-",
    "x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "index.docker.io/x:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "../x",
    "docker.io/library/a/b",
];

const CONFIGS: [&str; 3] = [
    r#"{"architecture":"amd64","os":"linux","config":{"Env":["A=1"],"Cmd":"sh","Entrypoint":null,"Labels":{"a":"b"},
        "ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},"Healthcheck":{"Test":["NONE"],"Interval":1}},
        "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
        "history":[{"created":"2024-01-01T00:00:00Z","created_by":"x","empty_layer":true}],"variant":null}"#,
    r#"{"rootfs":{"type":"layers"}}"#,
    r#"{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]"#,
];

const MANIFESTS: [&str; 5] = [
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
        {"mediaType":"application/vnd.oci.image.manifest.v1+json","size":3,
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "platform":{"architecture":"amd64","os":"linux"},
        "annotations":{"io.containerd.image.name":"docker.io/library/a:1","org.opencontainers.image.ref.name":"1"}},
        {"size":9,"digest":"sha256:01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
        "platform":{"architecture":"unknown","os":"unknown"},"annotations":{"vnd.docker.reference.type":"x"}}]}"#,
    r#"{"schemaVersion":2,"config":{"size":3,
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        "layers":[{"size":5,"digest":"sha256:01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b"}]}"#,
    r#"[{"Config":"c.json","RepoTags":["a:1",null],"Layers":["x/layer.tar"]}]"#,
    r#"{"a/b":{"latest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}"#,
    r#"{"imageLayoutVersion":"1.0.0"}"#,
];

const REQUESTS: [&str; 9] = [
    "GET /v1.41/containers/json?all=1&filters=%7B%22label%22%3A%7B%22a%3Db%22%3Atrue%7D%7D HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST /containers/create?name=a%20b HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}rest",
    "PUT /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
    "HEAD /_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST /containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: keep-alive, Upgrade\r\nUpgrade: tcp\r\n\r\ninput",
    "POST /x HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "GET /a HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "GET /events?since=1h&until=2006-01-02T15:04:05.5Z&x=%zz+%2f HTTP/1.1\r\nHost:d\r\nX:  \t y \r\n\r\n",
];

const PROFILES: [&str; 5] = [
    r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"archMap":[{"architecture":"SCMP_ARCH_X86_64",
        "subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]}],"syscalls":[{"names":["read","write","socket","nosuch"],
        "action":"SCMP_ACT_ALLOW"},{"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":8,
        "op":"SCMP_CMP_EQ"}]},{"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,
        "valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}],"excludes":{"caps":["CAP_SYS_ADMIN"],"arches":["s390"]}}]}"#,
    r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],"flags":
        ["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"name":"kill","action":"SCMP_ACT_KILL_PROCESS"},{"names":["ptrace"],
        "action":"SCMP_ACT_TRAP","includes":{"minKernel":"4.8"}},{"names":["mkdir"],"action":"SCMP_ACT_TRACE",
        "errnoRet":7,"args":[{"index":1,"value":1,"op":"SCMP_CMP_GT"},{"index":1,"value":9,"op":"SCMP_CMP_LE"}]}]}"#,
    r#"{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"names":["socketcall","ipc","mmap"],"action":"SCMP_ACT_ERRNO",
        "args":[{"index":5,"value":18446744073709551615,"op":"SCMP_CMP_NE"},{"index":2,"value":4294967296,
        "op":"SCMP_CMP_LT"},{"index":3,"value":5,"op":"SCMP_CMP_GE"}]}]}"#,
    r#"{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/x"}"#,
    "{}",
];

const TEMPLATES: [&str; 16] = [
    "{{.Name}} {{json .State}}\t{{.State.Pid}}",
    "{{range $k, $v := .Networks}}{{$k}}={{$v.IPAddress}}{{if eq $k \"a\"}}{{continue}}{{end}};{{else}}none{{end}}",
    "{{- /* a comment */ -}} x {{with $x := .Env}}{{index $x 1}}{{len $x}}{{end}}",
    "{{join .Env \", \" | upper | printf \"%-10s|%q|%5d|%x\"}}",
    "{{printf \"%v %s %08.3f %+d %c %t %%\" .Env .Name 1.5 7 65 true}}",
    "{{$n := 0}}{{range .Env}}{{$n = len .}}{{break}}{{end}}{{$n}}",
    "{{if and .State.Running (not (gt .State.Pid 5))}}a{{else if or \"\" .Name}}b{{else}}c{{end}}",
    "{{(index (index .Ports \"80/tcp\") 0).HostPort}}{{slice .Name 1 2}}{{truncate .Name 2}}{{pad .Name 1 2}}",
    "{{split .Name \"e\"}}{{title .Name}}{{lower .Name}}{{println 1 \"a\" true nil}}{{print 0x1F 'c' 1e3 -5}}",
    "{{range 3}}{{.}}{{end}}{{.Label \"x\"}}{{.Labels.nope}}{{.Nil.More}}",
    "table {{.ID}}\\t{{`raw`}}{{\"\\u00e9\\n\\x41\\101\"}}",
    "{{.State.Missing}}",
    "{{",
    "{{end}}",
    "{{range}}{{end}}{{template \"x\"}}",
    "{{if .Name}}{{range .Env}}{{with .}}",
];

const DOCKERFILES: [&str; 12] = [
    "# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=all;error=true\n\nARG V=1 W\nFROM --platform=$P a:${V} AS b\n",
    "FROM a\nRUN x \\\n# c\n\n  y\\\\\nRUN [\"a\", \"b\\u00e9\"]\nCMD [\"x\"] y\nENTRYPOINT x\n",
    "FROM a\nRUN --mount=type=cache,target=/c,sharing=locked --network=none <<-'E' 3<<F\n\tx\n\tE\ny\nF\n",
    "FROM a\nCOPY --from=b --chown=1:2 --chmod=755 --link --parents --exclude=*.o c d /e/\nCOPY <<E <<\"G H\" /x/\nE\ni\nG H\n",
    "FROM a\nADD --checksum=sha256:x --keep-git-dir=true --unpack=false https://x /y\nADD [\"a b\", \"/c\"]\n",
    "FROM a\nENV A=\"b c\" D='e'\\ f\nENV g h i\nLABEL x=y \"z w\"=1\nARG q r=s\n",
    "FROM a\nHEALTHCHECK --interval=1m --timeout=3s --retries=2 --start-period=1ms CMD [\"x\"]\nHEALTHCHECK NONE\n",
    "FROM a\nONBUILD RUN <<E\nx\nE\nONBUILD COPY a b\nSHELL [\"b\", \"-c\"]\nEXPOSE 80 $P/udp\nVOLUME /a b\n",
    "FROM a\r\nWORKDIR /a b\r\nUSER x:y\r\nSTOPSIGNAL SIGTERM\r\nMAINTAINER z\r\n",
    "# a\n#\n# V the v\nARG V\n# check=skip=StageNameCasing\nFROM a:$V as B\nfrom b AS c\nrun x \\",
    "FROM a\nRUN --device=a/b=c,required --security=insecure --mount=type=secret,id=s,env=E,required x\nRUN y \\ \\",
    "\\\n FROM a AS scratch\nFORM x",
];

/// A backtick in front makes it the one that escapes.
const WORDS: [&str; 12] = [
    "$A${B}x$1$@${E}",
    "\"$A \\\"b\\\" 'c'\" '$A' \\$A",
    "${A:-x}${N-y}${E:+z}${A+w}",
    "${N:-${E:-\"a}\"}}",
    "${A:?no}${N?gone}",
    "${A#a*/}${A##*/}${A%.*}${A%%.*}",
    "${A/b*./x}${A//a?/\\/}",
    "${A#\\*}${A%\\}}",
    "`a`$A${A#`*}",
    "${A:=x}",
    "${",
    "${A:-'",
];

const IGNORES: [&str; 11] = [
    "a\n!a/b\n\0a/b/c",
    "**/*.o\n!x/**\n\0x/y.o",
    "*\n!*.md\0a.md",
    "# c\n /a/../b/ \n\0b/c",
    "**.log\0a/b.log",
    "a**b/*\0a/x/b/c",
    "[a-c]?\\*\0bx*",
    "[^a\\]]x\0bx",
    "a/**\n!a/*/c\0a/b/c",
    "!\n[\0",
    "\u{feff}\u{feff}*\0a",
];

/// A kind, then names and values.
const KEYS: [&[&[u8]]; 7] = [
    &[b"run"],
    &[b""],
    &[b"run", b"parent", b"sha256:00", b"command", b"sh", b"command", b"-c", b"command", b"make"],
    &[b"copy", b"a", b"", b"", b"b", b"", b""],
    &[b"run", b"ab", b"c\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0d", b"\x02\0\0\0\0\0\0\0"],
    &[b"run", b"environment", b"A=\xc3\xa9\xfe\x80", b"\xc3", b"\xa9"],
    &[b"run", b"long", &[b'x'; 300], b"long", &[0xfe; 201]],
];

/// A letter says what is read.
const FLAGS: [&str; 26] = [
    "v/host/path:/inside:ro,rslave",
    "vname:/inside:nocopy,z",
    "v/only/inside",
    "v/a:/proc/sys",
    "v../up:/x:rw",
    "mtype=bind,source=/a,target=/b,readonly,bind-propagation=rshared",
    "mtype=volume,src=v,dst=/d,volume-nocopy,volume-label=a=b,\"volume-opt=o=a,b\",volume-subpath=x/y",
    "mtype=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770",
    "mtype=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
    "t/tmp:size=1m,exec",
    "s1.5g",
    "s9223372036854775807",
    "s.5kib",
    "c1.000000001",
    "d/dev/null:/dev/n:rwm",
    "rc 1:3 rwm",
    "ra *:* m",
    "b/dev/sda:1mb",
    "kctrl-p,ctrl-q",
    "kctrl-@,a,ctrl-[",
    "w2006-01-02T15:04:05.999999999+01:30",
    "w1136073845.5",
    "w1h30m",
    "w2006-01-02",
    "f{\"label\":{\"a=b\":true},\"status\":[\"running\",1,true]}",
    "n/web-1",
];

/// With a first byte in front that says how it is cut.
fn cut(inputs: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    inputs.into_iter().enumerate().map(|(number, input)| [vec![number as u8 * 29], input].concat()).collect()
}

/// A seed for the cuts, then frames as clients send them, whose masks are no more than bytes to the reader.
fn websockets() -> Vec<Vec<u8>> {
    let short = [&[0x81, 0x85, 1, 2, 3, 4][..], b"hello"].concat();
    let ping = [&[0x89, 0x82, 9, 8, 7, 6][..], b"ab"].concat();
    let close = [0x88, 0x82, 0, 0, 0, 0, 3, 232];
    let medium = [&[0x02, 0xFE, 1, 44, 5, 5, 5, 5][..], &[0x55; 300]].concat();
    let long = [&[0x80, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1][..], &[7; 70_000]].concat();
    let all = [short.clone(), ping, medium, [0x82, 0x80, 1, 2, 3, 4].to_vec(), close.to_vec()].concat();
    [short, all, long]
        .into_iter()
        .enumerate()
        .map(|(n, frames)| [vec![n as u8 * 71], frames].concat())
        .collect()
}

fn frames() -> Vec<Vec<u8>> {
    let frame = |stream: u8, content: &[u8]| {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend((content.len() as u32).to_be_bytes());
        frame.extend(content);
        frame
    };
    cut(vec![
        [frame(1, b"out\n"), frame(2, b""), frame(2, b"err"), frame(4, b"{\"StatusCode\":0}")].concat(),
        [frame(1, &[b'x'; 300]), frame(0, b"in"), frame(3, b"oh")].concat(),
        frame(5, b"no such stream"),
        [frame(1, b"cut"), vec![1, 0, 0]].concat(),
        vec![1, 0, 1, 0, 0, 0, 0, 1, b'x'],
        vec![2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, b'x'],
    ])
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A header with its content, padded.
fn entry(kind: u8, name: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[136..147].copy_from_slice(b"14000000000");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    sign(&mut block);
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn sign(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn tars() -> Vec<Vec<u8>> {
    let pax = b"30 mtime=1350244992.023960108\n24 SCHILY.xattr.user.a=\0\n9 size=3\n12 path=p/q\n";
    let mut binary = entry(b'0', b"binary", b"", b"");
    binary[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 1, 0]);
    binary[136..148].fill(0xff);
    sign(&mut binary);
    let end = vec![0; 1024];
    let parts = [
        vec![
            entry(b'5', b"d/", b"", b""),
            entry(b'0', b"d/f", b"", b"some content"),
            entry(b'0', b"e", b"", b""),
        ],
        vec![entry(b'x', b"x", b"", pax), entry(b'0', b"f", b"", b"abc"), entry(b'1', b"h", b"p/q", b"")],
        vec![
            entry(b'L', b"l", b"", b"long name\0"),
            entry(b'K', b"k", b"", b"long link\0"),
            entry(b'2', b"s", b"t", b""),
        ],
        vec![
            entry(b'g', b"g", b"", b"11 path=gg\n"),
            entry(b'3', b"c", b"", b""),
            entry(b'6', b"p", b"", b""),
        ],
        vec![binary, entry(0, b"old/", b"", b""), entry(b'S', b"sparse", b"", b"")],
        vec![entry(b'0', b"big", b"", &[7; 2000])],
    ];
    let map = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n28 GNU.sparse.realsize=5000\n26 GNU.sparse.name=sparse\n";
    let old_map = b"24 GNU.sparse.size=5000\n34 GNU.sparse.map=1024,512,4999,1\n";
    let mut stored = b"2\n1024\n512\n4999\n1\n".to_vec();
    stored.resize(1025, 1);
    stored[18..512].fill(0);
    let parts = parts.into_iter().chain([
        vec![entry(b'x', b"x", b"", map), entry(b'0', b"s", b"", &stored), entry(b'0', b"f", b"", b"f")],
        vec![
            entry(b'x', b"x", b"", old_map),
            entry(b'0', b"s", b"", &[3; 513]),
            entry(b'0', b"f", b"", b"f"),
        ],
        vec![entry(b'x', b"x", b"", b"35 LIBARCHIVE.xattr.user.a%20=YQ==\n"), entry(b'0', b"f", b"", b"")],
    ]);
    let mut all = vec![vec![0; 513]];
    for (number, part) in parts.enumerate() {
        all.push([vec![(number as u8).wrapping_mul(41)], part.concat(), end.clone()].concat());
    }
    all
}

/// Archives whose entries replace, hide and lead astray.
fn layers() -> Vec<Vec<u8>> {
    let file = |name: &[u8], content: &[u8]| entry(b'0', name, b"", content);
    let parts = [
        vec![
            file(b"a", b"1"),
            file(b"a", b"22"),
            entry(b'1', b"b", b"a", b""),
            file(b"a", b"333"),
            file(b"b/c", b"4"),
        ],
        vec![
            file(b"d/e/f", b"1"),
            entry(b'2', b"l", b"d/e", b""),
            file(b"l/g", b"2"),
            entry(b'5', b"l/", b"", b""),
            file(b"d", b"3"),
        ],
        vec![
            entry(b'2', b"l", b"../../canary", b""),
            file(b"l", b"1"),
            entry(b'2', b"m", b"/..", b""),
            file(b"m/canary", b"2"),
        ],
        vec![entry(b'2', b"l", b"..", b""), entry(b'1', b"h", b"l/canary", b""), file(b"../canary", b"1")],
        vec![
            entry(b'2', b"l", b"..", b""),
            entry(b'5', b"l/layer/", b"", b""),
            file(b"l/.wh.canary", b"1"),
            file(b"l/x", b""),
        ],
        vec![
            file(b"d/x", b"1"),
            file(b".wh.d", b"2"),
            file(b"d/.wh..wh..opq", b"3"),
            file(b".wh..wh..opq", b""),
        ],
        vec![entry(b'2', b"/.", b"/etc", b""), file(b"x", b"")],
        vec![file(b"d/.wh..", b""), file(b".wh.", b""), file(b".wh..wh.plnk/x", b"1")],
    ];
    parts.into_iter().enumerate().map(|(n, part)| [vec![n as u8 * 31], part.concat()].concat()).collect()
}

/// Members whose data is stored, not deflated, which is easy to write by hand; and one that is deflated.
fn gzips() -> Vec<Vec<u8>> {
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let stored = |plain: &[u8], crc: u32| {
        let length = plain.len() as u16;
        let mut member = header.to_vec();
        member.push(1);
        member.extend(length.to_le_bytes());
        member.extend((!length).to_le_bytes());
        member.extend(plain);
        member.extend(crc.to_le_bytes());
        member.extend(u32::from(length).to_le_bytes());
        member
    };
    let (a, empty) = (stored(b"a", 0xe8b7_be43), stored(b"", 0));
    // The shortest deflate stream: a block with fixed codes and nothing in it.
    let fixed = [&header[..], &[3, 0], &[0; 8]].concat();
    [
        vec![a.clone()],
        vec![a.clone(), empty, a.clone()],
        vec![a.clone(), vec![0; 40]],
        vec![a, vec![9]],
        vec![fixed],
    ]
    .into_iter()
    .enumerate()
    .map(|(number, members)| [vec![number as u8 * 61], members.concat()].concat())
    .collect()
}

/// Frames with stored, repeated and compressed blocks, with and without a checksum, and skippable ones.
fn zstds() -> Vec<Vec<u8>> {
    let hello = b"\x28\xb5\x2f\xfd\x24\x05\x29\0\0hello\xa3\x6d\x9f\x88".to_vec();
    let repeated = b"\x28\xb5\x2f\xfd\0\x40\x43\x1f\0x".to_vec();
    let compressed = b"\x28\xb5\x2f\xfd\x04\x68\x75\0\0\x30\x73\x6b\x69\x66\x66\x20\x01\0\x67\x97\xbe\x14\x01\x96\xce\xdb\x8b";
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
    let all = [
        vec![hello.clone()],
        vec![repeated.clone()],
        vec![compressed.to_vec()],
        vec![skipped.clone(), compressed.to_vec(), skipped, hello, repeated],
    ];
    all.into_iter().enumerate().map(|(n, frames)| [vec![n as u8 * 71], frames.concat()].concat()).collect()
}

/// Messages of the kinds that are sent, and answers.
fn netlinks() -> Vec<Vec<u8>> {
    use skiff_core::net::{
        link,
        message::{Flags, Messages},
        subnet::Subnet,
        table,
    };

    let subnet = Subnet::of([10, 1, 0, 0].into(), 16).expect("16 is at most 32");
    let mut all = Vec::new();
    let mut add = |write: &dyn Fn(&mut Messages)| {
        let mut messages = Messages::default();
        write(&mut messages);
        all.push(messages.bytes().to_vec());
    };
    add(&|to| link::add_address(to, 7, [10, 1, 0, 2].into(), subnet));
    add(&|to| link::add_default_route(to, 7, [10, 1, 0, 1].into()));
    add(&|to| link::add_bridge(to, "skiff0", [2; 6], 1500, link::Protocols::V4));
    add(&|to| to.add(2, Flags::empty(), &(-17i32).to_ne_bytes(), |_| {}));
    add(&table::ask_chains);
    let mut transaction = table::Transaction::new("skiff0");
    transaction.set_up(
        "skiff0",
        table::Rules { subnet, gateway: subnet.gateway(), internal: true, masquerade: true },
    );
    all.push(transaction.finish().bytes().to_vec());
    all
}

/// How many addresses, how long, a question and an answer to it.
fn dnses() -> Vec<Vec<u8>> {
    let head =
        |flags: &[u8; 2], records: u8| [b"\x12\x34", flags, &[0, 1, 0, 0, 0, 0, 0, records][..]].concat();
    let web = b"\x03Web\x04test\0\0\x01\0\x01";
    let opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\x06\0\x0a\0\x02ab";
    let four = b"\x012\x010\x0218\x03172\x07in-addr\x04arpa\0\0\x0c\0\x01";
    let digits: Vec<u8> = (0..32).flat_map(|n| [1, b"0123456789abcdef"[n % 16]]).collect();
    let six = [&digits, &b"\x03ip6\x04arpa\0\0\xff\0\x01"[..]].concat();
    let asked = b"\x01\0";
    let questions = [
        (1, 0, [head(asked, 0), web.to_vec()].concat()),
        (90, 0, [head(b"\x01\x30", 1), web.to_vec(), opt.to_vec()].concat()),
        (255, 1, [head(asked, 0), b"\x03web\0\0\x1c\0\x01".to_vec()].concat()),
        (30, 200, [head(asked, 1), four.to_vec(), opt.to_vec()].concat()),
        (60, 2, [head(asked, 0), six].concat()),
        (0, 0, [head(asked, 0), b"\0\0\x02\0\x01".to_vec()].concat()),
        (0, 0, [head(asked, 0), vec![63; 64], vec![63; 64], b"\xc0\x0c\0\x01\0\x01".to_vec()].concat()),
        (0, 0, [head(b"\x28\0", 0), web.to_vec()].concat()),
    ];
    let answer = [head(b"\x81\x83", 0), web.to_vec(), vec![7; 600]].concat();
    questions
        .into_iter()
        .map(|(count, limit, question)| {
            let length = (question.len() as u16).to_be_bytes();
            [&[count, limit], &length[..], &question, &answer].concat()
        })
        .collect()
}
