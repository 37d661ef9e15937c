//! The tenants' faces on the recipients' pages, read once, when the office
//! starts: a logo that is missing or is no picture stops it there.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;

use crate::{
    config::Config,
    domain::ids::TenantId,
    gateway::{Brand, Colour, Logo},
};

/// Every tenant's colour and logo; those without either are left out.
pub(super) fn load(config: &Config) -> anyhow::Result<BTreeMap<TenantId, Brand>> {
    let mut brands = BTreeMap::new();
    for (id, tenant) in &config.tenants {
        let colour = tenant.colour.as_deref().and_then(Colour::parse);
        let logo = tenant.logo.as_deref().map(logo).transpose();
        let logo = logo.with_context(|| format!("`tenants.{id}.logo`"))?;
        if colour.is_some() || logo.is_some() {
            brands.insert(id.clone(), Brand { colour, logo });
        }
    }
    Ok(brands)
}

/// Reads and looks at a logo.
pub(super) fn logo(path: &Path) -> anyhow::Result<Logo> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("reading {shown}"))?;
    Logo::read(bytes)
        .with_context(|| format!("{shown} is not a PNG or passive SVG of at most 64 KiB"))
}
