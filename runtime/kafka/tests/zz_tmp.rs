mod common;
use common::*;
use longshore_engine::ports::*;
use longshore_kafka::*;
use longshore_sdk::*;
use std::{sync::Arc, time::{Duration,Instant}, collections::BTreeMap};
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").expect("s"); let f: Vec<&str> = s.rsplit(')').next().expect("x").split_whitespace().collect(); (f[11].parse::<f64>().expect("n") + f[12].parse::<f64>().expect("n")) / 100.0 }
async fn push(p: &mut Box<dyn Producer>, inbox: &Arc<Inbox>, batch: Vec<Record>, open: &mut usize) {
    let mut some = Vec::new();
    while *open > 50_000 { inbox.arrived().await; inbox.drain(&mut some); *open -= some.len(); for (_, a) in some.drain(..) { a.expect("ok"); } }
    *open += batch.len();
    let batch = batch.into_iter().map(|r| (r, Receipt::new(Arc::clone(inbox), Ticket(1)))).collect();
    p.send(batch).await.expect("send");
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn perf() {
    let cluster = Cluster::start().await;
    for (size, n) in [(100usize, 1_000_000usize), (1024, 300_000)] {
    let topic = cluster.topic(1).await; let out = cluster.topic(1).await;
    let mut p = cluster.producer(&[]).await; let inbox = Inbox::new(); let mut open = 0;
    let body = bytes::Bytes::from(vec![b'x'; size]);
    let (t, c) = (Instant::now(), cpu());
    for _ in 0..n / 1000 { let b = (0..1000).map(|_| { let mut r = Record::new(Topic::clone(&topic)); r.partition = Some(0); r.value = Datum::Bytes(body.clone()); r }).collect(); push(&mut p, &inbox, b, &mut open).await; }
    p.flush().await.expect("f");
    println!("{size} B produce: {:.2} us cpu, {:.0}/s wall", (cpu() - c) * 1e6 / n as f64, n as f64 / t.elapsed().as_secs_f64());
    let starts = BTreeMap::from([(TopicPartition::new(Topic::clone(&topic), 0), Start::Beginning)]);
    let mut r = Reader::open(&cluster.settings, "perf", &Default::default(), starts.clone(), false).await.expect("r");
    let (t, c) = (Instant::now(), cpu()); let mut got = 0; let mut polls = 0;
    while got < n { got += r.poll(Duration::from_secs(1)).await.expect("p").records.len(); polls += 1; }
    println!("{size} B consume: {:.2} us cpu, {:.0}/s wall, {polls} polls", (cpu() - c) * 1e6 / n as f64, n as f64 / t.elapsed().as_secs_f64());
    r.close().await.expect("c");
    let mut r = Reader::open(&cluster.settings, "perf", &Default::default(), starts, false).await.expect("r");
    let inbox = Inbox::new(); let mut open = 0;
    let (t, c) = (Instant::now(), cpu()); let mut got = 0;
    while got < n { let b: Vec<Record> = r.poll(Duration::from_secs(1)).await.expect("p").records.into_iter().map(|x| { let mut y = x.record; y.topic = Topic::clone(&out); y }).collect(); got += b.len(); push(&mut p, &inbox, b, &mut open).await; }
    p.flush().await.expect("f");
    println!("{size} B copy: {:.2} us cpu, {:.0}/s wall", (cpu() - c) * 1e6 / n as f64, n as f64 / t.elapsed().as_secs_f64());
    r.close().await.expect("c");
    }
}
