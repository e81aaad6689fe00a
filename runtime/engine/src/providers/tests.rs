use super::*;
use std::{fs, os::unix::fs::symlink, path::Path};

struct Fake;

impl Provider for Fake {
    fn read(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Flat> {
        if path == "locked" {
            return Err(Error::config("config", "locked cannot be read"));
        }
        let keys = keys.iter().filter(|key| !key.starts_with("no"));
        Ok(keys
            .map(|key| ((*key).to_owned(), format!("<{path}|{key}>")))
            .collect())
    }
    fn place(&self, path: &str, key: &str) -> String {
        format!("{path} has no {key}")
    }
}

fn with(name: &str, provider: impl Provider + 'static) -> Placeholders {
    let mut all = Placeholders::none();
    all.add(name, Arc::new(provider));
    all
}

fn config(value: &str) -> Flat {
    Flat::from([("k".to_owned(), value.to_owned())])
}

fn value(all: &Placeholders, text: &str) -> Result<String> {
    let resolved = all.resolve(&config(text))?;
    Ok(resolved.config["k"].clone())
}

fn refused(all: &Placeholders, text: &str) -> String {
    match value(all, text) {
        Ok(value) => panic!("{text} was read: {value}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn placeholders_are_found_as_kafka_finds_them() {
    let all = with("fake", Fake);
    for (text, wanted) in [
        ("plain", "plain"),
        ("", ""),
        ("${fake:k}", "<|k>"),
        ("a${fake:/p:k}b${fake:k}c", "a</p|k>b<|k>c"),
        // The path ends at the first colon, the key takes the rest.
        ("${fake:p:k:l}", "<p|k:l>"),
        ("${fake::k}", "<|k>"),
        ("${fake:p:}", "<p|>"),
        ("${fake:a\nb:k}", "<a\nb|k>"),
        ("${topic}-${timestamp}", "${topic}-${timestamp}"),
        ("${topic}${fake:k}", "${topic}<|k>"),
        ("${other:k}", "${other:k}"),
        ("${:k}", "${:k}"),
        // One placeholder, of a provider that is called `a${fake`.
        ("${a${fake:k}", "${a${fake:k}"),
        ("${fake:${fake:k}}", "<${fake|k>}"),
        ("${fake:k", "${fake:k"),
        ("$${fake:k}", "$<|k>"),
        ("$", "$"),
        // A key that is not there, and what a value looks like that was put in: text.
        ("${fake:p:nokey}", "${fake:p:nokey}"),
    ] {
        assert_eq!(value(&all, text).expect("resolves"), wanted, "{text}");
    }
}

#[test]
fn what_could_not_be_resolved_is_told() {
    let all = with("fake", Fake);
    let resolved = all.resolve(&config("${fake:p:nokey}")).expect("resolves");
    let missing: Vec<String> = resolved.missing.iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        ["k: its placeholder stays as text: config provider fake: p has no nokey"]
    );
    let told = resolved
        .about(Error::config("open", "no such user"))
        .to_string();
    assert!(
        told.contains("no such user") && told.contains("p has no nokey"),
        "{told}"
    );
    let error = all
        .resolve(&config("${fake:locked:k}"))
        .err()
        .expect("refused");
    assert_eq!(
        error.to_string(),
        "config error at config: config provider fake: locked cannot be read (key = k)"
    );
    let undeclared = all.undeclared(&config("${fake:k}-${vault:x:y}-${topic}"));
    let undeclared: Vec<String> = undeclared.iter().map(ToString::to_string).collect();
    assert_eq!(
        undeclared,
        [
            "k: ${vault:..} stays as text: there is no config provider vault (the worker's config.providers declares fake)"
        ]
    );
}

/// Counts how often a path is read.
struct Counting(std::sync::Mutex<Vec<String>>);

impl Provider for Counting {
    fn read(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Flat> {
        self.0.lock().expect("no panic").push(path.to_owned());
        Fake.read(path, keys)
    }
    fn place(&self, _: &str, _: &str) -> String {
        String::new()
    }
}

#[test]
fn what_is_rotated_together_is_read_together() {
    let provider = Arc::new(Counting(Default::default()));
    let mut all = Placeholders::none();
    all.add("p", provider.clone());
    let config = [("user", "${p:f:u}"), ("url", "x${p:f:pw}y${p:g:z}")];
    let config: Flat = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    all.resolve(&config).expect("resolves");
    assert_eq!(*provider.0.lock().expect("no panic"), ["f", "g"]);
}

#[test]
fn i8_what_a_placeholder_stands_for_is_taken_out_of_errors() {
    let secret = format!("s3cret\n{}", "x".repeat(80));
    let mut secrets = Secrets::default();
    secrets.add(&secret);
    let start: String = secret.chars().take(60).collect();
    let error = Error::config("open", format!("port: expected an integer, got {start}.."))
        .with("value", &secret)
        .because(format!("invalid value: {secret:?}"));
    let hidden = secrets.hide(error);
    let shown = hidden.trace();
    assert!(
        !shown.contains("s3cret") && !shown.contains("xxxx"),
        "I8: {shown}"
    );
    assert_eq!(
        (hidden.kind(), hidden.op()),
        (longshore_sdk::ErrorKind::Config, "open")
    );
    assert!(
        shown.starts_with("config error at open: port: expected an integer, got [hidden]"),
        "{shown}"
    );
    assert!(
        shown.contains("caused by: invalid value: \"[hidden]\""),
        "{shown}"
    );
}

#[test]
fn i8_secrets_inside_of_values_are_known() {
    for (value, secret) in [
        ("postgres://u:hunter%402@h:5432/db", "hunter@2"),
        (
            "jdbc:postgresql://h/db?user=u&password=hunter2&ssl=true",
            "hunter2",
        ),
        (
            "org.x.PlainLoginModule required username=\"u\" password=\"hunter 2\";",
            "hunter 2",
        ),
        ("host=h password='hunter2' user=u", "hunter2"),
        ("{\"client_secret\": \"hunter2\"}", "hunter2"),
    ] {
        let mut secrets = Secrets::default();
        secrets.add_config(&config(value), |_| false);
        let said = secrets.hide_text(&format!("refused: {secret} for {value}"));
        assert!(!said.contains("hunter"), "I8: {said}");
        assert!(said.starts_with("refused: [hidden] for "), "{said}");
    }
    let url = "postgres://u:hunter2@h/hunter?password=hunter%33";
    assert_eq!(
        hide_inside(url),
        "postgres://u:[hidden]@h/hunter?password=[hidden]"
    );
    let mut secrets = Secrets::default();
    secrets.add_config(&config("http://h:8083/a:b@c?topic=orders"), |_| false);
    assert_eq!(
        secrets.hide_text("h 8083 orders a:b@c"),
        "h 8083 orders a:b@c"
    );
}

#[test]
fn i8_other_texts_of_the_process_are_scrubbed_of_long_secrets() {
    let mut secrets = Secrets::default();
    secrets.add("scrub-canary-1");
    secrets.add("scrub-canary-1-longer");
    secrets.add("true");
    assert_eq!(
        scrub("a scrub-canary-1 b"),
        "a scrub-canary-1 b",
        "nobody remembers it yet"
    );
    secrets.remember();
    assert_eq!(scrub("a scrub-canary-1-longer b true"), "a [hidden] b true");
    assert_eq!(scrub("a scrub-canary-1 b"), "a [hidden] b");
}

/// A root with a file, beside a file that is not for anybody.
fn root() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("db")).expect("a folder");
    let text = "# c\n user = app\npassword: x\\\n  y\nc\\:d=\\u00e9\\=\nuser=last\nempty=\n";
    fs::write(root.join("db/s.properties"), text).expect("written");
    fs::write(folder.path().join("out"), "user=outside-canary").expect("written");
    let root = root.to_str().expect("text").to_owned();
    (folder, root)
}

fn file(root: &str) -> Placeholders {
    with(
        "file",
        FileProvider::new(Roots::parse(root).expect("a root")),
    )
}

#[test]
fn files_are_read_beneath_their_roots() {
    let (_folder, root) = root();
    let all = file(&root);
    for (key, wanted) in [
        ("user", "last"),
        ("password", "xy"),
        ("c:d", "é="),
        ("empty", ""),
    ] {
        let text = format!("${{file:{root}/db/s.properties:{key}}}");
        assert_eq!(value(&all, &text).expect(key), wanted);
    }
    // Of several roots any will do, and a root may be a file.
    let one = Roots::parse(&format!("/nowhere, {root}/db/s.properties")).expect("roots");
    assert_eq!(one.absent(), [Path::new("/nowhere")]);
    let one = with("file", FileProvider::new(one));
    let text = format!("${{file:{root}/db/s.properties:user}}");
    assert_eq!(value(&one, &text).expect("read"), "last");
    let said = refused(&one, &format!("${{file:{root}/db/other:user}}"));
    assert!(said.contains("is not below allowed.paths"), "{said}");
    let said = refused(&all, &format!("${{file:{root}/db/none:user}}"));
    assert!(
        said.contains("db/none does not exist") && said.contains("config provider file: "),
        "{said}"
    );
}

#[test]
fn nothing_leaves_a_root() {
    let (folder, root) = root();
    let all = file(&root);
    let out = folder.path().join("out");
    symlink(&out, format!("{root}/absolute")).expect("a link");
    symlink("../out", format!("{root}/relative")).expect("a link");
    symlink("..", format!("{root}/up")).expect("a link");
    symlink("loop", format!("{root}/loop")).expect("a link");
    symlink("/proc/self/root", format!("{root}/magic")).expect("a link");
    let beside = format!("{root}-beside");
    fs::create_dir(&beside).expect("a folder");
    fs::write(format!("{beside}/f"), "user=outside-canary").expect("written");
    for path in [
        out.display().to_string(),
        format!("{root}/../out"),
        format!("{root}/db/../../out"),
        format!("{root}/absolute"),
        format!("{root}/relative"),
        format!("{root}/up/out"),
        format!("{root}/loop"),
        format!("{root}/magic/etc/passwd"),
        format!("{beside}/f"),
        "/etc/passwd".to_owned(),
        "../out".to_owned(),
        String::new(),
    ] {
        let said = refused(&all, &format!("${{file:{path}:user}}"));
        assert!(!said.contains("outside-canary"), "I8: {said}");
        let why = ["allowed.paths", "`..`", "is no path", "a link"];
        assert!(why.iter().any(|why| said.contains(why)), "{path}: {said}");
    }
}

#[test]
fn only_regular_files_of_a_reasonable_size_are_read() {
    let (_folder, root) = root();
    let all = file(&root);
    let pipe = std::process::Command::new("mkfifo")
        .arg(format!("{root}/pipe"))
        .status();
    assert!(pipe.expect("mkfifo runs").success());
    fs::write(format!("{root}/large"), "user=x\n".repeat(200_000)).expect("written");
    fs::write(format!("{root}/binary"), b"user=\xff").expect("written");
    fs::write(format!("{root}/bad"), "a=b\nuser=\\u00zz-canary").expect("written");
    for (name, why) in [
        ("pipe", "is not a regular file"),
        ("db", "is not a regular file"),
        ("large", "is larger than 1048576 bytes"),
        ("binary", "is not UTF-8 text"),
        ("bad", "line 2 of the file"),
    ] {
        let said = refused(&all, &format!("${{file:{root}/{name}:user}}"));
        assert!(said.contains(why) && !said.contains("canary"), "{said}");
    }
    let devices = file("/dev");
    let said = refused(&devices, "${file:/dev/zero:user}");
    assert!(said.contains("/dev/zero is not a regular file"), "{said}");
}

#[test]
fn directories_hold_a_value_in_each_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_str().expect("text").to_owned();
    // As Kubernetes mounts a secret, and renews it.
    for (version, password) in [("..2024_1", "old"), ("..2024_2", "new\n")] {
        fs::create_dir(folder.path().join(version)).expect("a folder");
        fs::write(folder.path().join(version).join("password"), password).expect("written");
    }
    let link = |from: &str, to: &str| symlink(from, folder.path().join(to)).expect("a link");
    link("..2024_1", "..data");
    link("..data/password", "password");
    let roots = Roots::parse(&root).expect("a root");
    let all = with("directory", DirectoryProvider::new(roots));
    let text = format!("${{directory:{root}:password}}");
    assert_eq!(value(&all, &text).expect("read"), "old");
    link("..2024_2", "..data_tmp");
    fs::rename(
        folder.path().join("..data_tmp"),
        folder.path().join("..data"),
    )
    .expect("renamed");
    assert_eq!(
        value(&all, &text).expect("read"),
        "new\n",
        "read anew each time"
    );
    let none = format!("${{directory:{root}:none}}");
    assert_eq!(value(&all, &none).expect("stays"), none);
    for key in ["../x", "a/b", "..", ""] {
        let said = refused(&all, &format!("${{directory:{root}:{key}}}"));
        assert!(said.contains("is not the name of a file"), "{said}");
    }
    let said = refused(&all, "${directory:password}");
    assert!(said.contains("names the folder and the file"), "{said}");
}

#[test]
fn variables_are_read_where_the_pattern_allows_it() {
    let all = with(
        "env",
        EnvironmentProvider::new("CARGO_.*|NOT_SET_.*").expect("a pattern"),
    );
    assert_eq!(
        value(&all, "${env:CARGO_MANIFEST_DIR}").expect("set"),
        // As it is now: whoever runs the tests without cargo may have set another one.
        std::env::var("CARGO_MANIFEST_DIR").expect("set for tests")
    );
    let unset = "${env:NOT_SET_AT_ALL}";
    assert_eq!(value(&all, unset).expect("stays"), unset);
    let said = refused(&all, "${env:PATH}");
    assert!(
        said.contains("PATH is not allowed by param.allowlist.pattern"),
        "{said}"
    );
    // The whole name must match.
    refused(&all, "${env:MY_CARGO_X}");
    let said = refused(&all, "${env:x:CARGO_PKG_NAME}");
    assert!(said.contains("has no path"), "{said}");
    assert!(EnvironmentProvider::new("a)|(b").is_err());
}

#[test]
fn roots_are_paths() {
    for (list, why) in [
        ("", "at least 1"),
        (" , ", "at least 1"),
        ("/a/../b", "`..`"),
    ] {
        let said = Roots::parse(list).expect_err(list);
        assert!(said.contains(why), "{said}");
    }
}
