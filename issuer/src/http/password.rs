use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;

use super::bearer::Bearer;
use super::body::Body;
use super::flows::Flows;
use super::problem::Problem;
use crate::domain::change_password::{ChangePassword, PasswordChangeRequest};
use crate::domain::context::RequestContext;
use crate::domain::password::Password;

/// What users do about their passwords.
pub(super) struct PasswordApi {
    pub(super) change_password: Arc<ChangePassword>,
    pub(super) flows: Flows,
}

#[OpenApi(prefix_path = "/auth")]
impl PasswordApi {
    /// Change my password
    ///
    /// All sessions end, this one too: log in again with the new password. Problems: `invalid_credentials` if the
    /// current password is not right, `validation_failed` if the new one is not acceptable, `revoked` if the account
    /// changed at the same moment, `too_many_attempts`, `overloaded`.
    #[oai(path = "/change-password", method = "post", operation_id = "changePassword")]
    async fn change_password(
        &self,
        context: Data<&RequestContext>,
        Bearer(caller): Bearer,
        Body(body): Body<ChangePasswordBody>,
    ) -> Result<Json<PasswordChanged>, Problem> {
        let request = PasswordChangeRequest {
            current: Password::new(body.current_password),
            new: Password::new(body.new_password),
        };
        let new = self.change_password.prepare(&caller, request, &context).await?;
        let (change_password, context) = (self.change_password.clone(), context.clone());
        let at = self.flows.to_the_end(async move { change_password.change(new, &context).await }).await??;
        Ok(Json(PasswordChanged {
            success: true,
            message: "The password has been changed. Log in again with the new one.".to_owned(),
            requires_reauth: true,
            password_changed_at: at.to_string(),
        }))
    }
}

#[derive(Deserialize, Object)]
struct ChangePasswordBody {
    /// The password as it is.
    current_password: String,
    /// What it is to be: 10 to 256 characters, not easy to guess, and not the current one.
    new_password: String,
}

#[derive(Object)]
struct PasswordChanged {
    /// Always `true`.
    success: bool,
    /// For people.
    message: String,
    /// Always `true`: every session has ended.
    requires_reauth: bool,
    /// When it was changed.
    password_changed_at: String,
}
