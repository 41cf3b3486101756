use serde::Deserialize;
use toml::Value;

use super::settings::Settings;
use super::value::FromSetting;
use crate::domain::role::{Permission, Role, RoleName};

/// `roles`: which of them there are from the start.
pub(super) fn roles(settings: &mut Settings) -> Vec<Role> {
    const KEY: &str = "roles";
    let default = ["user", "admin"].map(RoleSetting::named);
    let given = settings.take(KEY, RoleSettings(default.into()));
    let mut roles: Vec<Role> = Vec::new();
    for role in given.0 {
        match role.parse() {
            Ok(role) if roles.iter().any(|known| known.name == role.name) => {
                settings.mistake(KEY, "names a role twice");
            }
            Ok(role) => roles.push(role),
            Err(why) => settings.mistake(KEY, &why),
        }
    }
    roles
}

/// A list of roles, as an operator writes it.
struct RoleSettings(Vec<RoleSetting>);

/// One of them: a table, or a name alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleSetting {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    permissions: Vec<String>,
}

impl RoleSetting {
    fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), description: String::new(), permissions: Vec::new() }
    }

    fn parse(self) -> Result<Role, String> {
        let name = RoleName::parse(&self.name).map_err(|error| format!("every name {error}"))?;
        let permissions = self.permissions.iter().map(|permission| Permission::parse(permission));
        let permissions = permissions.collect::<Result<_, _>>();
        let permissions = permissions.map_err(|error| format!("every permission {error}"))?;
        Ok(Role { name, description: self.description, permissions })
    }

    fn show(&self) -> String {
        if self.description.is_empty() && self.permissions.is_empty() {
            return format!("{:?}", self.name);
        }
        let Self { name, description, permissions } = self;
        format!("{{name = {name:?}, description = {description:?}, permissions = {permissions:?}}}")
    }
}

impl FromSetting for RoleSettings {
    const WANTED: &'static str = "a list of names, or of tables with name, description and permissions";

    fn from_setting(value: &Value) -> Option<Self> {
        let roles = match value {
            Value::Array(items) => items.iter().map(role).collect::<Option<_>>()?,
            names => Vec::<String>::from_setting(names)?.into_iter().map(RoleSetting::named).collect(),
        };
        Some(Self(roles))
    }

    fn show(&self) -> String {
        let roles: Vec<_> = self.0.iter().map(RoleSetting::show).collect();
        format!("[{}]", roles.join(", "))
    }
}

fn role(item: &Value) -> Option<RoleSetting> {
    match item {
        Value::Table(_) => item.clone().try_into().ok(),
        name => String::from_setting(name).map(RoleSetting::named),
    }
}
