use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;

use super::allowed::Allowed;
use super::body::Body;
use super::cursor;
use super::flows::Flows;
use super::problem::Problem;
use super::reason::Reason;
use super::sessions::{Done, Sessions};
use super::user::UserAnswer;
use crate::domain::administer_users::{AdministerUsers, KnownUser, UserEdit};
use crate::domain::context::RequestContext;
use crate::domain::ids::UserId;
use crate::domain::page::Page;
use crate::domain::password::Password;
use crate::domain::permit::{AuditRead, RolesAssign, UsersRead, UsersWrite};
use crate::domain::register::NewUserRequest;
use crate::domain::role::RoleName;
use crate::domain::user::{SearchText, UserQuery, UserStatus};

/// What administrators do about users. Nobody acts on a user who has permissions that he lacks: `forbidden`. What would leave
/// nobody who can administer is a `conflict`.
pub(super) struct AdminUsersApi {
    pub(super) users: Arc<AdministerUsers>,
    pub(super) flows: Flows,
}

#[OpenApi(prefix_path = "/admin/users")]
impl AdminUsersApi {
    /// List users
    ///
    /// The newest first. Permission: `users:read`. Problem: `validation_failed`.
    #[oai(path = "/", method = "get", operation_id = "listUsers")]
    async fn list(
        &self,
        Allowed(permit): Allowed<UsersRead>,
        /// A piece of the e-mail address or the username, in any case.
        q: Query<Option<String>>,
        /// A role that they have.
        role: Query<Option<String>>,
        /// `active` or `suspended`.
        status: Query<Option<String>>,
        /// Users on a page, 1 to 200; 50 if it is not here.
        limit: Query<Option<String>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Users>, Problem> {
        let query = query(q.0.as_deref(), role.0.as_deref(), status.0.as_deref())?;
        let (after, size) = (cursor::read(cursor.0.as_deref())?, cursor::size(limit.0.as_deref())?);
        Ok(Json(self.users.list(&permit, &query, after, size).await?.into()))
    }

    /// Make an account
    ///
    /// Permission: `users:write`; and `roles:assign` for other roles than those that everybody gets who registers. Problems:
    /// `validation_failed`, `email_taken`, `username_taken`, `forbidden`, `overloaded`.
    #[oai(path = "/", method = "post", operation_id = "createUser")]
    async fn create(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<UsersWrite>,
        Body(body): Body<CreateUserBody>,
    ) -> Result<CreatedUser, Problem> {
        let request = NewUserRequest {
            email: body.email,
            password: Password::new(body.password),
            username: body.username,
        };
        let new = self.users.prepare(&permit, request, body.roles.as_deref(), &context).await?;
        let (users, context) = (self.users.clone(), context.clone());
        let user = self.flows.to_the_end(async move { users.add(&permit, new, &context).await }).await??;
        Ok(CreatedUser::Created(Json(user.into())))
    }

    /// See a user
    ///
    /// Permission: `users:read`. Problem: `not_found`.
    #[oai(path = "/:id", method = "get", operation_id = "user")]
    async fn one(
        &self,
        Allowed(permit): Allowed<UsersRead>,
        id: Path<String>,
    ) -> Result<Json<UserAnswer>, Problem> {
        Ok(Json(self.users.one(&permit, parse(&id)?).await?.into()))
    }

    /// Change a user
    ///
    /// What is not in the body stays as it is. Another address ends all sessions, and is not verified unless the body says
    /// so. Permission: `users:write`. Problems: `validation_failed`, `not_found`, `forbidden`, `email_taken`,
    /// `username_taken`, `conflict`.
    #[oai(path = "/:id", method = "patch", operation_id = "updateUser")]
    async fn edit(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<UsersWrite>,
        id: Path<String>,
        Body(body): Body<UpdateUserBody>,
    ) -> Result<Json<UserAnswer>, Problem> {
        let (id, edit) = (parse(&id)?, body.edit()?);
        let (users, context) = (self.users.clone(), context.clone());
        let flow = async move { users.edit(&permit, id, &edit, &context).await };
        Ok(Json(self.flows.to_the_end(flow).await??.into()))
    }

    /// Delete a user
    ///
    /// His sessions end, and address and username are free again. Permission: `users:write`. Problems: `not_found`,
    /// `forbidden`, `conflict`.
    #[oai(path = "/:id", method = "delete", operation_id = "deleteUser")]
    async fn delete(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<UsersWrite>,
        id: Path<String>,
    ) -> Result<Done, Problem> {
        let (id, users, context) = (parse(&id)?, self.users.clone(), context.clone());
        self.flows.to_the_end(async move { users.delete(&permit, id, &context).await }).await??;
        Ok(Done::Done)
    }

    /// Give a user roles
    ///
    /// These and no others. His access tokens are revoked; his sessions stay, and the next refresh carries the new roles.
    /// Nobody grants a role with permissions that he lacks. Permission: `roles:assign`. Problems: `validation_failed`,
    /// `not_found`, `forbidden`, `conflict`.
    #[oai(path = "/:id/roles", method = "put", operation_id = "assignRoles")]
    async fn assign(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<RolesAssign>,
        id: Path<String>,
        Body(body): Body<RolesBody>,
    ) -> Result<Json<UserAnswer>, Problem> {
        let (id, users, context) = (parse(&id)?, self.users.clone(), context.clone());
        let flow = async move { users.assign(&permit, id, &body.roles, &context).await };
        Ok(Json(self.flows.to_the_end(flow).await??.into()))
    }

    /// Suspend a user
    ///
    /// His sessions end, and he cannot log in. Permission: `users:write`. Problems: `not_found`, `forbidden`, `conflict`.
    #[oai(path = "/:id/suspend", method = "post", operation_id = "suspendUser")]
    async fn suspend(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<UsersWrite>,
        id: Path<String>,
    ) -> Result<Done, Problem> {
        let (id, users, context) = (parse(&id)?, self.users.clone(), context.clone());
        self.flows.to_the_end(async move { users.suspend(&permit, id, &context).await }).await??;
        Ok(Done::Done)
    }

    /// Let a suspended user in again
    ///
    /// Permission: `users:write`. Problems: `not_found`, `forbidden`, `conflict`.
    #[oai(path = "/:id/resume", method = "post", operation_id = "resumeUser")]
    async fn resume(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<UsersWrite>,
        id: Path<String>,
    ) -> Result<Done, Problem> {
        let (id, users, context) = (parse(&id)?, self.users.clone(), context.clone());
        self.flows.to_the_end(async move { users.resume(&permit, id, &context).await }).await??;
        Ok(Done::Done)
    }

    /// Log a user out everywhere
    ///
    /// Permission: `users:write`. Problems: `not_found`, `forbidden`.
    #[oai(path = "/:id/logout", method = "post", operation_id = "logoutUser")]
    async fn log_out(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<UsersWrite>,
        id: Path<String>,
    ) -> Result<Done, Problem> {
        let (id, users, context) = (parse(&id)?, self.users.clone(), context.clone());
        self.flows.to_the_end(async move { users.log_out(&permit, id, &context).await }).await??;
        Ok(Done::Done)
    }

    /// See a user's sessions
    ///
    /// Those that are open, the latest login first. Permission: `audit:read`. Problems: `validation_failed`, `not_found`.
    #[oai(path = "/:id/sessions", method = "get", operation_id = "userSessions")]
    async fn sessions(
        &self,
        Allowed(permit): Allowed<AuditRead>,
        id: Path<String>,
        /// Sessions on a page, 1 to 200; 50 if it is not here.
        limit: Query<Option<String>>,
        /// Where to go on: `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Json<Sessions>, Problem> {
        let (after, size) = (cursor::read(cursor.0.as_deref())?, cursor::size(limit.0.as_deref())?);
        let page = self.users.sessions(&permit, parse(&id)?, after, size).await?;
        Ok(Json(Sessions::new(page, permit.actor().caller())))
    }
}

/// A text that is no id is nobody's.
pub(super) fn parse(id: &str) -> Result<UserId, Problem> {
    id.parse().map_err(|_| Reason::NotFound.into())
}

/// A parameter that is there and empty, as forms send it, asks for nothing.
fn query(text: Option<&str>, role: Option<&str>, status: Option<&str>) -> Result<UserQuery, Problem> {
    let given = |text: Option<&'_ str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let text = given(text).map(|text| {
        let too_long = || Problem::invalid_field("q", format!("must have {} bytes at most", SearchText::MAX));
        SearchText::parse(&text).ok_or_else(too_long)
    });
    let role = given(role).map(|role| {
        RoleName::parse(&role).map_err(|error| Problem::invalid_field("role", error.to_string()))
    });
    let status = given(status).map(|status| {
        let unknown = || Problem::invalid_field("status", "must be active or suspended");
        UserStatus::parse(&status).ok_or_else(unknown)
    });
    Ok(UserQuery { text: text.transpose()?, role: role.transpose()?, status: status.transpose()? })
}

#[derive(Deserialize, Object)]
struct CreateUserBody {
    /// An e-mail address; spellings that mean the same address are one.
    email: String,
    /// 10 to 256 characters, and not easy to guess.
    password: String,
    /// 3 to 32 letters, digits, `.`, `_` or `-`.
    username: Option<String>,
    /// Roles that exist; those of somebody who registers himself if it is not here.
    roles: Option<Vec<String>>,
}

/// Strict, so that nobody takes what has a route of its own, such as `roles`, for changed.
#[derive(Deserialize, Object)]
#[serde(deny_unknown_fields)]
struct UpdateUserBody {
    /// Another e-mail address.
    email: Option<String>,
    /// Whether the address is proven to be the user's.
    email_verified: Option<bool>,
    /// Another username; `null` for none.
    #[serde(default)]
    username: MaybeUndefined<String>,
}

impl UpdateUserBody {
    fn edit(&self) -> Result<UserEdit, Problem> {
        let username = match &self.username {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(name) => Some(Some(name.as_str())),
        };
        Ok(UserEdit::parse(self.email.as_deref(), self.email_verified, username)?)
    }
}

#[derive(Deserialize, Object)]
struct RolesBody {
    /// All roles that the user is to have.
    roles: Vec<String>,
}

#[derive(ApiResponse)]
enum CreatedUser {
    /// The account was made.
    #[oai(status = 201)]
    Created(Json<UserAnswer>),
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Users {
    /// The newest first.
    items: Vec<UserAnswer>,
    /// Gets the next page; there is none if this is not here.
    next_cursor: Option<String>,
}

impl From<Page<KnownUser>> for Users {
    fn from(page: Page<KnownUser>) -> Self {
        Self {
            items: page.items.into_iter().map(UserAnswer::from).collect(),
            next_cursor: page.next.map(cursor::write),
        }
    }
}
