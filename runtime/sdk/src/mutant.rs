//! Bugs planted on purpose, so that the suites can prove that they would see them. They exist only with the cargo feature `mutants`.

/// Whether the bug `$name` is planted: `LONGSHORE_MUTANT=$name`. Without the feature it is `false`, and the compiler takes the branch out.
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutant::planted($name)
    };
}

/// Whether the bug `name` is planted: never, in this build.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn planted(_: &str) -> bool {
    false
}

/// Whether the bug `name` is planted.
#[cfg(feature = "mutants")]
pub fn planted(name: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("LONGSHORE_MUTANT").ok())
        .as_deref()
        == Some(name)
}
