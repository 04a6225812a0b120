//! What the fuzzer checks, on every run of the tests: the seeds, what it once failed on (`fuzz/regressions/TARGET/`), and
//! a few thousand damaged seeds.

#[path = "../fuzz/src/dns.rs"]
mod dns;
#[path = "../fuzz/src/dockerfile.rs"]
mod dockerfile;
#[path = "../fuzz/src/key.rs"]
mod key;
#[path = "../fuzz/src/netlink.rs"]
mod netlink;
#[path = "../fuzz/src/profile.rs"]
mod profile;
#[path = "../fuzz/src/properties.rs"]
mod properties;
#[path = "../fuzz/src/seeds.rs"]
mod seeds;
#[path = "../fuzz/src/tree.rs"]
mod tree;
#[path = "../fuzz/src/typed.rs"]
mod typed;
#[path = "../fuzz/src/wire.rs"]
mod wire;

fn check(target: &str, property: fn(&[u8])) {
    let mut inputs = seeds::of(target);
    assert!(seeds::TARGETS.contains(&target) && inputs.len() > 2, "{target} has too few seeds");
    let regressions = format!("{}/fuzz/regressions/{target}", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(regressions).into_iter().flatten() {
        inputs.push(std::fs::read(entry.unwrap().path()).unwrap());
    }
    inputs.iter().for_each(|input| property(input));
    // The same damage in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for _ in 0..3000 {
        let mut input = inputs[random(inputs.len())].clone();
        for _ in 0..random(4) + 1 {
            let at = random(input.len());
            match random(4) {
                0 if !input.is_empty() => input[at] ^= 1 << random(8),
                1 if !input.is_empty() => input[at] = b"\0\xff/.:=0 17"[random(10)],
                2 => input.truncate(at),
                _ => {
                    let other = &inputs[random(inputs.len())];
                    let from = random(other.len());
                    input.splice(at..at, other[from..].iter().copied());
                }
            }
        }
        property(&input);
    }
}

#[test]
fn a_tar_is_read_the_same_wherever_it_is_cut() {
    check("tar", properties::tar);
}

#[test]
fn gzip_is_read_the_same_wherever_it_is_cut() {
    check("gzip", properties::gzip);
}

#[test]
fn a_reference_means_the_same_in_all_its_forms() {
    check("reference", properties::reference);
}

#[test]
fn a_config_reads_as_it_was_written() {
    check("image_config", properties::image_config);
}

#[test]
fn zstd_is_read_the_same_wherever_it_is_cut() {
    check("zstd", properties::zstd);
}

#[test]
fn a_document_is_read_as_one_kind_or_refused() {
    check("manifest", properties::manifest);
}

#[test]
fn a_request_is_read_the_same_wherever_it_is_cut() {
    check("request", wire::request);
}

#[test]
fn frames_are_read_the_same_wherever_they_are_cut() {
    check("frames", wire::frames);
}

#[test]
fn websockets_are_read_the_same_wherever_they_are_cut() {
    check("websocket", wire::websocket);
}

#[test]
fn a_seccomp_profile_is_refused_or_gives_a_program_that_ends() {
    check("seccomp", profile::seccomp);
}

#[test]
fn a_template_prints_the_same_each_time_or_is_refused() {
    check("template", typed::template);
}

#[test]
fn what_a_flag_says_makes_sense_or_is_refused() {
    check("flags", typed::flags);
}

#[test]
fn an_archive_changes_nothing_beside_its_tree_and_comes_back() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    check("layer", tree::layer);
}

#[test]
fn an_entry_reads_as_it_was_written() {
    check("emit", tree::emit);
}

#[test]
fn a_dockerfile_reads_as_it_is_printed() {
    check("dockerfile", dockerfile::dockerfile);
}

#[test]
fn a_word_expands_to_what_it_may() {
    check("expand", dockerfile::expand);
}

#[test]
fn what_is_ignored_is_what_a_slow_matcher_ignores() {
    check("ignore", dockerfile::ignore);
}

#[test]
fn what_a_netlink_socket_says_is_read_within_its_bounds() {
    check("netlink", netlink::netlink);
}

#[test]
fn a_dns_answer_fits_its_question_and_its_limit() {
    check("dns", dns::dns);
}

#[test]
fn different_inputs_of_a_step_give_different_keys() {
    check("key", key::key);
}
