//! Where the services of `tests/with-services` are.
#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "each test uses its own part")]

pub(crate) mod postgres;
pub(crate) mod rabbitmq;

/// A variable of `tests/with-services`.
#[expect(clippy::disallowed_methods, reason = "tests are told where the services are")]
pub(crate) fn told(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run through tests/with-services"))
}

/// The Python that has the packages of the interoperability checks.
pub(crate) fn python() -> String {
    told("KAKITOME_TEST_PYTHON")
}
