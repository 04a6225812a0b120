//! docker-py, as Debian has it.

use std::process::Command;

use crate::engine::{Engine, Kind};

/// Runs a program with a `client` on skiff.
fn python(program: &str) {
    if !Command::new("/usr/bin/python3")
        .args(["-c", "import docker"])
        .output()
        .is_ok_and(|run| run.status.success())
    {
        println!("skipped: docker-py is not installed");
        return;
    }
    let engine = Engine::start(Kind::Skiff);
    let path = engine.work().join("program.py");
    let before = "import docker, io, json, socket, struct, tarfile, threading\nclient = docker.from_env()\napi = client.api\n";
    std::fs::write(&path, format!("{before}{program}")).unwrap();
    engine.says("/usr/bin/python3 program.py");
}

#[test]
fn containers_are_made_watched_and_removed() {
    python(
        r#"
assert client.ping() and client.version()['ApiVersion'] == '1.50'
assert client.containers.run('box', 'echo hi', remove=True) == b'hi\n'
try:
    client.containers.run('box', 'sh -c "echo no >&2; exit 3"', remove=True)
    raise SystemExit('it has to fail')
except docker.errors.ContainerError as error:
    assert error.exit_status == 3 and error.stderr == b'no\n', error
try:
    client.containers.get('nosuch')
    raise SystemExit('it has to fail')
except docker.errors.NotFound as error:
    assert error.explanation == 'No such container: nosuch'
one = client.containers.run('box', 'sh -c "for i in 1 2 3; do echo $i; sleep 0.1; done; exec sleep 1000"', detach=True,
                            name='one', labels={'a': 'b'}, environment={'X': 'y'}, ports={'80/tcp': None})
assert one.status == 'created' and [c.name for c in client.containers.list(filters={'label': 'a=b'})] == ['one']
one.reload()
assert one.status == 'running' and one.attrs['State']['Running'] and one.ports['80/tcp'][0]['HostPort']
lines = one.logs(stream=True, follow=True)
assert [next(lines) for _ in range(3)] == [b'1\n', b'2\n', b'3\n']
assert one.top()['Titles'][1] == 'PID'
assert one.stats(stream=False)['name'] == '/one'
one.pause(); one.reload(); assert one.status == 'paused'; one.unpause()
try:
    client.containers.create('box', name='one')
    raise SystemExit('it has to fail')
except docker.errors.APIError as error:
    assert error.status_code == 409, error
one.rename('two'); one.update(restart_policy={'Name': 'on-failure', 'MaximumRetryCount': 2}); one.reload()
assert one.name == 'two' and one.attrs['HostConfig']['RestartPolicy']['MaximumRetryCount'] == 2
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode='w') as tar:
    info = tarfile.TarInfo('put'); info.size = 3
    tar.addfile(info, io.BytesIO(b'abc'))
assert one.put_archive('/tmp', archive.getvalue())
stream, stat = one.get_archive('/tmp/put')
assert stat['name'] == 'put' and stat['size'] == 3
assert tarfile.open(fileobj=io.BytesIO(b''.join(stream))).extractfile('put').read() == b'abc'
assert {'Path': '/tmp/put', 'Kind': 1} in one.diff()
one.commit('made', tag='1', changes='ENV MADE=1', message='why')
assert client.containers.run('made:1', 'cat /tmp/put', remove=True) == b'abc'
one.kill(); assert one.wait()['StatusCode'] == 137
one.remove(v=True); client.images.remove('made:1')
assert client.containers.list(all=True) == []
assert client.containers.prune()['SpaceReclaimed'] == 0
"#,
    );
}

#[test]
fn processes_are_executed_and_attached_to() {
    python(
        r#"
one = client.containers.run('box', 'cat', detach=True, stdin_open=True, name='one')
assert one.exec_run('sh -c "echo out; echo err >&2; exit 4"') == (4, b'out\nerr\n')
assert one.exec_run('sh -c "echo out; echo err >&2"', demux=True).output == (b'out\n', b'err\n')
assert one.exec_run('pwd', workdir='/data', user='nobody', environment={'A': 'b'}).output == b'/data\n'
assert b''.join(one.exec_run('echo streamed', stream=True).output) == b'streamed\n'
# A socket both ways.
made = api.exec_create(one.id, 'cat', stdin=True)['Id']
wire = api.exec_start(made, socket=True)
wire = getattr(wire, '_sock', wire)
wire.sendall(b'through\n'); wire.shutdown(socket.SHUT_WR)
data = b''
while chunk := wire.recv(4096):
    data += chunk
kind, length = struct.unpack('>BxxxL', data[:8])
assert (kind, data[8:8 + length]) == (1, b'through\n'), data
assert api.exec_inspect(made)['ExitCode'] == 0
resized = 'n=0; until [ "$(stty size)" = "30 90" ] || [ $n = 200 ]; do n=$((n+1)); sleep 0.05; done; stty size; tty'
made = api.exec_create(one.id, ['sh', '-c', resized], tty=True)['Id']
wire = api.exec_start(made, tty=True, stream=True)
api.exec_resize(made, 30, 90)
told = b''.join(wire)
assert b'30 90' in told and b'/dev/pts/' in told, told
# Attached, with its own stdin.
two = client.containers.create('box', 'sh -c "read x; echo got $x; read y; echo and $y >&2"', stdin_open=True, name='two')
wire = api.attach_socket(two.id, {'stdin': 1, 'stdout': 1, 'stderr': 1, 'stream': 1})
wire = getattr(wire, '_sock', wire)
two.start(); wire.sendall(b'a\nb\n')
data = b''
while data.count(b'\n') < 2:
    data += wire.recv(4096)
assert b'got a\n' in data and b'\x02\0\0\0' in data and b'and b\n' in data, data
assert two.wait()['StatusCode'] == 0
assert two.attach(logs=True, stream=False) == b'got a\nand b\n'
one.remove(force=True); two.remove()
"#,
    );
}

#[test]
fn networks_volumes_images_and_events_are_there() {
    python(
        r#"
seen = []
events = client.events(decode=True, filters={'type': ['container', 'network', 'volume']})
listener = threading.Thread(target=lambda: [seen.append(e) for e in events], daemon=True); listener.start()
pool = docker.types.IPAMPool(subnet='172.29.0.0/24', gateway='172.29.0.1')
net = client.networks.create('net', driver='bridge', ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={'a': 'b'})
volume = client.volumes.create('vol', labels={'x': 'y'})
assert client.volumes.get('vol').attrs['Labels'] == {'x': 'y'}
one = client.containers.run('box', 'sleep 1000', detach=True, name='one', network='net', volumes={'vol': {'bind': '/v', 'mode': 'rw'}})
two = client.containers.run('box', 'sleep 1000', detach=True, name='two')
net.connect(two, aliases=['other'], ipv4_address='172.29.0.77'); net.reload()
assert {c.name for c in net.containers} == {'one', 'two'}
assert one.exec_run('nslookup other').exit_code == 0
two.reload(); assert two.attrs['NetworkSettings']['Networks']['net']['IPAddress'] == '172.29.0.77'
for action, kind in [(net.remove, docker.errors.APIError), (volume.remove, docker.errors.APIError)]:
    try:
        action()
        raise SystemExit('it has to fail')
    except kind as error:
        assert error.status_code in (403, 409), error
net.disconnect(two)
one.exec_run('sh -c "echo kept >/v/f"'); one.remove(force=True)
assert client.containers.run('box', 'cat /v/f', remove=True, volumes={'vol': {'bind': '/v', 'mode': 'ro'}}) == b'kept\n'
two.remove(force=True); net.remove(); volume.remove()
assert client.networks.list(names=['net']) == [] and client.volumes.list() == []
box = client.images.get('box'); assert box.tags == ['box:latest'] and box.tag('again', tag='1')
saved = b''.join(box.save(named=True)); client.images.remove('again:1')
assert [i.tags for i in client.images.load(saved)] == [['box:latest']]
assert client.images.prune()['SpaceReclaimed'] == 0 and client.df()['Images'][0]['RepoTags'] == ['box:latest']
try:
    client.images.load(b'junk')
    raise SystemExit('it has to fail')
except docker.errors.ImageLoadError:
    pass
events.close(); listener.join(10)
told = [(e['Type'], e['Action'], e['Actor']['Attributes'].get('name')) for e in seen]
for wanted in [('network', 'create', 'net'), ('container', 'start', 'one'), ('network', 'connect', 'net'), ('container', 'destroy', 'two'), ('network', 'destroy', 'net')]:
    assert wanted in told, (wanted, told)
"#,
    );
}
