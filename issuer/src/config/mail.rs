use lettre::message::Mailbox;

use super::read::is_url;
use super::settings::Settings;
use super::{Events, Mail};
use crate::mail::sender::Letterhead;
use crate::mail::server::SmtpServer;

const URL: &str = "mail.smtp_url";
const FROM: &str = "mail.from";
const BASE_URL: &str = "mail.base_url";

/// Where mails go: to a mail server, to the broker, or nowhere.
pub(super) fn mail(settings: &mut Settings, events: Option<&Events>) -> Option<Mail> {
    let url = settings.take_secret(URL);
    let from = settings.take_optional::<String>(FROM);
    let base_url = settings.take_optional::<String>(BASE_URL);
    let from = from.map(|text| {
        let from = text.parse::<Mailbox>().ok().filter(|from| from.email.domain().is_ascii());
        noted(settings, FROM, from.ok_or("must be an address, such as Doorward <no-reply@example.test>"))
    });
    let base_url = base_url.map(|text| {
        let wanted =
            "must be the URL of the pages that links in mails lead to, such as https://app.example.test";
        let base_url = if is_url(&text) { Ok(text.trim_end_matches('/').to_owned()) } else { Err(wanted) };
        noted(settings, BASE_URL, base_url)
    });
    if let Some(Events { broker, .. }) = events.filter(|events| events.mail_exchange) {
        if url.is_some() {
            settings
                .mistake(URL, "is not used with events.mail_exchange: mails go one way; remove one of them");
        }
        return Some(Mail::Exchange { broker: broker.clone(), base_url: base_url.flatten() });
    }
    let server = noted(settings, URL, SmtpServer::parse(url?.expose()));
    for (key, missing) in [(FROM, from.is_none()), (BASE_URL, base_url.is_none())] {
        if missing {
            settings.mistake(key, "is required by mail.smtp_url");
        }
    }
    Some(Mail::Smtp { server: server?, letterhead: Letterhead { from: from??, base_url: base_url?? } })
}

/// A switch that nobody could get past without mails.
pub(super) fn needs_mail(settings: &mut Settings, key: &'static str, mail: Option<&Mail>) -> bool {
    const NEEDS: &str = "needs mail.smtp_url, mail.from and mail.base_url, or events.mail_exchange";
    settings.take_if(key, false, NEEDS, |on| !on || mail.is_some())
}

fn noted<T, E: ToString>(settings: &mut Settings, key: &str, parsed: Result<T, E>) -> Option<T> {
    parsed.map_err(|error| settings.mistake(key, &error.to_string())).ok()
}
