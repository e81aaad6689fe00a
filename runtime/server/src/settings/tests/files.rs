use super::{connector, flat, problems, texts, yaml};
use crate::settings::{Settings, file::Syntax, place::Place};
use std::{fs, sync::Arc};

#[test]
fn nested_maps_are_dotted_keys_and_lists_are_comma_lists() {
    let settings = yaml(
        "worker:
  bootstrap.servers: [a:1, b:2]
  offset:
    flush.interval.ms: 10
connectors:
  one:
    connector.class: file-sink
    topics: [orders, users]
    transforms:
      mask: { type: MaskField, fields: [email, phone] }
      route.type: RegexRouter
      route.regex: (.*)
    predicates: {}
  two: {name: two, transforms: 'b,a', transforms.a.type: X, topics: []}
",
    );
    let worker = settings.worker.expect("a worker section");
    assert_eq!(worker.syntax, Syntax::Yaml);
    assert_eq!(
        flat(&worker),
        ["bootstrap.servers=a:1,b:2", "offset.flush.interval.ms=10"]
    );
    assert_eq!(
        flat(&settings.connectors["one"]),
        [
            "connector.class=file-sink",
            "name=one",
            "predicates=",
            "topics=orders,users",
            "transforms=mask,route",
            "transforms.mask.fields=email,phone",
            "transforms.mask.type=MaskField",
            "transforms.route.regex=(.*)",
            "transforms.route.type=RegexRouter",
        ]
    );
    assert_eq!(
        flat(&settings.connectors["two"]),
        [
            "name=two",
            "topics=",
            "transforms=b,a",
            "transforms.a.type=X"
        ]
    );
    let names: Vec<&String> = settings.connectors.keys().collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn the_order_of_transforms_is_that_of_the_map() {
    let section = connector(
        "connectors:\n  c:\n    transforms: {z: {type: A}, a: {type: B}, m: {type: C}}\n",
    );
    assert_eq!(section.config["transforms"], "z,a,m");
}

#[test]
fn scalars_keep_their_source_text() {
    for (written, text) in [
        ("1.50", "1.50"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("True", "True"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("2026-11-22", "2026-11-22"),
        ("'null'", "null"),
        ("\"a\\tb\"", "a\tb"),
        ("'it''s'", "it's"),
        ("a b  # comment", "a b"),
        ("${env:HOME}", "${env:HOME}"),
        ("!!str 5", "5"),
        ("&anchor 7", "7"),
        ("|\n      select 1\n      from t", "select 1\nfrom t\n"),
        (">-\n      one\n      line", "one line"),
    ] {
        let section = connector(&format!("connectors:\n  c:\n    k: {written}\n"));
        assert_eq!(section.config["k"], text, "{written}");
    }
}

#[test]
fn null_is_no_key() {
    for written in ["", "null", "~", "Null"] {
        let section = connector(&format!("connectors:\n  c:\n    a: 1\n    k: {written}\n"));
        assert_eq!(flat(&section), ["a=1", "name=c"], "{written}");
    }
    let empty = yaml("connectors:\n");
    assert!(empty.connectors.is_empty() && empty.worker.is_none());
}

#[test]
fn aliases_and_merges_are_written_out() {
    let settings = yaml(
        "connectors:
  a: &base
    tasks.max: 1
    topics: &t [x, y]
  b:
    <<: *base
    tasks.max: 2
    more: *t
  c:
    <<: [{tasks.max: 3, extra: 1}, *base]
    extra: null
",
    );
    assert_eq!(
        flat(&settings.connectors["b"]),
        ["more=x,y", "name=b", "tasks.max=2", "topics=x,y"]
    );
    assert_eq!(
        flat(&settings.connectors["c"]),
        ["name=c", "tasks.max=3", "topics=x,y"],
        "a null takes a merged key out"
    );
}

#[test]
fn every_problem_has_its_line_and_column() {
    for (text, expected) in [
        (
            "connectors:\n  a: [1\n",
            "f.yaml:2:6: this is not YAML: unclosed bracket '['",
        ),
        (
            "connectors:\n  a: {x: 1}\n  a: {x: 2}\n",
            "f.yaml:3:3: the key a is given twice, first at line 2",
        ),
        (
            "worker:\n  group.id: a\n  group: {id: b}\n",
            "f.yaml:3:11: the key group.id is given twice, first at line 2",
        ),
        (
            "workers:\n  group.id: a\n",
            "f.yaml:1:1: unknown section workers (did you mean worker?)",
        ),
        (
            "name: x\n",
            "f.yaml:1:1: unknown section name (a file has worker: and connectors:)",
        ),
        (
            "- a\n",
            "f.yaml:1:1: expected a map in the file, got a list",
        ),
        (
            "connectors: all\n",
            "f.yaml:1:13: expected a map in connectors, got text",
        ),
        (
            "connectors:\n  c: 5\n",
            "f.yaml:2:6: expected a map in c, got text",
        ),
        (
            "connectors:\n  c:\n    topics: [a, 'b,c']\n",
            "f.yaml:3:17: an item of a list cannot hold a comma: commas part the items",
        ),
        (
            "connectors:\n  c:\n    topics:\n      - a\n      -\n",
            "f.yaml:5:8: an empty item in a list",
        ),
        (
            "connectors:\n  c:\n    topics: [[a]]\n",
            "f.yaml:3:14: an item of a list must be text",
        ),
        (
            "connectors:\n  c:\n    name: d\n",
            "f.yaml:3:5: the connector is called c above, d here",
        ),
        (
            "connectors:\n  c:\n    ? [a]\n    : 1\n",
            "f.yaml:3:7: a key must be text, not a map or a list",
        ),
        (
            "connectors:\n  c:\n    ~: 1\n",
            "f.yaml:3:5: a key must be text",
        ),
        (
            "worker: {}\n---\nworker: {}\n",
            "f.yaml:2:1: a second document: one file holds one",
        ),
        (
            "worker: &w {a: *w}\n",
            "f.yaml:1:16: this alias stands inside its own anchor",
        ),
        (
            "worker: {<<: 5}\n",
            "f.yaml:1:14: << takes a map or a list of maps",
        ),
        (
            "worker: {a: !secret x}\n",
            "f.yaml:1:21: the tag !secret has no meaning here",
        ),
        ("worker: {a: *b}\n", "f.yaml:1:13: this is not YAML: "),
        ("worker:\n\ta: 1\n", "f.yaml:2:2: this is not YAML: tabs"),
        (
            "",
            "f.yaml: the file is empty: expected worker: or connectors:",
        ),
        (
            "# nothing\n",
            "f.yaml: the file is empty: expected worker: or connectors:",
        ),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(expected),
            "{text:?}\nexpected {expected}\nfound    {}",
            found[0]
        );
    }
}

#[test]
fn all_problems_of_a_file_are_reported() {
    let found =
        problems("extra: 1\nworker: [a]\nconnectors:\n  c: {topics: [[a]]}\n  d: {name: e}\n");
    assert_eq!(
        found,
        [
            "f.yaml:1:1: unknown section extra (a file has worker: and connectors:)",
            "f.yaml:2:9: expected a map in worker, got a list",
            "f.yaml:4:16: an item of a list must be text",
            "f.yaml:5:7: the connector is called d above, e here",
        ]
    );
}

#[test]
fn i6_a_file_cannot_grow_without_end() {
    let mut bomb = "worker:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}", level - 1);
        bomb += &format!(
            "  a{level}: &a{level} [{}]\n",
            [below.as_str(); 10].join(",")
        );
    }
    let found = problems(&bomb);
    assert!(
        found[0].starts_with("f.yaml:5:") && found[0].contains("too large"),
        "{found:?}"
    );

    let long = format!(
        "worker:\n  a: &a {}\n  b: [{}]\n",
        "x".repeat(100_000),
        ["*a"; 60].join(",")
    );
    let found = problems(&long);
    assert!(
        found[0].starts_with("f.yaml:3:") && found[0].contains("too large"),
        "{found:?}"
    );

    let deep = format!("worker: {}", "{a: ".repeat(1000));
    let found = problems(&deep);
    assert!(found[0].starts_with("f.yaml:1:"), "{found:?}");

    let key = "k".repeat(300);
    let found = problems(&format!("worker: {{{key}: {{{key}: 1}}}}"));
    assert!(found[0].contains("the key is too long"), "{found:?}");
}

#[test]
fn places_fall_back_to_what_is_around() {
    let section = connector(
        "connectors:\n  c:\n    topics: [a]\n    transforms:\n      mask:\n        type: M\n",
    );
    let file = Arc::from("f.yaml");
    for (key, line, column) in [
        ("topics", 3, 5),
        ("transforms.mask.type", 6, 9),
        ("transforms.mask.fields", 5, 7),
        ("transforms.other.type", 4, 5),
        ("connector.class", 2, 3),
    ] {
        assert_eq!(
            *section.place_of(key),
            Place::at(&file, line, column),
            "{key}"
        );
    }
}

#[test]
fn properties_are_read_as_java_reads_them() {
    let text = "# comment\r\n! comment\n\n  group.id = a b \\\n    c\nempty\nempty2=\ncolon:1\nblank 2\nurl=http\\://x:1/y=z\n\
        key\\ with\\=signs=v\ntab=\\tx\\u00e9\\uD83D\\uDE00\\q\nlist=a,\\\n  # b\nslash=c:\\\\\nlast=x\\";
    let settings = Settings::from_properties("w.properties", text.as_bytes()).expect("good");
    let worker = settings.worker.expect("a worker section");
    assert_eq!(worker.syntax, Syntax::Properties);
    assert_eq!(
        flat(&worker),
        [
            "blank=2",
            "colon=1",
            "empty=",
            "empty2=",
            "group.id=a b c",
            "key with=signs=v",
            "last=x",
            "list=a,# b",
            "slash=c:\\",
            "tab=\txé😀q",
            "url=http://x:1/y=z",
        ]
    );
    assert_eq!(worker.place_of("group.id").to_string(), "w.properties:4:3");
    assert_eq!(worker.place_of("last").to_string(), "w.properties:16:1");
}

#[test]
fn of_a_property_given_twice_the_last_value_holds() {
    let settings = Settings::from_properties("w.properties", b"a=1\nb=2\na=3\n").expect("good");
    assert_eq!(settings.worker.expect("there").config["a"], "3");
    assert_eq!(
        texts(settings.notes),
        ["w.properties:3:1: the key a was given at line 1 already: this value holds"]
    );
}

#[test]
fn properties_in_latin_1_are_read_too() {
    let settings = Settings::from_properties("w.properties", b"a=caf\xe9\n").expect("good");
    assert_eq!(settings.worker.expect("there").config["a"], "café");
}

#[test]
fn a_broken_escape_has_its_place() {
    for text in ["a=1\nb=x\\u00g1\n", "a=1\nb=\\uD83Dx\n", "a=1\nb=\\u12"] {
        let found =
            texts(Settings::from_properties("w.properties", text.as_bytes()).expect_err(text));
        assert!(found[0].starts_with("w.properties:2:1: \\u"), "{found:?}");
    }
}

#[test]
fn files_are_laid_together() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let a = write(
        "a.yaml",
        b"worker: {group.id: g}\nconnectors: {one: {x: 1}}\n",
    );
    let b = write("b.yaml", b"connectors:\n  two: {x: 1}\n");
    let c = write("c.yaml", b"worker: {}\nconnectors:\n  two: {x: 2}\n");
    let p = write("p.properties", b"group.id=p\n");
    let both = Settings::read(&[&a, &b]).expect("good");
    assert_eq!(both.connectors.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(both.worker.expect("of a").config["group.id"], "g");
    let found = texts(Settings::read(&[&a, &b, &c, &p]).expect_err("two of each"));
    let (a, b, c, p) = (a.display(), b.display(), c.display(), p.display());
    assert_eq!(
        found,
        [
            format!("{c}:1:1: a second worker section: the first is at {a}:1:1"),
            format!("{c}:3:3: the connector two is at {b}:2:3 already"),
            format!("{p}: a second worker section: the first is at {a}:1:1"),
        ]
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let missing = dir.path().join("missing.yaml");
    let large = dir.path().join("large.yaml");
    fs::write(&large, "#".repeat(1024 * 1024 + 1)).expect("written");
    let binary = dir.path().join("binary.yaml");
    fs::write(&binary, b"worker:\n  a: \xff\n").expect("written");
    let found = texts(Settings::read(&[&missing, &large, &binary]).expect_err("none"));
    assert!(
        found[0].starts_with(&format!("{}: the file cannot be read: ", missing.display())),
        "{found:?}"
    );
    assert_eq!(
        found[1],
        format!(
            "{}: the file is too large: at most 1048576 bytes",
            large.display()
        )
    );
    assert_eq!(
        found[2],
        format!("{}:2:6: this is not UTF-8 text", binary.display())
    );
}

#[test]
fn i6_copies_of_copies_do_not_exhaust_the_stack() {
    let (open, close) = ("[".repeat(28), "]".repeat(28));
    let mut text = format!("worker:\n  a0: &a0 {open}x{close}\n");
    for level in 1..2000 {
        text += &format!("  a{level}: &a{level} {open}*a{}{close}\n", level - 1);
    }
    let found = problems(&text);
    assert!(found[0].contains("too large"), "{found:?}");
}

/// Every cut of a text, and the text with each of some marks put in at every place.
fn mangled(text: &str) -> impl Iterator<Item = String> {
    const MARKS: [&str; 14] = [
        "\t", "\n", ":", "- ", "[", "}", "&a ", "*a", "<<: ", "'", "\"", "|", "\0", "\\u",
    ];
    let cuts = (0..text.len()).map(|at| text[..at].to_owned());
    let places = (0..text.len()).flat_map(|at| MARKS.map(|mark| (at, mark)));
    cuts.chain(places.map(|(at, mark)| format!("{}{mark}{}", &text[..at], &text[at..])))
}

#[test]
fn no_mangled_file_makes_it_panic() {
    let good = "worker: &w {a: 1}\nconnectors:\n  c:\n    <<: *w\n    topics: [a, 'b']\n    transforms: {m: {type: M}}\n    t: |\n      x\n";
    yaml(good);
    let mut broken = 0;
    for text in mangled(good) {
        let read = Settings::from_yaml("f.yaml", &text);
        broken += usize::from(read.is_err());
        let _ = Settings::from_properties("f.properties", text.as_bytes());
    }
    assert!(broken > 100, "{broken} texts were refused");
}
