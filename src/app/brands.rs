//! The tenants' faces on the recipients' pages, read once, when the office
//! starts: a logo that is missing or is no picture stops it there.

use std::collections::BTreeMap;

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
        let logo = match &tenant.logo {
            None => None,
            Some(path) => {
                let shown = path.display();
                let bytes = std::fs::read(path)
                    .with_context(|| format!("reading {shown} (`tenants.{id}.logo`)"))?;
                let logo = Logo::read(bytes).with_context(|| {
                    format!(
                        "{shown} is not a PNG or passive SVG of at most 64 KiB \
                         (`tenants.{id}.logo`)"
                    )
                })?;
                Some(logo)
            }
        };
        if colour.is_some() || logo.is_some() {
            brands.insert(id.clone(), Brand { colour, logo });
        }
    }
    Ok(brands)
}
