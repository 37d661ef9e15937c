//! The worker of a measurement: the real office, with the real renderer or one
//! that returns 65 KB of fixed bytes.

use std::{path::Path, sync::Arc};

use kakitome::{
    app::{
        build::{self, Parts},
        catcher::{Catcher, CatcherSettings},
        office::Press,
        run,
    },
    clock::WallClock,
    config::{Config, Role},
    domain::pdf::PdfFacts,
    entropy::Entropy,
    render::{AddressPage, Order, RenderError, Rendered},
};

/// What the prototypes were measured with.
const FIXED_BYTES: usize = 65_000;

struct Fixed(Vec<u8>);

impl Fixed {
    fn rendered(&self) -> Rendered {
        Rendered {
            pdf: self.0.clone().into(),
            pages: 1,
            template: "fixed@0000000000000000".into(),
            renderer: "fixed".into(),
        }
    }
}

impl Press for Fixed {
    fn render(&self, _: &Order<'_>) -> Result<Rendered, RenderError> {
        Ok(self.rendered())
    }

    fn adopt(
        &self,
        _: kakitome::domain::plain::Plain,
        _: PdfFacts,
        _: Option<&AddressPage>,
    ) -> Result<Rendered, RenderError> {
        Ok(self.rendered())
    }

    fn has_template(&self, _: &str) -> bool {
        true
    }
}

/// Runs an office until it is killed.
pub(crate) async fn run(config: &str, press: &str) {
    let config = Config::load(Path::new(config)).unwrap();
    let fixed: Arc<dyn Press> =
        Arc::new(Fixed((0..FIXED_BYTES).map(|n| ((n * 7919) >> 3) as u8).collect()));
    let clock = Arc::new(WallClock);
    let mut parts = Parts::new(clock.clone(), Entropy::from_os().unwrap());
    parts.press = (press == "fixed").then_some(fixed);
    parts.roles = vec![Role::Intake, Role::Work];
    let office = build::open(config, parts).await.unwrap();
    let carriers = run::carriers(&office).unwrap();
    let catcher = Catcher::new(CatcherSettings::default(), clock);
    let _running = run::start(office, carriers, Box::new(catcher.carrier()), run::Doors::default())
        .await
        .unwrap();
    std::future::pending::<()>().await;
}
