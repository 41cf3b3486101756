use std::collections::BTreeSet;

use super::edge::is_token;
use crate::policy::config::{ConfigError, Provider};
use crate::policy::path::Template;
use crate::policy::rule::{Access, Demand, Rule};
use crate::policy::schema::{Allow, Expression, RuleConfig};

pub(super) fn compile(index: usize, config: RuleConfig, providers: &[Provider]) -> Result<Rule, ConfigError> {
    let at = format!("rules[{index}]");
    let template =
        Template::parse(&config.path).map_err(|message| ConfigError::new(format!("{at}.path"), message))?;
    if let Some(methods) = &config.methods
        && (methods.is_empty()
            || methods.iter().any(|m| !is_token(m) || m.bytes().any(|b| b.is_ascii_lowercase())))
    {
        return Err(ConfigError::new(
            format!("{at}.methods"),
            "method names in capitals, such as [GET, POST]",
        ));
    }
    let named = config.providers.map(|names| resolve_providers(&at, &names, providers)).transpose()?;
    if named.is_some() && matches!(config.allow, Allow::Public | Allow::Deny) {
        return Err(ConfigError::new(format!("{at}.providers"), "says nothing where no token is looked at"));
    }
    let access = match config.allow {
        Allow::Public => Access::Public,
        Allow::Optional => Access::Optional,
        Allow::Authenticated => Access::Authenticated,
        Allow::Deny => Access::Deny,
        Allow::Expression(expression) => {
            if providers.len() > 1 && named.is_none() && !is_about_providers_only(&expression) {
                let message =
                    "with several providers, a rule about roles, permissions or owners says whose it trusts";
                return Err(ConfigError::new(format!("{at}.providers"), message));
            }
            Access::Demand(compile_expression(&format!("{at}.allow"), expression, &template, providers)?)
        }
    };
    Ok(Rule {
        index,
        forward_token: config.forward_token,
        methods: config.methods.map(|methods| methods.into_iter().map(Into::into).collect()),
        template,
        providers: named,
        access,
    })
}

fn resolve_providers(at: &str, names: &[String], providers: &[Provider]) -> Result<Vec<usize>, ConfigError> {
    if names.is_empty() {
        return Err(ConfigError::new(format!("{at}.providers"), "must not be empty"));
    }
    let indices = names
        .iter()
        .enumerate()
        .map(|(i, name)| provider_index(&format!("{at}.providers[{i}]"), name, providers));
    indices.collect::<Result<BTreeSet<_>, _>>().map(|set| set.into_iter().collect())
}

fn provider_index(at: &str, name: &str, providers: &[Provider]) -> Result<usize, ConfigError> {
    let found = providers.iter().position(|p| *p.name == *name);
    found.ok_or_else(|| ConfigError::new(at, format!("there is no provider called {name}")))
}

fn is_about_providers_only(expression: &Expression) -> bool {
    match expression {
        Expression::Provider(_) => true,
        Expression::Role(_) | Expression::Permission(_) | Expression::Owner(_) => false,
        Expression::AnyOf(parts) | Expression::AllOf(parts) => parts.iter().all(is_about_providers_only),
    }
}

fn compile_expression(
    at: &str,
    expression: Expression,
    template: &Template,
    providers: &[Provider],
) -> Result<Demand, ConfigError> {
    let all = |key: &str, parts: Vec<Expression>| {
        if parts.is_empty() {
            return Err(ConfigError::new(format!("{at}.{key}"), "must not be empty"));
        }
        let each = parts.into_iter().enumerate();
        each.map(|(i, part)| compile_expression(&format!("{at}.{key}[{i}]"), part, template, providers))
            .collect()
    };
    match expression {
        Expression::Role(role) if role.is_empty() => {
            Err(ConfigError::new(format!("{at}.role"), "must not be empty"))
        }
        Expression::Permission(permission) if permission.is_empty() => {
            Err(ConfigError::new(format!("{at}.permission"), "must not be empty"))
        }
        Expression::Role(role) => Ok(Demand::Role(role.into())),
        Expression::Permission(permission) => Ok(Demand::Permission(permission.into())),
        Expression::Owner(name) => template.position(&name).map(Demand::Owner).ok_or_else(|| {
            ConfigError::new(format!("{at}.owner"), format!("the rule's path has no {{{name}}}"))
        }),
        Expression::Provider(name) => {
            provider_index(&format!("{at}.provider"), &name, providers).map(Demand::Provider)
        }
        Expression::AnyOf(parts) => all("any_of", parts).map(Demand::AnyOf),
        Expression::AllOf(parts) => all("all_of", parts).map(Demand::AllOf),
    }
}
