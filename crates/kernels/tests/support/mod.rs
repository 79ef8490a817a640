//! What the tests of this folder share.

/// How many random cases a test tries: `all`, or a share of them where each takes long, as under valgrind
/// (`cargo xtask test memcheck`).
pub(crate) fn cases(all: usize) -> usize {
    let divisor = std::env::var("IMBED_KERNEL_CASES_DIVISOR").ok().and_then(|text| text.parse().ok());
    (all / divisor.unwrap_or(1).max(1)).max(1)
}
