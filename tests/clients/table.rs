//! What a user types, line by line. Each runs on skiff and on dockerd, in this order, and has to come to the same.

/// As far as what comes of it has to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Exit code, stdout and stderr.
    All,
    /// Exit code and stdout: the words of an error are skiff's own.
    Output,
    /// The exit code.
    Code,
}

/// A line of the table.
pub struct Line {
    pub compare: Compare,
    pub script: &'static str,
}

const fn all(script: &'static str) -> Line {
    Line { compare: Compare::All, script }
}

const fn output(script: &'static str) -> Line {
    Line { compare: Compare::Output, script }
}

const fn code(script: &'static str) -> Line {
    Line { compare: Compare::Code, script }
}

pub const SCENARIOS: &[Line] = &[
    // The engine.
    all("docker version -f '{{.Server.Os}} {{.Server.Arch}}'"),
    all("docker info -f '{{.OSType}} {{.Containers}} {{.Images}} {{.LoggingDriver}} {{.CgroupDriver}} {{.Swarm.LocalNodeState}}'"),
    all("docker system df --format '{{.Type}} {{.TotalCount}} {{.Active}}'"),
    // run
    all("docker run --rm box echo hi"),
    all("docker run --rm box sh -c 'echo out; echo err >&2; exit 3'"),
    all("docker run --rm -e A=1 -e B --env-file /dev/null -w /tmp -h host box sh -c 'env | sort; pwd; hostname'"),
    all("B=2 docker run --rm -e B -u nobody box sh -c 'echo $B; id'"),
    all("docker run --rm -u 1000:7 --group-add 9 box id"),
    all("docker run --rm --entrypoint echo box a b"),
    all("docker run --rm --read-only box touch /x"),
    all("docker run --rm --tmpfs /scratch box sh -c 'echo x >/scratch/f; cat /scratch/f; grep -c scratch /proc/mounts'"),
    all("docker run --rm --add-host there:1.2.3.4 box grep there /etc/hosts"),
    all("docker run --rm --dns 1.1.1.1 --dns-search example.org box sort /etc/resolv.conf"),
    all("docker run --rm --ulimit nofile=100:200 box sh -c 'ulimit -n; ulimit -Hn'"),
    all("docker run --rm --cap-drop ALL --cap-add CHOWN box grep Cap /proc/self/status"),
    all("docker run --rm --init box sh -c 'ps -o pid,comm | head -2'"),
    all("docker run --rm --network none box ls /sys/class/net"),
    all("docker run --rm --sysctl net.ipv4.ip_forward=1 box cat /proc/sys/net/ipv4/ip_forward"),
    all("docker run --rm --shm-size 1m box df -k /dev/shm | tail -1 | awk '{print $2}'"),
    all("echo in | docker run --rm -i box cat"),
    all("docker run --rm -v $PWD/box/data:/mnt:ro box cat /mnt/file"),
    all("docker run --rm --mount type=bind,src=$PWD/box/data,dst=/mnt,readonly box touch /mnt/x"),
    output("docker run --rm box nosuch"),
    output("docker run --rm box /etc"),
    output("docker run --rm -w relative box true"),
    output("docker run --rm -v relative/x:/x box true"),
    output("docker run --rm -m 1k box true"),
    output("docker run --rm -p 80:80:80:80 box true"),
    output("docker run --rm --network nosuch box true"),
    output("docker run --rm --cap-add NOSUCH box true"),
    output("docker run --rm --name 'a b' box true"),
    code("docker run --rm nosuch:1 true"),
    output("docker run --pull never --rm nosuch:1 true"),
    // A container's life.
    output("docker run -d --name one -l a=b -p 8080:80 box sh -c 'trap exit TERM; echo begun; while :; do sleep 0.1; done'"),
    all("docker run -d --name one box true"),
    all("docker ps --format '{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Labels}} {{.Networks}}'"),
    all("docker ps -q -f name=one -f status=running -f label=a=b -f ancestor=box | wc -l"),
    all("docker ps -aq -f status=exited"),
    all("docker port one 80 | head -1"),
    all("docker inspect -f '{{.State.Status}} {{.Config.Image}} {{.Path}} {{json .Config.Labels}} {{.RestartCount}} {{.Driver | len | lt 3}}' one"),
    all("docker inspect -f '{{json .HostConfig.PortBindings}} {{json .Config.ExposedPorts}}' one"),
    all("docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{len $v.MacAddress}}{{end}}' one"),
    all("docker logs one"),
    all("docker logs -n 1 one | wc -l"),
    all("sleep 1.2; docker logs --until 1s one"),
    all("docker exec one sh -c 'echo $0; exit 5'"),
    all("docker exec -e X=1 -w /data -u nobody one sh -c 'echo $X; pwd; id -u'"),
    all("echo in | docker exec -i one cat"),
    all("docker exec -d one sh -c 'echo x >/tmp/d'; for i in $(seq 100); do docker exec one test -s /tmp/d && break; sleep 0.1; done; docker exec one cat /tmp/d"),
    output("docker top one -eo comm | sort -u | head -2"),
    all("docker diff one"),
    all("docker cp one:/data/file copied && cat copied"),
    all("docker cp copied one:/tmp/x && docker exec one cat /tmp/x"),
    all("docker cp - one:/data <box.tar && docker exec one ls /data"),
    all("docker cp one:/data - | tar t | sort | head -3"),
    output("docker cp one:/nosuch ."),
    output("docker cp nosuch:/x ."),
    all("docker export one | tar t | grep -c '^data/file$'"),
    all("docker rename one uno && docker rename uno one && docker ps --format '{{.Names}}'"),
    all("docker rename nosuch other"),
    all("docker update --restart on-failure:3 one"),
    all("docker inspect -f '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' one"),
    all("docker pause one; docker ps -a --format '{{.State}}'"),
    output("docker exec one true"),
    all("docker pause one"),
    all("docker unpause one; docker unpause one"),
    all("docker stats --no-stream --format '{{.Name}}' one"),
    all("docker kill -s USR1 one; docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' one"),
    all("docker restart -t 1 one; docker inspect -f '{{.State.Status}} {{.RestartCount}}' one"),
    all("docker rm one"),
    all("docker stop one; docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' one"),
    all("docker stop one"),
    output("docker kill one"),
    all("docker pause one"),
    output("docker exec one true"),
    output("docker top one"),
    all("docker start one; (docker wait one & sleep 0.2; docker kill one; wait) | sort"),
    all("docker attach one"),
    all("docker rm one; docker rm one"),
    all("docker create --name two box sh -c 'echo started; exit 4'"),
    all("docker ps -a --format '{{.Names}} {{.State}}'"),
    all("docker start -a two"),
    all("docker wait two"),
    all("docker logs two; docker logs nosuch"),
    all("docker rm -f two nosuch"),
    all("docker run --name exits --restart on-failure:2 box false; for i in $(seq 100); do docker inspect -f '{{.State.Status}}' exits | grep -q exited && break; sleep 0.1; done; docker inspect -f '{{.RestartCount}} {{.State.ExitCode}}' exits; docker rm exits"),
    all("docker run -d --name checked --health-cmd true --health-interval 1s box sleep 100; for i in $(seq 100); do docker inspect -f '{{.State.Health.Status}}' checked | grep -q ^healthy && break; sleep 0.1; done; docker inspect -f '{{.State.Health.Status}} {{.Config.Healthcheck.Test}}' checked; docker rm -f checked"),
    // Terminals.
    all("printf 'echo $((6*7)); tty; exit 6\\n' | script -qefc 'docker run -it --rm box sh' /dev/null | tr -d '\\r' | grep -v 'echo'"),
    all("docker run -dit --name tty box sh; sleep 0.2; (sleep 0.5; printf 'X=1\\n'; sleep 0.5; printf '\\020\\021') | script -qefc 'docker attach tty' /dev/null | tail -1; docker ps --format '{{.Names}}'"),
    all("docker exec tty sh -c 'test -t 0; echo $?'; script -qefc 'docker exec -it tty tty' /dev/null </dev/null | tr -dc 'a-z0-9/'; docker rm -f tty"),
    all("docker run -it --rm box true"),
    // Images.
    all("docker images --format '{{.Repository}} {{.Tag}}'"),
    all("docker tag box other:1 && docker images -f reference='other:*' --format '{{.Repository}}:{{.Tag}}'"),
    all("docker tag nosuch x"),
    all("docker history --format '{{.Comment}}' box"),
    all("docker inspect -f '{{.Os}} {{json .Config.Cmd}} {{json .Config.Env}} {{.RootFS.Type}} {{len .RootFS.Layers}}' box"),
    all("docker run --name changed box sh -c 'echo new >/new; rm /data/file'; docker diff changed | sort"),
    all("docker commit -a me -m why -c 'CMD [\"cat\", \"/new\"]' changed made:1; docker run --rm made:1"),
    all("docker inspect -f '{{.Author}} {{.Comment}} {{json .Config.Cmd}}' made:1; docker history --format '{{.CreatedBy}}' made:1 | head -1"),
    all("docker rmi made:1; docker rmi nosuch"),
    all("docker rmi box; docker tag other:1 box"),
    all("docker rm changed"),
    all("docker save box | tar t | grep -c manifest.json"),
    all("docker save -o saved.tar box other:1 && docker rmi box other:1 | head -2 && docker load -i saved.tar; docker load -q <saved.tar"),
    output("echo junk | docker load"),
    output("docker save nosuch"),
    all("docker image ls -q | sort -u | wc -l; docker image prune -f"),
    output("docker search x"),
    output("docker pull localhost:1/x"),
    // Builds.
    all("mkdir -p context && printf 'FROM box\\nARG A=1\\nENV B=$A\\nCOPY f /f\\nRUN cat /f && echo $B >/b\\nCMD cat /b\\n' >context/Dockerfile; echo f >context/f
         docker build -q -t built --build-arg A=7 context >/dev/null 2>&1; docker run --rm built"),
    all("printf 'FROM box\\nRUN exit 9\\n' | docker build - >/dev/null 2>&1"),
    code("printf 'FORM box\\n' | docker build -"),
    all("docker rmi built >/dev/null; docker builder prune -f >/dev/null"),
    // Volumes.
    all("docker volume create -l a=b vol; docker volume create vol"),
    all("docker volume ls --format '{{.Name}} {{.Driver}} {{.Labels}}'"),
    all("docker run --rm -v vol:/v box sh -c 'echo kept >/v/f'; docker run --rm -v vol:/v box cat /v/f"),
    all("docker run -d --name user -v vol:/v -v /anonymous box sleep 100; docker volume rm vol"),
    all("docker inspect -f '{{range .Mounts}}{{println .Type .Destination .RW}}{{end}}' user | sort"),
    all("docker rm -fv user; docker volume ls -q"),
    all("docker run --rm -v vol:/data:ro box touch /data/x"),
    all("docker volume inspect -f '{{.Name}} {{.Scope}} {{.Labels}}' vol; docker volume inspect nosuch"),
    all("docker volume rm vol nosuch"),
    all("docker volume prune -f"),
    output("docker volume create -d nosuch x"),
    // Networks.
    all("docker network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'"),
    all("docker network create --subnet 172.31.0.0/24 --label a=b net && docker network inspect -f '{{.Name}} {{.Driver}} {{(index .IPAM.Config 0).Subnet}} {{.Internal}} {{.Labels}}' net"),
    all("docker network create net"),
    all("docker run -d --name server --network net --network-alias alias --ip 172.31.0.9 box sleep 100 && docker run --rm --network net box sh -c 'nslookup server >/dev/null; ping -c 1 -W 1 172.31.0.9 | grep -c ttl'"),
    all("docker run --rm --network net box sh -c 'nslookup alias 2>/dev/null | grep -o 172.31.0.9 | head -1'"),
    output("docker network rm net"),
    all("docker network create second && docker network connect second server && docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}' server"),
    all("docker network connect second server"),
    all("docker network disconnect second server && docker exec server ls /sys/class/net"),
    output("docker network disconnect second server"),
    all("docker rm -f server; docker network rm net second nosuch"),
    all("docker network prune -f"),
    output("docker network rm bridge"),
    // What is told and cleared away.
    all("docker run --name told box true; docker rm told; sleep 1.1; docker events --since 30s --until 0s -f container=told --format '{{.Type}} {{.Action}}'"),
    all("docker create --name left box true; docker container prune -f | head -2"),
    all("docker system prune -f"),
    all("docker inspect nosuch"),
    all("docker inspect --type volume nosuch"),
    all("docker kill nosuch; docker stop nosuch; docker start nosuch; docker restart nosuch; docker pause nosuch"),
    all("docker wait nosuch; docker top nosuch; docker diff nosuch; docker port nosuch; docker attach nosuch"),
    all("docker swarm leave; docker node ls; docker service ls; docker secret ls; docker stack ls"),
    all("docker plugin ls -q"),
];
