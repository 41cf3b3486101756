use crate::domain::mail::Message;
use crate::domain::one_time::Purpose;

/// A mail's words, once for every reader and once for those that show links.
pub(super) struct Text {
    pub(super) subject: &'static str,
    pub(super) plain: String,
    pub(super) html: String,
}

/// What a kind of mail says around its link.
struct Words {
    subject: &'static str,
    /// Why this mail comes.
    reason: &'static str,
    /// What the link does.
    action: &'static str,
    /// What to do when it was somebody else.
    otherwise: &'static str,
}

const RESET_PASSWORD: Words = Words {
    subject: "Set a new password",
    reason: "Somebody, we hope you, asked for a new password for your account.",
    action: "Set a new password (within one hour)",
    otherwise: "If it was not you, do nothing: your password stays as it is.",
};

const VERIFY_EMAIL: Words = Words {
    subject: "Confirm your e-mail address",
    reason: "An account was made, or changed, with this e-mail address.",
    action: "Confirm that it is yours (within one day)",
    otherwise: "If it was not you, do nothing: the address stays unconfirmed.",
};

const ADDRESS_TAKEN: Words = Words {
    subject: "You already have an account",
    reason: "Somebody, perhaps you, tried to make an account with this e-mail address, which has one already.",
    action: "Log in, or ask for a new password",
    otherwise: "If it was not you, do nothing: nothing has changed.",
};

impl Text {
    /// What `message` says. Links lead to pages below `base_url`.
    pub(super) fn of(message: &Message, base_url: &str) -> Self {
        let words = match message {
            Message::Link { purpose: Purpose::ResetPassword, .. } => &RESET_PASSWORD,
            Message::Link { purpose: Purpose::VerifyEmail, .. } => &VERIFY_EMAIL,
            Message::AddressTaken => &ADDRESS_TAKEN,
        };
        words.around(&message.link(base_url))
    }
}

impl Words {
    fn around(&self, link: &str) -> Text {
        let Self { subject, reason, action, otherwise, .. } = self;
        let shown = escaped(link);
        Text {
            subject,
            plain: format!("{reason}\r\n\r\n{action}:\r\n\r\n{link}\r\n\r\n{otherwise}\r\n"),
            html: format!(
                "<!doctype html>\r\n<html lang=\"en\"><body>\r\n<p>{reason}</p>\r\n\
                 <p><a href=\"{shown}\">{action}</a></p>\r\n<p>{otherwise}</p>\r\n\
                 <p>If the link cannot be clicked, copy it:<br>{shown}</p>\r\n</body></html>\r\n"
            ),
        }
    }
}

/// A text as it stands in HTML, between tags and in quotes.
fn escaped(text: &str) -> String {
    let escape = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        c => String::from(c),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::one_time::OneTimeToken;

    fn link(purpose: Purpose) -> Message {
        let token = OneTimeToken::new("t0k3n-_".into());
        Message::Link { purpose, token, expires_at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn both_forms_have_the_link() {
        for (purpose, page) in
            [(Purpose::ResetPassword, "reset-password"), (Purpose::VerifyEmail, "verify-email")]
        {
            let text = Text::of(&link(purpose), "https://app.example.test/account");
            let link = format!("https://app.example.test/account/{page}#token=t0k3n-_");
            assert!(text.plain.contains(&format!("\r\n{link}\r\n")), "{}", text.plain);
            assert!(text.html.contains(&format!("href=\"{link}\"")), "{}", text.html);
        }
        let text = Text::of(&Message::AddressTaken, "https://app.example.test");
        assert!(text.plain.contains("\r\nhttps://app.example.test\r\n"), "{}", text.plain);
    }

    #[test]
    fn nothing_breaks_out_of_the_html() {
        let text = Text::of(&Message::AddressTaken, "https://a.test/\"><script>&'");
        assert!(!text.html.contains("<script>"), "{}", text.html);
        assert!(text.html.contains("https://a.test/&quot;&gt;&lt;script&gt;&amp;&#39;"), "{}", text.html);
    }
}
