use std::time::Duration;

use super::settings::Settings;
use crate::domain::alert::Hours;
use crate::domain::guard::Limits;

/// `limits.*`.
pub(super) fn limits(settings: &mut Settings) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        pair_free: number(settings, "limits.pair_free", default.pair_free),
        pair_wait: span(settings, "limits.pair_wait", default.pair_wait),
        pair_longest_wait: span(settings, "limits.pair_longest_wait", default.pair_longest_wait),
        pair_memory: span(settings, "limits.pair_memory", default.pair_memory),
        account: number(settings, "limits.account", default.account),
        account_window: span(settings, "limits.account_window", default.account_window),
        address: number(settings, "limits.address", default.address),
        address_window: span(settings, "limits.address_window", default.address_window),
        familiar: span(settings, "limits.familiar", default.familiar),
        mail_account: number(settings, "limits.mail_account", default.mail_account),
        mail_address: number(settings, "limits.mail_address", default.mail_address),
        mail_window: span(settings, "limits.mail_window", default.mail_window),
        alert_after: number(settings, "limits.alert_after", default.alert_after),
    };
    if limits.pair_longest_wait < limits.pair_wait {
        settings.mistake("limits.pair_longest_wait", "must not be shorter than limits.pair_wait");
    }
    if limits.pair_memory < limits.pair_longest_wait {
        settings.mistake("limits.pair_memory", "must not be shorter than limits.pair_longest_wait");
    }
    limits
}

/// `alerts.hours`.
pub(super) fn hours(settings: &mut Settings) -> Option<Hours> {
    settings.take_optional("alerts.hours")
}

/// There is no "off": a limit that nobody reaches does the same.
fn number(settings: &mut Settings, key: &'static str, default: u32) -> u32 {
    settings.take_if(key, default, "must be between 1 and 1000000", |number| (1..=1_000_000).contains(number))
}

fn span(settings: &mut Settings, key: &'static str, default: Duration) -> Duration {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    let wanted = "must be between 1s and 365d";
    settings.take_if(key, default, wanted, |span| (Duration::from_secs(1)..=YEAR).contains(span))
}
