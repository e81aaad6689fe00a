use super::*;

const LANGUAGES: [Language; 3] = [Language::Rust, Language::Python, Language::Js];
const KINDS: [PluginKind; 3] = [PluginKind::Source, PluginKind::Sink, PluginKind::Transform];

#[test]
fn every_project_is_written_whole_and_no_place_stays_unfilled() {
    for language in LANGUAGES {
        for kind in KINDS {
            let parent = tempfile::tempdir().expect("a folder");
            let folder = new(language, kind, "my-plugin", parent.path()).expect("a project");
            for file in files::of(language, kind) {
                let text = fs::read_to_string(folder.join(file.path)).expect(file.path);
                for place in ["name", "crate", "kind", "class", "language", "file"] {
                    let open = file.filled && text.contains(&format!("{{{place}}}"));
                    assert!(!open, "{language:?} {kind:?} {}: {place}", file.path);
                }
            }
            let again = new(language, kind, "my-plugin", parent.path()).expect_err("it exists");
            assert!(again.to_string().contains("exists"), "{again:#}");
        }
    }
}

/// A file that is missing here would be missing in every user's project.
#[test]
fn the_projects_carry_every_file_of_their_sdk() {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/guest");
    let sdks = [
        ("", "src", files::RUST_SDK, "longshore-guest/"),
        ("", "src/json", files::RUST_SDK, "longshore-guest/"),
        ("", "wit", files::RUST_SDK, "longshore-guest/"),
        ("python/", "", files::PYTHON_SDK, ""),
        ("python/", "longshore", files::PYTHON_SDK, ""),
        ("js/", "", files::JS_SDK, ""),
        ("js/", "longshore", files::JS_SDK, ""),
    ];
    for (base, below, carried, prefix) in sdks {
        for entry in fs::read_dir(guest.join(base).join(below)).expect("the SDK's folder") {
            let entry = entry.expect("an entry");
            // The SDK's own tests stay here.
            if entry.file_type().expect("a type").is_dir() {
                continue;
            }
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let joint = if below.is_empty() { "" } else { "/" };
            let path = format!("{prefix}{below}{joint}{name}");
            assert!(
                carried.iter().any(|file| file.path == path),
                "{path} is not carried: add it in plugin_new/files.rs"
            );
        }
    }
}

#[test]
fn bad_names_are_refused_before_anything_is_written() {
    let parent = tempfile::tempdir().expect("a folder");
    let long = "a".repeat(NAME_MAX + 1);
    for name in [
        "", "Upper", "1st", "a_b", "../x", "a/b", "a--b", "a-", "-a", "ä", "test", "serde", &long,
    ] {
        let error = new(Language::Rust, PluginKind::Sink, name, parent.path()).expect_err(name);
        assert!(error.to_string().contains(name), "{error:#}");
    }
    assert_eq!(fs::read_dir(parent.path()).expect("a folder").count(), 0);
}

#[cfg(unix)]
#[test]
fn the_build_script_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("a folder");
    let folder = new(Language::Rust, PluginKind::Source, "x", parent.path()).expect("a project");
    let mode = fs::metadata(folder.join("build.sh"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o100, 0o100);
}
