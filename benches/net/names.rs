//! How many questions for the names of containers are answered in a second.

use std::{
    fs,
    io::ErrorKind,
    net::UdpSocket,
    time::{Duration, Instant},
};

use super::{median, number, skiff};

const TARGET: usize = 20_000;
/// Questions that wait for their answers.
const IN_FLIGHT: u16 = 64;
const TIME: Duration = Duration::from_secs(3);
/// After so long without an answer all are lost.
const PATIENCE: Duration = Duration::from_millis(100);

/// A question for the address of a name.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = Vec::from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message[..2].copy_from_slice(&id.to_be_bytes());
    message.push(name.len() as u8);
    message.extend(name.bytes());
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Asks a server for one name as fast as it answers, and prints how many answers came, how many got lost, and in how many
/// seconds. It is run in a container.
pub fn ask(server: &str, name: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect((server, 53)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut message = question(0, name);
    let mut send = |id: u16| {
        message[..2].copy_from_slice(&id.to_be_bytes());
        socket.send(&message).unwrap();
    };
    let (mut answers, mut lost) = (0_u64, 0_u64);
    let mut buffer = [0; 512];
    let start = Instant::now();
    (0..IN_FLIGHT).for_each(&mut send);
    while start.elapsed() < TIME {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                // No error, and one answer.
                assert!(length > 12 && buffer[3] & 15 == 0 && buffer[7] == 1, "{:?}", &buffer[..length]);
                answers += 1;
                send(u16::from_be_bytes([buffer[0], buffer[1]]));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                lost += u64::from(IN_FLIGHT);
                (0..IN_FLIGHT).for_each(&mut send);
            }
            Err(error) => panic!("{error}"),
        }
    }
    println!("{answers} {lost} {}", start.elapsed().as_secs_f64());
}

/// The process that answers on a bridge of this engine's.
fn responder() -> u32 {
    let names = format!("{}/networks/", std::env::var("SKIFF_RUN").unwrap());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let answers = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| link.starts_with(&names) && link.extension().is_some_and(|name| name == "names"))
    };
    numbers.into_iter().find(answers).expect("somebody answers")
}

/// The processor time that a process has had, in seconds.
fn processor(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    f64::from(ticks) / 100.0
}

pub fn measure() {
    skiff(&["network", "create", "names"]);
    skiff(&["run", "-d", "--name", "web", "--network", "names", "box", "sleep", "100000"]);
    let gateway = skiff(&["inspect", "-f", "{{.NetworkSettings.Networks.names.Gateway}}", "web"]);
    let (pid, mount) = (responder(), format!("{}:/ask:ro", std::env::current_exe().unwrap().display()));
    let run = ["run", "--rm", "--network", "names", "-v", &mount, "host", "/ask", "ask", &gateway, "web"];
    let (mut by_clock, mut by_processor, mut lost) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..number("RUNS", 5) {
        let before = processor(pid);
        let told: Vec<f64> = skiff(&run).split(' ').map(|number| number.parse().unwrap()).collect();
        by_clock.push(told[0] / told[2]);
        by_processor.push(told[0] / (processor(pid) - before));
        lost += told[1];
    }
    println!(
        "\nnames: {:.0} answers/s, {:.0} in a second of the responder's processor time, {lost:.0} lost \
         (target {TARGET})",
        median(&by_clock),
        median(&by_processor)
    );
    skiff(&["rm", "-f", "web"]);
    skiff(&["network", "rm", "names"]);
}
