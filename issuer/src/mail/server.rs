use lettre::transport::smtp::authentication::Credentials;
use percent_encoding::percent_decode_str;
use url::Url;

/// A server that takes mails: `smtps://USER:PASSWORD@HOST:PORT`, or `smtp://HOST:PORT`, with `?tls=required` for
/// STARTTLS.
#[derive(Clone)]
pub struct SmtpServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<Credentials>,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after a few words in the clear; no mail without it.
    StartTls,
    /// None.
    Plain,
}

/// Why a text is no such server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmtpUrlError {
    /// It has another form.
    #[error("must be smtps://USER:PASSWORD@HOST, smtp://USER:PASSWORD@HOST?tls=required, or smtp://HOST")]
    Form,
    /// Everybody on the way could read the password.
    #[error("would send its password in the clear; use smtps:// or add ?tls=required")]
    ClearPassword,
}

impl SmtpServer {
    /// Reads the URL. User and password are percent-encoded.
    ///
    /// # Errors
    /// See [`SmtpUrlError`].
    pub fn parse(text: &str) -> Result<Self, SmtpUrlError> {
        let url = Url::parse(text).map_err(|_| SmtpUrlError::Form)?;
        let (security, port) = match (url.scheme(), url.query()) {
            ("smtps", None) => (Security::Tls, 465),
            ("smtp", Some("tls=required")) => (Security::StartTls, 587),
            ("smtp", None) => (Security::Plain, 25),
            _ => return Err(SmtpUrlError::Form),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(SmtpUrlError::Form)?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(SmtpUrlError::Form);
        }
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => {
                Some(Credentials::new(decoded(user)?, decoded(password)?))
            }
            _ => return Err(SmtpUrlError::Form),
        };
        if credentials.is_some() && security == Security::Plain {
            return Err(SmtpUrlError::ClearPassword);
        }
        // An IPv6 address stands in brackets in a URL, and without them everywhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(port), security, credentials })
    }
}

fn decoded(text: &str) -> Result<String, SmtpUrlError> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| SmtpUrlError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read() {
        for (text, host, port, security, login) in [
            ("smtps://u:p@mail.example.test", "mail.example.test", 465, Security::Tls, true),
            ("smtps://mail.example.test:2465/", "mail.example.test", 2465, Security::Tls, false),
            (
                "smtp://u%40x:p%2f@mail.example.test?tls=required",
                "mail.example.test",
                587,
                Security::StartTls,
                true,
            ),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::Plain, false),
            ("smtp://[::1]:2525", "::1", 2525, Security::Plain, false),
        ] {
            let server = SmtpServer::parse(text).unwrap();
            assert_eq!(
                (server.host.as_str(), server.port, server.security),
                (host, port, security),
                "{text}"
            );
            assert_eq!(server.credentials.is_some(), login, "{text}");
        }
        let server = SmtpServer::parse("smtps://u%40x:p%2f@mail.example.test").unwrap();
        assert_eq!(server.credentials, Some(Credentials::new("u@x".into(), "p/".into())));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for text in [
            "mail.example.test",
            "http://mail.example.test",
            "smtp://",
            "smtp://u@mail.example.test?tls=required",
            "smtps://:p@mail.example.test",
            "smtp://mail.example.test?tls=opportunistic",
            "smtps://mail.example.test?tls=required",
            "smtps://mail.example.test/name",
            "smtps://u:%ff@mail.example.test",
        ] {
            assert_eq!(SmtpServer::parse(text).err(), Some(SmtpUrlError::Form), "{text}");
        }
        let clear = SmtpServer::parse("smtp://u:p@mail.example.test");
        assert_eq!(clear.err(), Some(SmtpUrlError::ClearPassword));
    }
}
