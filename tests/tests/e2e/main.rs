//! End to end: real Envoy, the real module in it, the real issuer behind it, on both stores.
//!
//! One binary, so that it is linked once. Every test brings up its own parts on its own ports with its own data.

/// What administrators do about users and roles.
mod administration;
/// Attacks that have worked on somebody, with nothing in front of the plugin that would stop them first.
mod attacks {
    /// Headers that lie, that are not text, or that take others away.
    mod headers;
    /// Requests that wait for keys.
    mod held;
    /// Ways around a rule by spelling a path.
    mod paths;
    /// Tokens by people who know how verifiers have been fooled.
    mod tokens;
}
/// What the parts leave behind when they are killed: nothing.
mod cleanup;
/// What the documents print as commands.
mod commands;
/// What Envoy says to a configuration that is wrong.
mod configuration;
/// A crash of the plugin: what it costs, and whom.
mod crash;
/// What runs Doorward elsewhere: `docker-compose.yml`, the Dockerfiles, `deploy/`.
mod deployment {
    /// `docker-compose.yml`.
    mod compose;
    /// The configurations that containers run with, in the real programs.
    mod configurations;
    /// The Dockerfiles.
    mod dockerfiles;
    /// `deploy/istio`.
    mod istio;
    /// `deploy/kubernetes`.
    mod kubernetes;
}
/// The plugin beside Envoy's own filter, and the host's cryptography beside ours.
mod differential;
/// What the documents point at.
mod documents;
/// What the rest of the system hears, and when the broker is away.
mod events;
/// The example service behind the gate.
mod example_service;
/// The files of `envoy/examples`, each started as it is shipped.
mod examples {
    /// What holds for every one of them.
    mod all;
    /// Whole sets of rules: health care, a shop, a shared secret.
    mod applications;
    /// A browser that brings its token in a cookie.
    mod browser;
    /// Calls over gRPC.
    mod grpc;
    /// The list of dead tokens, behind the management token.
    mod logout;
    /// Issuers elsewhere: Supabase Auth, Auth0, Keycloak.
    mod providers;
}
/// gRPC calls over HTTP/2: held, refused, and answered.
mod grpc;
/// What fails around the issuer: clear answers, nothing half done, nothing lost.
mod faults {
    /// The client hangs up, at every step.
    mod client_gone;
    /// No room under SQLite.
    mod disk_full;
    /// MongoDB stopped, hung, and led by nobody.
    mod mongodb;
    /// SIGTERM under load.
    mod termination;
}
/// A client that knows nothing but the OpenAPI document.
mod foreign_client;
/// Who guesses passwords.
mod guessing;
/// Protected headers from clients never arrive.
mod headers;
/// Keys: fetched, exchanged, waited for, kept, and forgotten.
mod keys;
/// Dependencies, and what `deny.toml` says of them.
mod licences;
/// Register, log in, pass the gate.
mod light;
/// Logging out, in sight of the gateway.
mod logout;
/// What users do by way of their mails.
mod mailed;
/// `deploy/monitoring`: the dashboard and the alerts.
mod monitoring;
/// Counters, log lines, shadow mode, and what special clients get.
mod operators;
/// The issuer's refusals, seen through the gate.
mod refusals;
/// Tokens that are dead before they expire.
mod revocation;
/// The issuer's keys, changed behind the gate.
mod rotation;
/// What becomes of a session after the login.
mod sessions;
/// MongoDB under the issuer, and MongoDB gone.
mod stores;
/// `docs/threats.md` names tests that exist, and says why the plugin is strict.
mod threats;
/// The TLS listener.
mod tls;
/// Tokens that must not pass.
mod tokens;
/// Spans at an OpenTelemetry collector.
mod traces;
/// Another version in the place of this one.
mod upgrade;
/// The example service without a gateway.
mod verify_locally;

/// What the tests share.
mod support {
    /// An issuer without a gateway.
    pub(crate) mod alone;
    /// A gateway whose upstreams are all recorders, trusting a key of ours.
    pub(crate) mod bare;
    /// People who keep an issuer busy.
    pub(crate) mod crowd;
    /// What can be done to a token.
    pub(crate) mod edits;
    /// A file of `envoy/examples` in a real Envoy.
    pub(crate) mod example;
    /// A gateway that follows a feed of revocations.
    pub(crate) mod followed;
    /// An Envoy with listeners of any kind.
    pub(crate) mod gateway;
    /// A gRPC client and a service, over HTTP/2.
    pub(crate) mod grpc;
    /// A gateway whose keys come from a server that does as it is told.
    pub(crate) mod keyed;
    /// Tokens by the thousand.
    pub(crate) mod mutation;
    /// A key pair that is not the issuer's, for tokens of any shape.
    pub(crate) mod own_key;
    /// Reading problem bodies.
    pub(crate) mod problem;
    /// Plugin settings for gateways of any kind, and claims that fit them.
    pub(crate) mod settings;
    /// Files of the checkout that operators use.
    pub(crate) mod shipped;
    /// Keys of every algorithm, for tokens of any shape.
    pub(crate) mod signer;
    /// Where the plugin is stricter than Envoy's own filter on purpose.
    pub(crate) mod stricter;
    /// How long something takes.
    pub(crate) mod timed;
    /// An issuer that tells a broker of its own.
    pub(crate) mod told;
    /// A whole stack, and users who act on it.
    pub(crate) mod whole;
}
