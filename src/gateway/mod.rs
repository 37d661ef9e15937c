//! x
mod pages; mod range; mod session; mod visitor; mod when; mod words;
/// x
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A file built into the program is damaged.
    #[error("the {0} built into the program cannot be read")]
    BuiltIn(&'static str),
}
pub use visitor::TrustedProxies;
