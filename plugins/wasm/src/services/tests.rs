//! Lines, metrics, waits and dice of a plugin.

mod printed;

use super::{Caller, Provisions, Services, ServicesSettings, Stopping};
use crate::bindings::host::longshore::connector::{
    context,
    log::{Host as _, Level},
    metrics::Host as _,
};
use longshore_sdk::Secret;
use prometheus::{Registry, TextEncoder};
use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Every line of this thread, as `LEVEL target name=value ..`.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn all(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push_str(&format!(" {}={value}", field.name()));
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        (target == "plugin" || target.starts_with("longshore_wasm"))
            && *metadata.level() <= tracing::Level::INFO
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}", metadata.level(), metadata.target()));
        event.record(&mut line);
        self.0.lock().expect("not poisoned").push(line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn provisions() -> Arc<Provisions> {
    let scrub = Arc::new(|text: &str| text.replace("another's secret", "[hidden]"));
    let settings = ServicesSettings {
        scrub,
        ..ServicesSettings::default()
    };
    Provisions::new(settings).expect("settings")
}

fn task(provisions: &Arc<Provisions>, plugin: &str, task: u32) -> Services {
    let secret = ("api.key".to_owned(), Secret::new("hunter2-hunter2"));
    provisions.services(Caller {
        connector: "orders".into(),
        task: Some(task),
        secrets: [secret].into(),
        ..Caller::plugin(plugin)
    })
}

/// Lines that `work` leaves behind.
fn lines(work: impl AsyncFnOnce(&mut Services)) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let mut services = task(&provisions(), "probe", 3);
        runtime.block_on(work(&mut services));
        drop(services);
    });
    lines.all()
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_line_says_who_wrote_it_and_is_one_line() {
    let lines = lines(async |services| {
        let fields = vec![field("rows", "7"), field("page", "2\n")];
        let message = "read\nERROR forged \u{1b}[31m".to_owned();
        services
            .log(Level::Info, message, fields)
            .await
            .expect("no trap");
        services
            .log(Level::Debug, "quiet".to_owned(), Vec::new())
            .await
            .expect("no trap");
        assert!(services.enabled(Level::Warn).await.expect("no trap"));
        assert!(!services.enabled(Level::Debug).await.expect("no trap"));
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert!(line.starts_with("INFO plugin "), "{line}");
    for part in [
        "connector=orders",
        "task=3",
        "plugin=probe",
        "rows=7 page=2\\n",
        "read\\nERROR forged \\u{1b}[31m",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn i8_secrets_are_blotted_out_of_lines() {
    let lines = lines(async |services| {
        for text in [
            "the key is hunter2-hunter2!".to_owned(),
            "and another's secret".to_owned(),
            // The cut goes through the secret.
            format!("{}hunter2-hunter2 and more", "x".repeat(8 * 1024 - 7)),
            format!("{}hunter2-hunter2 and more", "\u{e9}".repeat(4 * 1024 - 3)),
        ] {
            let fields = vec![field("key", "hunter2-hunter2"), field("text", &text)];
            services
                .log(Level::Warn, text, fields)
                .await
                .expect("no trap");
        }
    });
    assert_eq!(lines.len(), 4);
    for line in lines {
        assert!(
            !line.contains("hunter2") && !line.contains("another's"),
            "{line}"
        );
        assert!(line.contains("[hidden]"), "{line}");
    }
}

#[test]
fn i8_a_key_of_several_lines_is_blotted_out_line_by_line_and_at_both_ends() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg==\nkqhkiG9w0BAQEFAA\n-----END KEY-----\n";
    let services = provisions().services(Caller {
        secrets: [("key".to_owned(), Secret::new(key))].into(),
        ..Caller::plugin("probe")
    });
    let journal = services.journal();
    for text in [
        "read kqhkiG9w0BAQEFAA".to_owned(),
        format!("{key:?}"),
        serde_json::json!({ "a": key }).to_string(),
    ] {
        let shown = journal.clean(&text);
        assert!(
            !shown.contains("MIIE") && !shown.contains("kqhk"),
            "{shown}"
        );
    }
    let end = journal
        .clean_end("9w0BAQEFAA\n-----END KEY-----\npanicked at main.rs\nfor MIIEvQIBADANBg==");
    assert!(!end.contains("BAQ") && !end.contains("MIIE"), "{end}");
    assert!(end.contains("panicked at main.rs\n"), "{end}");
    assert_eq!(journal.clean_end("nothing of it"), "nothing of it");
}

#[test]
fn long_lines_are_cut_and_a_flood_is_dammed() {
    let lines = lines(async |services| {
        let long = "y".repeat(1_000_000);
        let fields = vec![(long.clone(), long.clone()); 100];
        services
            .log(Level::Error, long, fields)
            .await
            .expect("no trap");
        for number in 0..20_000 {
            let text = format!("line {number}");
            services
                .log(Level::Info, text, Vec::new())
                .await
                .expect("no trap");
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        services
            .log(Level::Info, "after".to_owned(), Vec::new())
            .await
            .expect("no trap");
        let metrics = exposition(services.provisions());
        assert!(
            metrics.contains("longshore_wasm_dropped_total{plugin=\"probe\",what=\"log\"}"),
            "{metrics}"
        );
    });
    assert!(lines[0].len() < 20 * 1024, "{}", lines[0].len());
    // A thousand at once, and what a slow machine earns meanwhile.
    assert!((1_000..10_000).contains(&lines.len()), "{}", lines.len());
    let told = lines.iter().any(|line| line.contains("left_out="));
    assert!(told, "{:?}", lines.last());
    assert!(lines.last().expect("a line").contains("after"));
}

#[test]
fn denied_calls_are_logged_now_and_then() {
    let lines = lines(async |services| {
        for _ in 0..1_000 {
            let got = crate::bindings::host::longshore::connector::secrets::Host::get(
                services,
                "api.key".to_owned(),
            )
            .await;
            assert_eq!(got.expect("no trap"), None);
        }
        assert_eq!(
            services
                .provisions()
                .metrics()
                .denied_total("probe", "secrets"),
            1_000
        );
    });
    assert!((1..20).contains(&lines.len()), "{}", lines.len());
    assert!(
        lines[0].contains("grant=longshore.wasm.grants.probe.secrets=reveal"),
        "{}",
        lines[0]
    );
    assert!(lines[0].contains("connector=orders"), "{}", lines[0]);
}

fn exposition(provisions: &Provisions) -> String {
    let registry = Registry::new();
    let collector = provisions.metrics().clone();
    registry
        .register(Box::new(collector))
        .expect("it is the first");
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .expect("text")
}

#[tokio::test]
async fn metrics_of_plugins_are_shown_with_their_task() {
    let provisions = provisions();
    let mut first = task(&provisions, "probe", 0);
    let mut second = task(&provisions, "other", 1);
    for services in [&mut first, &mut second] {
        let labels = vec![field("kind", "a\"b\\c\n")];
        services
            .add("pages".to_owned(), labels.clone(), 2)
            .await
            .expect("no trap");
        services
            .add("pages".to_owned(), labels, 3)
            .await
            .expect("no trap");
        services
            .set("lag".to_owned(), Vec::new(), -1.5)
            .await
            .expect("no trap");
        for value in [0.2, 7.0, 1e9] {
            services
                .observe("latency".to_owned(), Vec::new(), value)
                .await
                .expect("no trap");
        }
    }
    let text = exposition(&provisions);
    for line in [
        "# TYPE longshore_plugin_pages counter",
        "longshore_plugin_pages{connector=\"orders\",task=\"0\",plugin=\"probe\",kind=\"a\\\"b\\\\c\\n\"} 5",
        "longshore_plugin_pages{connector=\"orders\",task=\"1\",plugin=\"other\",kind=\"a\\\"b\\\\c\\n\"} 5",
        "longshore_plugin_lag{connector=\"orders\",task=\"0\",plugin=\"probe\"} -1.5",
        "longshore_plugin_latency_bucket{connector=\"orders\",task=\"0\",plugin=\"probe\",le=\"0.25\"} 1",
        "longshore_plugin_latency_bucket{connector=\"orders\",task=\"0\",plugin=\"probe\",le=\"10\"} 2",
        "longshore_plugin_latency_bucket{connector=\"orders\",task=\"0\",plugin=\"probe\",le=\"+Inf\"} 3",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(text.matches("# TYPE longshore_plugin_pages").count(), 1);
    drop(first);
    let text = exposition(&provisions);
    assert!(
        !text.contains("task=\"0\""),
        "a task's series go with it: {text}"
    );
}

#[tokio::test]
async fn metrics_beyond_the_limits_are_dropped_and_counted() {
    let provisions = provisions();
    let mut services = task(&provisions, "probe", 0);
    services
        .add("a".to_owned(), Vec::new(), 1)
        .await
        .expect("no trap");
    services
        .observe("h".to_owned(), Vec::new(), 1.0)
        .await
        .expect("no trap");
    let wrong: Vec<(&str, Vec<(String, String)>)> = vec![
        ("", vec![]),
        ("1a", vec![]),
        ("a b", vec![]),
        ("a\n", vec![]),
        ("h_count", vec![]),
        ("b", vec![field("task", "9")]),
        ("b", vec![field("le", "9")]),
        ("b", vec![field("x-y", "9")]),
        ("b", vec![field("x", "1"), field("x", "2")]),
        ("b", vec![field("x", &"v".repeat(129))]),
        (
            "b",
            (0..9)
                .map(|number| field(&format!("l{number}"), "v"))
                .collect(),
        ),
    ];
    let mut dropped = wrong.len();
    for (name, labels) in wrong {
        services
            .add(name.to_owned(), labels, 1)
            .await
            .expect("no trap");
    }
    services
        .add("n".repeat(65), Vec::new(), 1)
        .await
        .expect("no trap");
    services
        .set("a".to_owned(), Vec::new(), 1.0)
        .await
        .expect("no trap");
    services
        .set("g".to_owned(), Vec::new(), f64::NAN)
        .await
        .expect("no trap");
    dropped += 3;
    // 2 are there.
    for number in 0..200 {
        let labels = vec![field("id", &number.to_string())];
        services
            .add("many".to_owned(), labels, 1)
            .await
            .expect("no trap");
    }
    dropped += 102;
    let text = exposition(&provisions);
    let line =
        format!("longshore_wasm_dropped_total{{plugin=\"probe\",what=\"metric\"}} {dropped}");
    assert!(text.contains(&line), "{line}\n{text}");
    assert_eq!(text.matches("longshore_plugin_many{").count(), 98);
    // Another task of the plugin has series of its own, up to the plugin's limit.
    let mut others: Vec<_> = (1..30)
        .map(|number| task(&provisions, "probe", number))
        .collect();
    for services in &mut others {
        for number in 0..100 {
            let labels = vec![field("id", &number.to_string())];
            services
                .add("many".to_owned(), labels, 1)
                .await
                .expect("no trap");
        }
    }
    let shown = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("longshore_plugin_many{"))
            .count()
    };
    assert_eq!(shown(&exposition(&provisions)), 1_998);
    drop(others);
    let mut last = task(&provisions, "probe", 99);
    last.add("many".to_owned(), Vec::new(), 1)
        .await
        .expect("no trap");
    assert_eq!(shown(&exposition(&provisions)), 99, "room is given back");
}

#[tokio::test]
async fn a_plugin_takes_no_name_away_from_another() {
    let provisions = provisions();
    let mut first = task(&provisions, "first", 0);
    let mut second = task(&provisions, "second", 0);
    let none = Vec::new;
    let pages = || "pages".to_owned();
    first.add(pages(), none(), 1).await.expect("no trap");
    first
        .observe("h".to_owned(), none(), 1.0)
        .await
        .expect("no trap");
    second.set(pages(), none(), 7.5).await.expect("no trap");
    second
        .add("h_count".to_owned(), none(), 3)
        .await
        .expect("no trap");
    let text = exposition(&provisions);
    for line in [
        "longshore_plugin_pages{connector=\"orders\",task=\"0\",plugin=\"first\"} 1",
        "# TYPE longshore_plugins_gauge_pages gauge",
        "longshore_plugins_gauge_pages{connector=\"orders\",task=\"0\",plugin=\"second\"} 7.5",
        "longshore_plugins_counter_h_count{connector=\"orders\",task=\"0\",plugin=\"second\"} 3",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("longshore_wasm_dropped_total{"), "{text}");
    // With its last series a name is free again.
    drop((first, second));
    let mut third = task(&provisions, "third", 0);
    third.set(pages(), none(), 2.5).await.expect("no trap");
    let text = exposition(&provisions);
    assert!(
        text.contains("# TYPE longshore_plugin_pages gauge"),
        "{text}"
    );
}

#[tokio::test]
async fn names_have_a_quota_for_each_plugin() {
    let provisions = provisions();
    let shown = |plugin: &str| {
        let label = format!("plugin=\"{plugin}\"}} 1");
        exposition(&provisions).matches(&label).count()
    };
    for round in 0..30 {
        let mut tasks: Vec<_> = (0..3)
            .map(|number| task(&provisions, "greedy", number))
            .collect();
        for (number, services) in tasks.iter_mut().enumerate() {
            for name in 0..100 {
                let name = format!("n{round}_{number}_{name}");
                services.add(name, Vec::new(), 1).await.expect("no trap");
            }
        }
        assert_eq!(shown("greedy"), 200, "those of former rounds are forgotten");
        let mut other = task(&provisions, "other", 0);
        other
            .add("mine".to_owned(), Vec::new(), 1)
            .await
            .expect("no trap");
        assert_eq!(shown("other"), 1);
    }
}

#[tokio::test]
async fn a_wait_ends_when_the_task_is_to_stop() {
    let provisions = provisions();
    let stopping = Stopping::default();
    let mut services = provisions.services(Caller {
        stopping: stopping.clone(),
        ..Caller::plugin("probe")
    });
    assert!(
        !context::Host::sleep_ms(&mut services, 5)
            .await
            .expect("no trap"),
        "it slept"
    );
    assert!(
        !context::Host::stopping(&mut services)
            .await
            .expect("no trap")
    );
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stopping.set();
    });
    assert!(
        context::Host::sleep_ms(&mut services, u32::MAX)
            .await
            .expect("no trap"),
        "it was woken"
    );
    assert!(
        context::Host::stopping(&mut services)
            .await
            .expect("no trap")
    );
    assert!(
        context::Host::sleep_ms(&mut services, u32::MAX)
            .await
            .expect("no trap"),
        "at once"
    );
}

#[tokio::test]
async fn who_the_task_is_clocks_and_dice() {
    let provisions = provisions();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let mut services = provisions.services(Caller {
        connector: "orders".into(),
        task: Some(4),
        group: Some("connect-orders".to_owned()),
        exactly_once: true,
        replan: Some(Arc::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })),
        ..Caller::plugin("probe")
    });
    let info = context::Host::task(&mut services).await.expect("no trap");
    assert_eq!(
        (info.connector.as_str(), info.task, info.exactly_once),
        ("orders", 4, true)
    );
    assert_eq!(info.group.as_deref(), Some("connect-orders"));
    context::Host::request_replan(&mut services)
        .await
        .expect("no trap");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let first = context::Host::monotonic_ns(&mut services)
        .await
        .expect("no trap");
    let second = context::Host::monotonic_ns(&mut services)
        .await
        .expect("no trap");
    assert!(first <= second);
    // 2020 has begun.
    assert!(context::Host::now_ms(&mut services).await.expect("no trap") > 1_577_836_800_000);
    let one = context::Host::random(&mut services, 65_536)
        .await
        .expect("no trap");
    let two = context::Host::random(&mut services, 65_536)
        .await
        .expect("no trap");
    assert_eq!(one.len(), 65_536);
    assert_ne!(one, two);
    context::Host::random(&mut services, 65_537)
        .await
        .expect_err("too many");
}
