use super::{edge, provider, rule};
use crate::policy::config::{ConfigError, Policy, Provider};
use crate::policy::rule::Rules;
use crate::policy::schema::{Config, CorsPreflight};

impl Policy {
    /// Compiles a configuration. `variable` gives the value of an environment variable.
    ///
    /// # Errors
    /// The first mistake, with the path of its key.
    pub fn compile(config: Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        if config.providers.is_empty() {
            return Err(ConfigError::new("providers", "at least one provider is needed"));
        }
        let mut providers: Vec<Provider> = Vec::new();
        for (index, provider) in config.providers.into_iter().enumerate() {
            let at = format!("providers[{index}]");
            let provider = provider::compile(index, &at, provider, variable)?;
            if providers.iter().any(|p| p.name == provider.name) {
                return Err(ConfigError::new(format!("{at}.name"), "two providers have this name"));
            }
            if providers.iter().any(|p| p.issuer == provider.issuer) {
                return Err(ConfigError::new(format!("{at}.issuer"), "two providers have this issuer"));
            }
            providers.push(provider);
        }
        let rules = config.rules.into_iter().enumerate();
        let rules =
            rules.map(|(index, rule)| rule::compile(index, rule, &providers)).collect::<Result<_, _>>()?;
        Ok(Self {
            sources: edge::compile_sources(config.token_sources, &config.allowed_origins)?,
            allowed_origins: config.allowed_origins.into_iter().map(Into::into).collect(),
            headers: edge::compile_headers(config.headers, &providers)?,
            rules: Rules::new(rules),
            preflight_passes: config.cors_preflight == CorsPreflight::Allow,
            cache: (config.cache.entries, config.cache.bytes),
            mode: config.mode,
            access_log: config.access_log,
            providers,
        })
    }
}
