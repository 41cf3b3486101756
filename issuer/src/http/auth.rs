use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;

use super::bearer::Bearer;
use super::body::Body;
use super::edge::Seen;
use super::flows::Flows;
use super::metrics::outcome;
use super::problem::Problem;
use super::reason::Reason;
use super::tokens::TokenAnswer;
use super::user::UserAnswer;
use crate::domain::authenticate::{AuthError, Authenticate, Caller};
use crate::domain::context::RequestContext;
use crate::domain::email::Email;
use crate::domain::login::{Login, LoginRequest};
use crate::domain::password::Password;
use crate::domain::register::{NewUserRequest, Register};
use crate::domain::role::Permission;
use crate::domain::user::User;
use crate::domain::username::{LoginName, Username};
use crate::telemetry::metrics::Metrics;

/// The front door: accounts, logging in, and who a token belongs to.
pub(super) struct AuthApi {
    pub(super) register: Arc<Register>,
    pub(super) registration_open: bool,
    pub(super) login: Arc<Login>,
    pub(super) authenticate: Arc<Authenticate>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) flows: Flows,
}

#[OpenApi(prefix_path = "/auth")]
impl AuthApi {
    /// Make an account
    ///
    /// Problems: `validation_failed`, `email_taken`, `username_taken`, `forbidden` where registration is closed,
    /// `overloaded`.
    #[oai(path = "/register", method = "post", operation_id = "register")]
    async fn register(
        &self,
        context: Data<&RequestContext>,
        seen: Data<&Seen>,
        Body(body): Body<RegisterBody>,
    ) -> Result<RegisterAnswer, Problem> {
        if !self.registration_open {
            return Err(Reason::Forbidden.into());
        }
        let request = NewUserRequest {
            email: body.email,
            password: Password::new(body.password),
            username: body.username,
        };
        let prepared = self.register.prepare(request, &context).await.map_err(Problem::from);
        let new = prepared.inspect_err(|problem| self.metrics.registration(problem.name()))?;
        let (register, context) = (self.register.clone(), context.clone());
        let metrics = self.metrics.clone();
        let flow = async move {
            let done = register.add(new, &context).await.map_err(Problem::from);
            metrics.registration(outcome(&done));
            done
        };
        let user = self.flows.to_the_end(flow).await??;
        seen.note(user.id);
        Ok(RegisterAnswer::Created(Json(user.into())))
    }

    /// Log in
    ///
    /// By e-mail address or by username. Problems: `invalid_credentials`, `validation_failed`; `too_many_attempts` and
    /// `overloaded`, with `Retry-After`.
    #[oai(path = "/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        context: Data<&RequestContext>,
        seen: Data<&Seen>,
        Body(body): Body<LoginBody>,
    ) -> Result<Json<TokenAnswer>, Problem> {
        let checked = self.login.check(body.request()?, &context).await.map_err(Problem::from);
        let checked = checked.inspect_err(|problem| self.metrics.login(problem.name()))?;
        let (login, context) = (self.login.clone(), context.clone());
        let metrics = self.metrics.clone();
        let flow = async move {
            let done = login.finish(checked, &context).await.map_err(Problem::from);
            metrics.login(outcome(&done));
            done
        };
        let tokens = self.flows.to_the_end(flow).await??;
        seen.note(tokens.user);
        Ok(Json(tokens.into()))
    }

    /// Who am I
    ///
    /// The account as it is now, which may be newer than the token.
    #[oai(path = "/me", method = "get", operation_id = "me")]
    async fn me(&self, Bearer(caller): Bearer) -> Result<Json<UserAnswer>, Problem> {
        Ok(Json(caller.into()))
    }

    /// Check a token
    ///
    /// For services without a gateway; the shipped gateway does not let this through.
    #[oai(path = "/validate", method = "post", operation_id = "validate")]
    async fn validate(&self, Body(body): Body<ValidateBody>) -> Result<Json<ValidateAnswer>, Problem> {
        match self.authenticate.authenticate(&body.token).await {
            Ok(caller) => Ok(Json(ValidateAnswer { valid: true, user: Some(caller.into()) })),
            Err(AuthError::Store(error)) => Err(error.into()),
            Err(AuthError::Invalid(_) | AuthError::Expired | AuthError::Revoked) => {
                Ok(Json(ValidateAnswer { valid: false, user: None }))
            }
        }
    }
}

#[derive(Deserialize, Object)]
struct RegisterBody {
    /// An e-mail address; spellings that mean the same address are one.
    email: String,
    /// 10 to 256 characters, and not easy to guess.
    password: String,
    /// 3 to 32 letters, digits, `.`, `_` or `-`.
    username: Option<String>,
}

#[derive(ApiResponse)]
enum RegisterAnswer {
    /// The account was made.
    #[oai(status = 201)]
    Created(Json<Registered>),
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Registered {
    id: String,
    email: String,
    username: Option<String>,
    created_at: String,
}

/// Exactly one of `email`, `username` and `login` says who it is; `login` takes either.
#[derive(Deserialize, Object)]
struct LoginBody {
    email: Option<String>,
    username: Option<String>,
    login: Option<String>,
    password: String,
}

impl LoginBody {
    fn request(self) -> Result<LoginRequest, Problem> {
        // A name of the wrong kind is nobody's, and not an error: that would be a quicker answer than the others get.
        let (name, typed) = match (self.email, self.username, self.login) {
            (Some(email), None, None) => (Email::parse(&email).ok().map(LoginName::Email), email),
            (None, Some(name), None) => (Username::parse(&name).ok().map(LoginName::Username), name),
            (None, None, Some(either)) => (LoginName::parse(&either), either),
            (None, None, None) => {
                return Err(Problem::invalid_field("login", "is required; or email, or username"));
            }
            _ => {
                let only_one = "must be the only one of email, username and login";
                return Err(Problem::invalid_field("login", only_one));
            }
        };
        Ok(LoginRequest { name, typed, password: Password::new(self.password) })
    }
}

#[derive(Deserialize, Object)]
struct ValidateBody {
    /// An access token of this issuer.
    token: String,
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct ValidateAnswer {
    /// Whether the token is good now.
    valid: bool,
    /// Whose it is, if it is good.
    user: Option<TokenUser>,
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct TokenUser {
    id: String,
    username: Option<String>,
    email: String,
    /// The first of the roles.
    role: Option<String>,
    roles: Vec<String>,
    permissions: Vec<String>,
    /// When the token expires.
    expires_at: String,
}

impl From<User> for Registered {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.as_str().to_owned(),
            username: user.username.map(|name| name.as_str().to_owned()),
            created_at: user.created_at.to_string(),
        }
    }
}

impl From<Caller> for TokenUser {
    fn from(caller: Caller) -> Self {
        let user = caller.user();
        let roles: Vec<String> = user.roles.iter().map(ToString::to_string).collect();
        Self {
            id: user.id.to_string(),
            username: user.username.as_ref().map(|name| name.as_str().to_owned()),
            email: user.email.as_str().to_owned(),
            role: roles.first().cloned(),
            roles,
            permissions: caller.permissions().iter().map(Permission::to_string).collect(),
            expires_at: caller.claims().expires_at.to_string(),
        }
    }
}
