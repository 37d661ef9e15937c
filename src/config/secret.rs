//! Where a secret comes from: a file, or a systemd credential. Never the
//! configuration itself, never the environment.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// The name of a secret: a path, or `credential:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct SecretSource(String);

/// A secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("{} is readable by others: chmod 0400 it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to somebody else.
    #[error("{} belongs to another user: chown it to the office's user", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A credential is named, but systemd has given us none.
    #[error("no credentials directory: start with LoadCredential= or name a file")]
    NoCredentials,
    /// The secret is empty or not text.
    #[error("{} is empty or not text", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl SecretSource {
    /// Names a file.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self(path.into().display().to_string())
    }

    /// Reads the name of a secret as it stands in the configuration: an
    /// absolute path, or `credential:NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        let source = Self(text.to_owned());
        source.is_well_formed().then_some(source)
    }

    /// The file that holds the secret.
    pub fn locate(&self) -> Result<PathBuf, SecretError> {
        match self.0.strip_prefix("credential:") {
            None => Ok(PathBuf::from(&self.0)),
            Some(name) => {
                #[expect(clippy::disallowed_methods, reason = "systemd names the folder so")]
                let dir = std::env::var("CREDENTIALS_DIRECTORY")
                    .map_err(|_| SecretError::NoCredentials)?;
                Ok(Path::new(&dir).join(name))
            }
        }
    }

    /// Whether the text can name a secret at all.
    pub(super) fn is_well_formed(&self) -> bool {
        match self.0.strip_prefix("credential:") {
            None => Path::new(&self.0).is_absolute(),
            Some(name) => {
                !name.is_empty()
                    && !name.starts_with('.')
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            }
        }
    }

    /// The permissions that the file must not give: any to others, and any to
    /// its group, but for a credential. The folder of those is ours alone, and
    /// systemd makes its files 0440.
    pub fn forbidden_bits(&self) -> u32 {
        if self.0.starts_with("credential:") { 0o037 } else { 0o077 }
    }

    /// Checks the file's owner and permissions.
    pub fn check(&self) -> Result<PathBuf, SecretError> {
        let path = self.locate()?;
        let meta = match std::fs::metadata(&path) {
            Ok(meta) => meta,
            Err(source) => return Err(SecretError::Unreadable { path, source }),
        };
        if meta.mode() & self.forbidden_bits() != 0 {
            return Err(SecretError::Open { path });
        }
        let us = rustix::process::geteuid().as_raw();
        if meta.uid() != us && meta.uid() != 0 {
            return Err(SecretError::Foreign { path });
        }
        Ok(path)
    }

    /// Reads the secret, after the checks of [`Self::check`]; white space
    /// around it does not count.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        let path = self.check()?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => zeroize::Zeroizing::new(text),
            Err(source) => return Err(SecretError::Unreadable { path, source }),
        };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(SecretError::Empty { path });
        }
        Ok(SecretString::from(trimmed.to_owned()))
    }
}
