//! What a guest prints, line by line.

use super::{exposition, lines};
use crate::output::Output;
use wasmtime_wasi::{cli::StdoutStream, p2::StreamError};

const SECRET: &str = "hunter2-hunter2";

/// Lines that are left when a guest prints this, write by write.
fn printed(writes: &[String]) -> Vec<String> {
    lines(async |services| {
        let output = Output::new(services.journal().clone());
        let mut stream = output.p2_stream();
        for write in writes {
            stream.write(write.clone().into()).expect("it is taken");
        }
        output.settle(true);
    })
}

#[test]
fn a_write_beyond_the_limit_is_refused() {
    let lines = lines(async |services| {
        let output = Output::new(services.journal().clone());
        let mut stream = output.p2_stream();
        let most = stream.check_write().expect("a number");
        for refused in [
            stream.write(vec![b'x'; most + 1].into()),
            // No memory is taken for them.
            stream.write_zeroes(usize::MAX),
        ] {
            assert!(matches!(refused, Err(StreamError::Trap(_))), "{refused:?}");
        }
        stream.write(vec![b'x'; most].into()).expect("it fits");
        stream.write_zeroes(most).expect("it fits");
    });
    assert_eq!(lines.len(), 1, "{}", lines.len());
}

#[test]
fn many_lines_of_one_write_are_left_out_as_one() {
    let lines = lines(async |services| {
        let output = Output::new(services.journal().clone());
        let mut stream = output.p2_stream();
        let many = "a\n".repeat(30_000) + "hunter2-";
        stream.write(many.into()).expect("it is taken");
        stream
            .write("hunter2\nafter\n".into())
            .expect("it is taken");
        let metrics = exposition(services.provisions());
        // After a thousand lines the journal leaves out some of its own.
        let dropped = metrics.lines().find_map(|line| {
            line.strip_prefix("longshore_wasm_dropped_total{plugin=\"probe\",what=\"log\"} ")
        });
        let dropped: u64 = dropped.expect("some").parse().expect("a number");
        assert!((1..10).contains(&dropped), "{dropped}");
        assert!(output.tail().ends_with("after\n"));
    });
    assert!((900..1_010).contains(&lines.len()), "{}", lines.len());
    assert!(!lines.iter().any(|line| line.contains("hunter2")));
}

#[test]
fn i8_a_secret_in_a_long_line_is_not_shown_in_halves() {
    for before in (8_150..8_200).chain(12_250..12_300).chain(16_350..16_400) {
        let text = format!(
            "{}{SECRET}{}\nafter\n",
            "x".repeat(before),
            "y".repeat(9_000)
        );
        let whole = printed(std::slice::from_ref(&text));
        let (first, second) = text.split_at(8_192);
        let pieces: Vec<String> = text
            .as_bytes()
            .chunks(100)
            .map(|piece| String::from_utf8_lossy(piece).into_owned())
            .collect();
        for lines in [
            whole,
            printed(&[first.to_owned(), second.to_owned()]),
            printed(&pieces),
        ] {
            let all = lines.join("\n");
            assert!(!all.contains("hunt") && !all.contains("ter2"), "{before}");
            assert_eq!(lines.len(), 2, "{before}");
            assert!(lines[1].contains("after"), "{}", lines[1]);
        }
    }
}

#[test]
fn i8_what_another_knows_as_a_secret_is_not_shown_in_halves() {
    for before in 8_170..8_195 {
        let text = format!("{}another's secret and more\n", "x".repeat(before));
        let lines = printed(&[text]);
        assert!(
            !lines[0].contains("anoth"),
            "{before}: {}",
            &lines[0][8_000..]
        );
    }
    // A long secret in front of it moves what is behind the limit.
    let text = format!(
        "{}{}another's",
        SECRET.repeat(500),
        "x".repeat(12_288 - 7_500 - 5)
    );
    assert!(!printed(&[text + " secret\n"])[0].contains("anot"));
}
