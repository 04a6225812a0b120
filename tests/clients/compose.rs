//! docker-compose, the one in Python.

use crate::engine::{Engine, Kind, has};

const FILE: &str = r#"
services:
  db:
    build:
      context: db
      args: {WHO: me}
    healthcheck: {test: ["CMD", "test", "-f", "/tmp/ready"], interval: 1s, retries: 30}
    networks: {back: {aliases: [database]}}
    volumes: ["kept:/kept"]
    stop_signal: SIGKILL
    labels: {part: db}
  web:
    image: box
    command: sh -c 'wget -qO- http://database/file; echo $$A; exec sleep 1000'
    depends_on: {db: {condition: service_healthy}}
    environment: ["A=${A:-usual}"]
    networks: [back, front]
    ports: ["80"]
    restart: on-failure
    stop_signal: SIGKILL
networks: {back: , front: {labels: {part: front}}}
volumes: {kept: }
"#;

const DOCKERFILE: &str = "FROM box\nARG WHO\nRUN echo $WHO >/who\n\
    CMD (sleep 1; touch /tmp/ready) & exec httpd -f -p 80 -h /data\n";

#[test]
fn compose_brings_services_up_and_down() {
    if !has("docker-compose") || !has("docker") {
        return;
    }
    let engine = Engine::start(Kind::Skiff);
    std::fs::create_dir(engine.work().join("db")).unwrap();
    std::fs::write(engine.work().join("docker-compose.yml"), FILE).unwrap();
    std::fs::write(engine.work().join("db/Dockerfile"), DOCKERFILE).unwrap();
    let compose = |words: &str| engine.says(&format!("docker-compose --ansi never {words} 2>&1"));
    let count = |words: &str| engine.says(words).lines().count();

    let told = compose("up -d");
    assert!(
        told.contains("Successfully built") && told.contains("Creating project_web_1 ... done"),
        "{told}"
    );
    let listed = compose("ps");
    assert!(listed.contains("project_db_1") && listed.contains("Up (healthy)"), "{listed}");
    assert!(listed.contains("->80/tcp"), "{listed}");
    engine.says("until docker-compose logs web | grep -q usual; do sleep 0.1; done");
    let logs = compose("logs --no-color");
    assert!(logs.contains("web_1  | content") && logs.contains("web_1  | usual"), "{logs}");
    assert_eq!(compose("exec -T web sh -c 'cat /data/file; hostname | wc -c'"), "content\n13\n");
    assert_eq!(compose("exec -T db cat /who"), "me\n");
    assert_eq!(compose("run --rm web echo once").lines().last(), Some("once"));
    compose("exec -T db sh -c 'echo kept >/kept/f'");

    let told = compose("up -d --scale web=3");
    assert!(told.contains("project_db_1 is up-to-date") && told.contains("project_web_3 ... done"), "{told}");
    assert_eq!(count("docker-compose ps -q web"), 3);
    // All three answer to the service's name, and are found from the other one.
    let found = engine.says("docker-compose exec -T db nslookup web 2>/dev/null");
    assert_eq!(found.matches("Address").count() - 1, 3, "{found}");
    assert_eq!(
        count(
            "docker network inspect -f '{{range .Containers}}{{println .Name}}{{end}}' project_front | grep ."
        ),
        3
    );
    assert_eq!(count("docker ps -q -f label=com.docker.compose.service=web"), 3);

    compose("restart db");
    assert_eq!(compose("exec -T db cat /kept/f"), "kept\n");
    assert!(compose("top db").contains("httpd"));
    let port = compose("port web 80");
    assert!(port.starts_with("0.0.0.0:"), "{port}");
    compose("pause web");
    assert_eq!(count("docker ps -q -f status=paused"), 3);
    compose("unpause web");
    // Another setting: only what has it is made anew.
    let told = engine.says("A=other docker-compose --ansi never up -d --scale web=1 2>&1");
    assert!(
        told.contains("Recreating project_web_1")
            && told.contains("... done")
            && told.contains("db_1 is up-to-date"),
        "{told}"
    );
    engine.says("until docker-compose logs web | grep -q other; do sleep 0.1; done");
    compose("stop");
    assert_eq!(count("docker ps -q"), 0);
    compose("start");
    assert_eq!(count("docker ps -q"), 2);
    compose("kill web");
    compose("rm -f web");

    compose("down");
    assert_eq!(engine.says("docker ps -aq; docker network ls -qf type=custom"), "");
    assert_eq!(engine.says("docker volume ls -q"), "project_kept\n");
    compose("up -d db");
    assert_eq!(compose("exec -T db cat /kept/f"), "kept\n");
    compose("down -v --rmi local");
    assert_eq!(engine.says("docker volume ls -q; docker images -q project_db"), "");
}
