//! `kakitome check`: everything that must hold before an office may open.

use serde_json::json;

use super::{ConfigArg, Failure, Outcome, context::Context, print};
use crate::app::checks::{self, Finding};

/// Checks configuration, connections, migrations, fonts and permissions.
///
/// Looks and changes nothing, but for a few bytes that are written to the
/// store of sealed bytes and removed again. `serve` makes the same checks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kakitome check\n  kakitome check --offline --config \
                        kakitome.toml\n  kakitome check --json | jq 'select(.state == \
                        \"problem\")'\n\nExit codes: 0 all is well, 2 the configuration is wrong, 3 \
                        there are problems.")]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArg,
    /// Only what can be seen without connecting anywhere.
    #[arg(long)]
    offline: bool,
    /// Answer in JSON, one object a line.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(self) -> Outcome {
        let context = Context::open(&self.config)?;
        let mut findings = checks::offline(&context.config);
        self.tell(&findings);
        if !self.offline {
            let online =
                Box::pin(checks::online(&context.config, &context.clock, &context.entropy)).await;
            self.tell(&online);
            findings.extend(online);
        }
        let problems = findings.iter().filter(|finding| finding.state.is_problem()).count();
        if problems == 0 {
            return Ok(());
        }
        print::error(&format!("{problems} of {} checks found problems", findings.len()));
        Err(Failure::Refused)
    }

    fn tell(&self, findings: &[Finding]) {
        for finding in findings {
            let Finding { area, state, what, remedy } = finding;
            if self.json {
                print::json(&json!({
                    "area": area,
                    "state": state.word(),
                    "what": what,
                    "remedy": remedy,
                    "stops_serve": state.stops_serve(),
                }));
                continue;
            }
            print::line(&format!("{:<8} {area}: {what}", state.word()));
            if let Some(remedy) = remedy {
                print::line(&format!("         -> {remedy}"));
            }
        }
    }
}
