//! A file through Kafka into a file: the same bytes, in little memory.

use std::fs::File;
use std::hash::Hasher;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Home;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long the file is, about: it ends with the line that reaches this.
    pub bytes: u64,
    /// The source of the text.
    pub seed: u64,
    /// What the process may take at its peak.
    pub memory_kb_max: u64,
}

/// Runs the proof and prints it. Errors: bytes differ, more memory than allowed, nothing moves for a minute.
pub fn prove(plan: &Plan) -> Result<()> {
    let home = Home::new("files")?;
    let (input, output) = (home.path().join("in.txt"), home.path().join("out.txt"));
    let bytes = write_lines(&input, plan.bytes, plan.seed)?;
    println!(
        "prove files: seed {}, {bytes} bytes, {}",
        plan.seed,
        home.broker_name()
    );
    home.write("files.yaml", &yaml(&home.unique("lines")))?;
    let mut worker = home.start(&["up", "worker.yaml", "files.yaml"], None)?;
    worker.ready()?;
    let start = Instant::now();
    let (mut had, mut moved) = (0, Instant::now());
    // As long as it takes; but a minute without a byte is a fault.
    worker.within(Duration::from_secs(3600), "the last byte", || {
        let has = std::fs::metadata(&output).map_or(0, |meta| meta.len());
        if has > had {
            (had, moved) = (has, Instant::now());
        }
        ensure!(
            moved.elapsed() < Duration::from_secs(60),
            "the copy stands still at {has} of {bytes} bytes"
        );
        Ok(has >= bytes)
    })?;
    let took = start.elapsed();
    let peak = worker.memory_kb("VmHWM")?;
    worker.stop()?;
    let (wrote, read) = (checksum(&input)?, checksum(&output)?);
    let rate = bytes as f64 / 1e6 / took.as_secs_f64();
    println!(
        "  in  {} bytes, checksum {:016x}\n  out {} bytes, checksum {:016x}",
        wrote.0, wrote.1, read.0, read.1
    );
    println!(
        "  {:.1} s, {rate:.1} MB/s, peak {:.1} MB resident",
        took.as_secs_f64(),
        peak as f64 / 1e3
    );
    ensure!(wrote == read, "the copy differs");
    ensure!(
        peak <= plan.memory_kb_max,
        "the process took {peak} kB, allowed are {}",
        plan.memory_kb_max
    );
    println!("prove files: equal");
    Ok(())
}

fn yaml(topic: &str) -> String {
    let string = "org.apache.kafka.connect.storage.StringConverter";
    format!(
        "connectors:\n  read:\n    connector.class: FileStreamSource\n    file: ./in.txt\n    topic: {topic}\n    value.converter: {string}\n    key.converter: {string}\n  \
         write:\n    connector.class: FileStreamSink\n    file: ./out.txt\n    topics: [{topic}]\n    value.converter: {string}\n    key.converter: {string}\n"
    )
}

/// Lines of 0 to 300 characters, some beyond ASCII, some empty; how many bytes they are.
fn write_lines(path: &Path, bytes: u64, seed: u64) -> Result<u64> {
    const LETTERS: [char; 16] = [
        'a', 'e', 'i', 'n', 's', 't', 'r', 'ö', '€', '😀', ' ', '\t', '"', '\\', '{', '7',
    ];
    let mut random = StdRng::seed_from_u64(seed);
    // One pool of text that lines are cut from: making every character anew would take longer than moving it.
    let pool: Vec<char> = (0..1 << 16)
        .map(|_| LETTERS[random.random_range(0..LETTERS.len())])
        .collect();
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut written, mut number) = (0, 0_u64);
    let mut line = String::new();
    while written < bytes {
        number += 1;
        line.clear();
        if !number.is_multiple_of(97) {
            let from = random.random_range(0..pool.len() - 300);
            line.push_str(&format!("{number} "));
            line.extend(&pool[from..from + random.random_range(0..300)]);
        }
        line.push('\n');
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    file.into_inner()
        .map_err(|error| error.into_error())?
        .sync_all()?;
    Ok(written)
}

/// Length and a hash of the content.
fn checksum(path: &Path) -> Result<(u64, u64)> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hash = std::hash::DefaultHasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        // Whole buffers, so that the hash does not depend on how reads happen to be cut.
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..])? {
                0 => break,
                more => filled += more,
            }
        }
        if filled == 0 {
            return Ok((length, hash.finish()));
        }
        hash.write(&buffer[..filled]);
        length += filled as u64;
    }
}
