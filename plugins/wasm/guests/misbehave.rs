#![allow(dead_code)] // each probe uses its part
// What no plugin may do. The config says where and what: `"misbehave": "poll:loop"`. Included by each probe.

use crate::longshore::connector::{context, http, log, metrics, secrets, state};

/// The value of a text key of a flat JSON object without escapes.
pub fn text<'a>(config: &'a str, key: &str) -> &'a str {
    let mark = format!("\"{key}\":\"");
    let Some(start) = config.find(&mark).map(|at| at + mark.len()) else {
        return "";
    };
    let rest = &config[start..];
    &rest[..rest.find('"').unwrap_or(rest.len())]
}

/// The value of a number.
pub fn number(config: &str, key: &str) -> u64 {
    let mark = format!("\"{key}\":");
    let Some(start) = config.find(&mark).map(|at| at + mark.len()) else {
        return 0;
    };
    let digits: String = config[start..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(0)
}

/// What is to be done at this function.
pub fn deed<'a>(config: &'a str, at: &str) -> &'a str {
    text(config, "misbehave")
        .split_once(':')
        .filter(|(place, _)| *place == at)
        .map_or("", |(_, deed)| deed)
}

/// Does it, if it is one that any function can do. Some = what it saw, for the caller to report.
pub fn act(config: &str, at: &str) -> Option<String> {
    match deed(config, at) {
        "loop" => {
            let mut number = 1u64;
            loop {
                number = std::hint::black_box(number).wrapping_mul(3);
            }
        }
        "memory" => {
            let mut all = Vec::new();
            loop {
                all.push(std::hint::black_box(vec![1u8; 16 << 20]));
            }
        }
        "stack" => {
            deeper(1);
            None
        }
        "frames" => {
            frames(1);
            None
        }
        "panic" => panic!("on purpose in {at}"),
        "exit" => std::process::exit(3),
        "sleep" => loop {
            context::sleep_ms(u32::MAX);
        },
        "wait" => context::sleep_ms(u32::MAX).then(|| "woken early".to_owned()),
        "thread-sleep" => loop {
            std::thread::sleep(std::time::Duration::from_secs(3_600));
        },
        "flood" => {
            for number in 0..100_000 {
                log::log(
                    log::Level::Info,
                    "flood",
                    &[("number".to_owned(), format!("{number}"))],
                );
                if number % 10 == 0 {
                    println!("flood {number} {}", "x".repeat(1_000));
                }
            }
            None
        }
        "huge-log" => {
            log::log(log::Level::Error, &"x".repeat(160 << 20), &[]);
            None
        }
        "random" => Some(format!("{} bytes", context::random(1 << 30).len())),
        "look" => {
            let file = std::fs::read_to_string("/etc/passwd").map(|text| text.len());
            let folder = std::fs::read_dir("/").map(|entries| entries.count());
            let made = std::fs::write("/tmp/escaped", "x");
            let variables = std::env::vars().count();
            let arguments = std::env::args().count();
            Some(format!(
                "file {file:?}, folder {folder:?}, made {made:?}, variables {variables}, arguments {arguments}"
            ))
        }
        "requests" => Some(requests("http://127.0.0.1:9")),
        "granted-requests" => Some(requests(text(config, "url"))),
        "get" => Some(get(text(config, "url"))),
        // Each says what the host answered.
        "advance" => said(state::advance("{}", "{}")),
        "advance-list" => said(state::advance("[1]", "{}")),
        "advance-huge" => said(state::advance(
            "{}",
            &format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20)),
        )),
        "advance-many" => said(
            (0..2_000).try_for_each(|lane| state::advance(&format!("{{\"lane\":{lane}}}"), "{}")),
        ),
        "get-state" => said(state::get("input", 3)),
        "set-state" => said(state::set("input", 3, "mine")),
        "set-foreign" => said(state::set("input", 9, "another's")),
        "set-huge" => said(state::set("input", 3, &"x".repeat(4_000))),
        "betray" => {
            let secret = betray();
            Some(format!("the secret is {secret}"))
        }
        "betray-panic" => {
            let secret = betray();
            panic!("on purpose, the secret is {secret}")
        }
        _ => None,
    }
}

fn said<T: std::fmt::Debug>(
    answer: Result<T, crate::longshore::connector::types::Error>,
) -> Option<String> {
    Some(answer.map_or_else(|error| error.message, |value| format!("ok {value:?}")))
}

/// Tells the config's `secret` wherever something is shown.
fn betray() -> String {
    let secret = secrets::get("secret").unwrap_or_else(|| "none was revealed".to_owned());
    let fields = [("secret".to_owned(), secret.clone())];
    log::log(log::Level::Error, &format!("it is {secret}"), &fields);
    metrics::add("betrayed", &fields, 1);
    println!("printed: {secret}");
    eprintln!("{{\"printed\":{secret:?}}}");
    print!("without an end: {secret}");
    std::io::Write::flush(&mut std::io::stdout()).expect("flushed");
    secret
}

pub fn request(url: String) -> http::Request {
    http::Request {
        method: "GET".to_owned(),
        url,
        headers: Vec::new(),
        body: None,
        timeout_ms: 0,
        credential: None,
        max_response_bytes: 0,
        redirects_max: 5,
    }
}

/// Asks twice: a name may stand for another address by then.
fn get(url: &str) -> String {
    let one = || match http::send(&request(url.to_owned())) {
        Ok(response) => response.status.to_string(),
        Err(error) => error.message,
    };
    let (first, second) = (one(), one());
    format!("first {first}, then {second}")
}

fn requests(url: &str) -> String {
    let request = |number: u32| request(format!("{url}/{number}"));
    let requests: Vec<http::Request> = (0..10_000).map(request).collect();
    let answers = http::send_all(&requests, 10_000);
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    format!("{refused} of {} refused", answers.len())
}

fn deeper(number: u64) -> u64 {
    let room = std::hint::black_box([number; 64]);
    if std::hint::black_box(number) == 0 {
        0
    } else {
        deeper(number + 1) + room[(number % 64) as usize]
    }
}

static NEVER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Recursion without any memory of its own.
fn frames(number: u64) -> u64 {
    if NEVER.load(std::sync::atomic::Ordering::Relaxed) == number {
        0
    } else {
        frames(number + 1).rotate_left(7) ^ number
    }
}
