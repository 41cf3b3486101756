//! What is told when a stack is up: `stack.json` for programs, a table and three commands for people.

use std::path::PathBuf;

use doorward_tests::random;
use serde::Serialize;

use crate::admin::Admin;

/// The content of `stack.json`.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) gateway: String,
    pub(crate) issuer: String,
    pub(crate) management: String,
    pub(crate) envoy_admin: String,
    pub(crate) upstream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mongodb: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amqp: Option<String>,
    pub(crate) plugin_wasm: PathBuf,
    pub(crate) envoy_bin: PathBuf,
    pub(crate) envoy_config: PathBuf,
    pub(crate) admin: Admin,
    pub(crate) logs: PathBuf,
}

impl Report {
    /// The table of addresses, and what to try.
    pub(crate) fn for_people(&self, gateway_tls: &str, certificate: &std::path::Path) -> String {
        let mut rows = vec![
            ("gateway", self.gateway.clone()),
            ("gateway, TLS", format!("{gateway_tls} (curl --cacert {})", certificate.display())),
            ("issuer", self.issuer.clone()),
            ("issuer, management", self.management.clone()),
            ("example service", self.upstream.clone()),
            ("Envoy, admin", self.envoy_admin.clone()),
        ];
        rows.extend(self.mongodb.iter().map(|url| ("MongoDB", url.clone())));
        rows.extend(self.amqp.iter().map(|url| ("RabbitMQ", url.clone())));
        rows.push(("administrator", format!("{} (password in stack.json)", self.admin.email)));
        rows.push(("logs", self.logs.display().to_string()));
        let table: String = rows.iter().map(|(what, place)| format!("  {what:<20}{place}\n")).collect();
        format!(
            "\nDoorward is up.\n\n{table}\nTry it: register, log in, and read your own profile through the gate.\n\n{}\n",
            self.curls()
        )
    }

    /// Three lines to paste into a shell, one after the other. A new address each time, so that the first one works.
    fn curls(&self) -> String {
        let gateway = &self.gateway;
        let body = format!(r#"{{"email":"ada-{}@example.test","password":"S3cureP@ss"}}"#, random::name());
        let post = format!("curl -sS -H 'Content-Type: application/json' -d '{body}' {gateway}");
        let member = |name: &str| format!(r#"sed -n 's/.*"{name}": *"\([^"]*\)".*/\1/p'"#);
        format!(
            "ID=$({post}/auth/register | {}); echo \"registered $ID\"\n\
             TOKEN=$({post}/auth/login | {}); echo \"token of ${{#TOKEN}} characters\"\n\
             curl -sS -i -H \"Authorization: Bearer $TOKEN\" {gateway}/users/$ID\n",
            member("id"),
            member("access_token"),
        )
    }
}
