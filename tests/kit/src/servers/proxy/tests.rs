use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough that bytes which pass would have arrived.
const QUIET: Duration = Duration::from_millis(150);

/// A server that sends back what it gets, on every connection; it ends with the test's process.
fn echo() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
    let address = listener.local_addr().expect("has an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().expect("clones"), stream);
                let _ = std::io::copy(&mut from, &mut to);
            });
        }
    });
    address
}

fn dial(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("sets");
    stream
}

/// Reads exactly what is expected.
fn expect(stream: &mut TcpStream, text: &[u8]) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).expect("arrives");
    assert_eq!(bytes, text);
}

fn quiet(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(QUIET)).expect("sets");
    let error = stream.read(&mut [0]).expect_err("nothing may arrive");
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    stream.set_read_timeout(Some(PATIENCE)).expect("sets");
}

fn is_reset(stream: &mut TcpStream) {
    let error = stream.read(&mut [0]).expect_err("a reset, not an end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn bytes_pass_and_an_end_is_passed_on() {
    let proxy = Proxy::start(&echo()).expect("starts");
    let mut stream = dial(&proxy);
    let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let mut writing = stream.try_clone().expect("clones");
    let bytes = sent.clone();
    let writer = std::thread::spawn(move || {
        writing.write_all(&bytes).expect("writes");
        writing
            .shutdown(std::net::Shutdown::Write)
            .expect("half closes");
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("reads to the end");
    writer.join().expect("writes");
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
}

#[test]
fn a_cut_resets_what_is_open_and_nothing_else() {
    let proxy = Proxy::start(&echo()).expect("starts");
    let mut old = dial(&proxy);
    old.write_all(b"a").expect("writes");
    expect(&mut old, b"a");
    assert_eq!(proxy.connections(), 1);
    proxy.cut();
    is_reset(&mut old);
    let mut new = dial(&proxy);
    new.write_all(b"b").expect("writes");
    expect(&mut new, b"b");
}

#[test]
fn refused_until_healed() {
    let proxy = Proxy::start(&echo()).expect("starts");
    let mut old = dial(&proxy);
    old.write_all(b"a").expect("writes");
    expect(&mut old, b"a");
    proxy.refuse().expect("closes");
    is_reset(&mut old);
    let error = TcpStream::connect(proxy.address()).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    proxy.heal().expect("listens again");
    let mut new = dial(&proxy);
    new.write_all(b"b").expect("writes");
    expect(&mut new, b"b");
}

#[test]
fn a_black_hole_keeps_everything_until_healed() {
    let proxy = Proxy::start(&echo()).expect("starts");
    let mut old = dial(&proxy);
    old.write_all(b"a").expect("writes");
    expect(&mut old, b"a");
    proxy.black_hole();
    old.write_all(b"b").expect("the kernel takes it");
    quiet(&mut old);
    let mut new = dial(&proxy);
    new.write_all(b"c").expect("the kernel takes it");
    quiet(&mut new);
    proxy.heal().expect("heals");
    expect(&mut old, b"b");
    expect(&mut new, b"c");
}

#[test]
fn a_server_that_is_away_resets_the_client() {
    let proxy =
        Proxy::start(&format!("127.0.0.1:{}", free_port().expect("a port"))).expect("starts");
    is_reset(&mut dial(&proxy));
}

#[test]
fn what_a_client_sends_is_held_and_goes_on_after_its_death() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
    let address = listener.local_addr().expect("has an address").to_string();
    let proxy = Proxy::start(&address).expect("starts");
    let holding = proxy.hold(Hold::client("COMMIT"));
    let mut client = dial(&proxy);
    let (mut server, _) = listener.accept().expect("accepts");
    server.set_read_timeout(Some(PATIENCE)).expect("sets");
    client.write_all(b"INSERT;COMMIT;").expect("writes");
    holding.wait(PATIENCE).expect("catches");
    expect(&mut server, b"INSERT;");
    quiet(&mut server);
    // The other direction goes on.
    server.write_all(b"1 row;").expect("writes");
    expect(&mut client, b"1 row;");
    // Packets on their way outlive who sent them.
    drop(client);
    quiet(&mut server);
    holding.release();
    expect(&mut server, b"COMMIT;");
    assert_eq!(server.read(&mut [0]).expect("ends"), 0);
}

#[test]
fn a_reply_is_held_and_a_cut_ends_the_hold() {
    let proxy = Proxy::start(&echo()).expect("starts");
    let holding = proxy.hold(Hold::server("COMMIT").skip(1));
    let mut client = dial(&proxy);
    client.write_all(b"COMMIT 1;").expect("writes");
    expect(&mut client, b"COMMIT 1;");
    client.write_all(b"COMMIT 2;").expect("writes");
    holding.wait(PATIENCE).expect("catches");
    quiet(&mut client);
    proxy.cut();
    is_reset(&mut client);
}

#[tokio::test]
async fn async_tests_wait_without_blocking() {
    let proxy = Proxy::start(&echo()).expect("starts");
    let holding = proxy.hold(Hold::client("x"));
    let mut client = tokio::net::TcpStream::connect(proxy.address())
        .await
        .expect("connects");
    tokio::io::AsyncWriteExt::write_all(&mut client, b"x")
        .await
        .expect("writes");
    tokio::time::timeout(PATIENCE, holding.reached())
        .await
        .expect("catches");
    assert!(holding.is_holding());
}

#[test]
fn a_delay_keeps_order_and_content() {
    let proxy = Proxy::start(&echo()).expect("starts");
    proxy.delay(Duration::from_millis(20));
    let mut client = dial(&proxy);
    for number in 0..5_u8 {
        client.write_all(&[number]).expect("writes");
    }
    expect(&mut client, &[0, 1, 2, 3, 4]);
}
