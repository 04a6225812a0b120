//! Clients that others wrote, driving `skiff serve` with nothing but DOCKER_HOST changed: the docker command line, whose
//! every command is compared with what it does on a real dockerd, docker-compose, and docker-py.

mod compose;
mod engine;
mod python;
mod scenario;
mod table;
