//! What a new project is made of. It builds from this alone, and from what its language's registry has.

use super::{Language, PluginKind};

/// One file of a project.
#[derive(Clone, Copy)]
pub(super) struct File {
    /// Below the project's folder.
    pub(super) path: &'static str,
    pub(super) text: &'static str,
    /// It has places for the project's own words.
    pub(super) filled: bool,
}

macro_rules! guest {
    ($path:literal) => {
        include_str!(concat!("../../../../../plugins/guest/", $path))
    };
}

/// Files of an SDK, carried along as they are: from a folder of plugins/guest into one of the project.
macro_rules! carried {
    ($from:literal => $to:literal, $($path:literal),* $(,)?) => {
        &[$(File {
            path: concat!($to, $path),
            text: include_str!(concat!("../../../../../plugins/guest/", $from, $path)),
            filled: false,
        }),*]
    };
}

const fn filled(path: &'static str, text: &'static str) -> File {
    File {
        path,
        text,
        filled: true,
    }
}

const fn plain(path: &'static str, text: &'static str) -> File {
    File {
        path,
        text,
        filled: false,
    }
}

/// The Rust SDK: every file of its crate.
pub(super) const RUST_SDK: &[File] = carried![
    "" => "longshore-guest/",
    "Cargo.toml",
    "build.rs",
    "build.sh",
    "src/batch.rs",
    "src/column.rs",
    "src/config.rs",
    "src/connection.rs",
    "src/context.rs",
    "src/dictionary.rs",
    "src/edit.rs",
    "src/error.rs",
    "src/export.rs",
    "src/http.rs",
    "src/info.rs",
    "src/json.rs",
    "src/json/scan.rs",
    "src/json/search.rs",
    "src/json/tests.rs",
    "src/json/unescape.rs",
    "src/lane.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/metrics.rs",
    "src/records.rs",
    "src/secret.rs",
    "src/sink.rs",
    "src/source.rs",
    "src/state.rs",
    "src/testing.rs",
    "src/transform.rs",
    "wit/connector.wit",
];

const RUST: &[File] = &[
    filled("Cargo.toml", guest!("templates/rust/Cargo.toml.in")),
    // Versions that are known to work; cargo takes out what the project does not use.
    plain(
        "Cargo.lock",
        include_str!("../../../../../plugins/examples/Cargo.lock"),
    ),
    filled("build.sh", guest!("templates/rust/build.sh")),
    plain(".gitignore", "/target\n*.wasm\n"),
];

/// The ABI, for the languages whose tools read it themselves.
const WIT: File = plain("wit/connector.wit", guest!("wit/connector.wit"));

const README: File = filled("README.md", guest!("templates/README.md.in"));

const PYTHON: &[File] = &[
    filled("build.sh", guest!("templates/python/build.sh")),
    plain(".gitignore", "/.venv\n__pycache__/\n*.wasm\n"),
    WIT,
];

/// The Python SDK: every file of its package, and what stands in for the host in unit tests.
pub(super) const PYTHON_SDK: &[File] = carried![
    "python/" => "",
    "longshore/__init__.py",
    "longshore/connection.py",
    "longshore/context.py",
    "longshore/http.py",
    "longshore/log.py",
    "longshore/metrics.py",
    "longshore/sink.py",
    "longshore/source.py",
    "longshore/state.py",
    "longshore/transform.py",
    "longshore_testing.py",
];

const JS: &[File] = &[
    filled("build.sh", guest!("templates/js/build.sh")),
    filled("build.mjs", guest!("templates/js/build.mjs")),
    filled("package.json", guest!("templates/js/package.json")),
    plain(".gitignore", "/node_modules\n*.wasm\n"),
    WIT,
];

/// The JavaScript SDK: every file of it.
pub(super) const JS_SDK: &[File] = carried![
    "js/" => "",
    "longshore.js",
    "longshore/config.js",
    "longshore/connection.js",
    "longshore/context.js",
    "longshore/failure.js",
    "longshore/http.js",
    "longshore/log.js",
    "longshore/metrics.js",
    "longshore/records.js",
    "longshore/sink.js",
    "longshore/source.js",
    "longshore/state.js",
    "longshore/testing.js",
    "longshore/transform.js",
];

fn own(language: Language, kind: PluginKind) -> File {
    use PluginKind::{Sink, Source, Transform};
    match (language, kind) {
        (Language::Rust, Source) => filled("src/lib.rs", guest!("templates/rust/source.rs")),
        (Language::Rust, Sink) => filled("src/lib.rs", guest!("templates/rust/sink.rs")),
        (Language::Rust, Transform) => filled("src/lib.rs", guest!("templates/rust/transform.rs")),
        (Language::Python, Source) => filled("app.py", guest!("templates/python/source.py")),
        (Language::Python, Sink) => filled("app.py", guest!("templates/python/sink.py")),
        (Language::Python, Transform) => filled("app.py", guest!("templates/python/transform.py")),
        (Language::Js, Source) => filled("app.js", guest!("templates/js/source.js")),
        (Language::Js, Sink) => filled("app.js", guest!("templates/js/sink.js")),
        (Language::Js, Transform) => filled("app.js", guest!("templates/js/transform.js")),
    }
}

/// Its unit tests; in Rust they stand beside the code.
fn tests(language: Language, kind: PluginKind) -> Option<File> {
    use PluginKind::{Sink, Source, Transform};
    let python = |text| Some(plain("test_app.py", text));
    let js = |text| Some(plain("app.test.mjs", text));
    match (language, kind) {
        (Language::Rust, _) => None,
        (Language::Python, Source) => python(guest!("templates/python/test_source.py")),
        (Language::Python, Sink) => python(guest!("templates/python/test_sink.py")),
        (Language::Python, Transform) => python(guest!("templates/python/test_transform.py")),
        (Language::Js, Source) => js(guest!("templates/js/source.test.mjs")),
        (Language::Js, Sink) => js(guest!("templates/js/sink.test.mjs")),
        (Language::Js, Transform) => js(guest!("templates/js/transform.test.mjs")),
    }
}

/// The files of a project.
pub(super) fn of(language: Language, kind: PluginKind) -> Vec<File> {
    let (shared, sdk) = match language {
        Language::Rust => (RUST, RUST_SDK),
        Language::Python => (PYTHON, PYTHON_SDK),
        Language::Js => (JS, JS_SDK),
    };
    let mut files = vec![README, own(language, kind)];
    files.extend(tests(language, kind));
    files.extend(shared.iter().chain(sdk).copied());
    files
}
