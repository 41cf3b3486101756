use std::sync::Arc;

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;

use super::allowed::Allowed;
use super::body::Body;
use super::flows::Flows;
use super::problem::Problem;
use super::sessions::Done;
use crate::domain::administer_roles::{AdministerRoles, PutRole, parse};
use crate::domain::context::RequestContext;
use crate::domain::permit::{RolesRead, RolesWrite};
use crate::domain::role::{Permission, Role};

/// What administrators do about roles. Nobody changes a role that has permissions that he lacks, or adds such a permission to
/// one: `forbidden`.
pub(super) struct AdminRolesApi {
    pub(super) roles: Arc<AdministerRoles>,
    pub(super) flows: Flows,
}

#[OpenApi(prefix_path = "/admin/roles")]
impl AdminRolesApi {
    /// List roles
    ///
    /// All of them, by name. Permission: `roles:read`.
    #[oai(path = "/", method = "get", operation_id = "listRoles")]
    async fn list(&self, Allowed(permit): Allowed<RolesRead>) -> Result<Json<RoleList>, Problem> {
        let items = self.roles.list(&permit).await?.into_iter().map(RoleAnswer::from).collect();
        Ok(Json(RoleList { items, next_cursor: None }))
    }

    /// See a role
    ///
    /// Permission: `roles:read`. Problem: `not_found`.
    #[oai(path = "/:name", method = "get", operation_id = "role")]
    async fn one(
        &self,
        Allowed(permit): Allowed<RolesRead>,
        name: Path<String>,
    ) -> Result<Json<RoleAnswer>, Problem> {
        Ok(Json(self.roles.one(&permit, &name).await?.into()))
    }

    /// Make or change a role
    ///
    /// If it loses a permission, the access tokens of its owners are revoked, provided that they are 1,000 at most; those of
    /// more run out. Permission: `roles:write`. Problems: `validation_failed`, `forbidden`, `conflict`.
    #[oai(path = "/:name", method = "put", operation_id = "putRole")]
    async fn put(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<RolesWrite>,
        name: Path<String>,
        Body(body): Body<RoleBody>,
    ) -> Result<RolePut, Problem> {
        let new = parse(&name, body.description.unwrap_or_default(), &body.permissions)?;
        let (roles, context) = (self.roles.clone(), context.clone());
        let flow = async move { roles.put(&permit, &new, &context).await };
        let PutRole { role, is_new } = self.flows.to_the_end(flow).await??;
        let role = Json(role.into());
        Ok(if is_new { RolePut::Created(role) } else { RolePut::Changed(role) })
    }

    /// Remove a role
    ///
    /// One that nobody has. Permission: `roles:write`. Problems: `not_found`, `forbidden`, `conflict`.
    #[oai(path = "/:name", method = "delete", operation_id = "deleteRole")]
    async fn delete(
        &self,
        context: Data<&RequestContext>,
        Allowed(permit): Allowed<RolesWrite>,
        name: Path<String>,
    ) -> Result<Done, Problem> {
        let (roles, context) = (self.roles.clone(), context.clone());
        self.flows.to_the_end(async move { roles.remove(&permit, &name, &context).await }).await??;
        Ok(Done::Done)
    }
}

#[derive(Deserialize, Object)]
struct RoleBody {
    /// For people, 1,000 characters at most.
    description: Option<String>,
    /// What it lets its owners do, 128 at most.
    permissions: Vec<String>,
}

#[derive(ApiResponse)]
enum RolePut {
    /// It was changed.
    #[oai(status = 200)]
    Changed(Json<RoleAnswer>),
    /// It was made.
    #[oai(status = 201)]
    Created(Json<RoleAnswer>),
}

#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct RoleList {
    /// By name.
    items: Vec<RoleAnswer>,
    /// Never here: all roles are on one page.
    next_cursor: Option<String>,
}

#[derive(Object)]
#[oai(rename = "Role")]
struct RoleAnswer {
    name: String,
    description: String,
    permissions: Vec<String>,
}

impl From<Role> for RoleAnswer {
    fn from(role: Role) -> Self {
        Self {
            name: role.name.to_string(),
            description: role.description,
            permissions: role.permissions.iter().map(Permission::to_string).collect(),
        }
    }
}
