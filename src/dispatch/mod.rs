//! A link goes out by mail, or a print job to a partner.

pub mod email;
pub mod postal;
