//! Bugs planted on purpose, so that the suites can prove that they would see them. They exist only with the cargo feature `mutants`.

/// Whether the bug `$name` is planted: `LONGSHORE_MUTANT=$name`. Without the feature it is `false`, and the compiler takes the branch out.
macro_rules! mutant {
    ($name:literal) => {{
        #[cfg(feature = "mutants")]
        let planted = $crate::mutant::planted($name);
        #[cfg(not(feature = "mutants"))]
        let planted = false;
        planted
    }};
}
pub(crate) use mutant;

#[cfg(feature = "mutants")]
pub(crate) fn planted(name: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("LONGSHORE_MUTANT").ok())
        .as_deref()
        == Some(name)
}
