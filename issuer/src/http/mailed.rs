use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;

use super::body::Body;
use super::flows::Flows;
use super::problem::Problem;
use crate::domain::context::RequestContext;
use crate::domain::password::Password;
use crate::domain::password_reset::PasswordReset;
use crate::domain::verify_email::VerifyEmail;

/// What is done by way of a mail with a link in it.
pub(super) struct MailedApi {
    pub(super) password_reset: Arc<PasswordReset>,
    pub(super) verify_email: Arc<VerifyEmail>,
    pub(super) flows: Flows,
}

#[OpenApi(prefix_path = "/auth")]
impl MailedApi {
    /// Ask for a new password
    ///
    /// If an account has this address, a mail with a link goes there. The answer is the same if none has, or if it is no
    /// address at all.
    #[oai(path = "/password-reset", method = "post", operation_id = "requestPasswordReset")]
    async fn request_password_reset(
        &self,
        context: Data<&RequestContext>,
        Body(body): Body<AddressBody>,
    ) -> Result<Asked, Problem> {
        let (password_reset, context) = (self.password_reset.clone(), context.clone());
        let flow = async move { password_reset.request(&body.email, &context).await };
        self.flows.to_the_end(flow).await??;
        Ok(Asked::Accepted)
    }

    /// Set a new password
    ///
    /// With the token of the mailed link, which is good once. All sessions end. Problems: `invalid_token`,
    /// `validation_failed` if the password is not acceptable (the token stays good), `overloaded`.
    #[oai(path = "/password-reset/confirm", method = "post", operation_id = "confirmPasswordReset")]
    async fn confirm_password_reset(
        &self,
        context: Data<&RequestContext>,
        Body(body): Body<ConfirmBody>,
    ) -> Result<Redeemed, Problem> {
        let new = Password::new(body.new_password);
        let reset = self.password_reset.prepare(&body.token, new, &context).await?;
        let (password_reset, context) = (self.password_reset.clone(), context.clone());
        self.flows.to_the_end(async move { password_reset.reset(reset, &context).await }).await??;
        Ok(Redeemed::Done)
    }

    /// Confirm an e-mail address
    ///
    /// With the token of the mailed link, which is good once. Problems: `invalid_token`.
    #[oai(path = "/verify-email", method = "post", operation_id = "verifyEmail")]
    async fn verify_email(
        &self,
        context: Data<&RequestContext>,
        Body(body): Body<TokenBody>,
    ) -> Result<Redeemed, Problem> {
        let (verify_email, context) = (self.verify_email.clone(), context.clone());
        self.flows.to_the_end(async move { verify_email.verify(&body.token, &context).await }).await??;
        Ok(Redeemed::Done)
    }

    /// Ask for the confirmation mail again
    ///
    /// If an account has this address and it has not been confirmed, a mail with a link goes there. The answer is the
    /// same in every case.
    #[oai(path = "/verify-email/resend", method = "post", operation_id = "resendVerification")]
    async fn resend_verification(
        &self,
        context: Data<&RequestContext>,
        Body(body): Body<AddressBody>,
    ) -> Result<Asked, Problem> {
        let (verify_email, context) = (self.verify_email.clone(), context.clone());
        self.flows.to_the_end(async move { verify_email.resend(&body.email, &context).await }).await??;
        Ok(Asked::Accepted)
    }
}

#[derive(Deserialize, Object)]
struct AddressBody {
    /// The account's e-mail address.
    email: String,
}

#[derive(Deserialize, Object)]
struct TokenBody {
    /// From the mailed link.
    token: String,
}

#[derive(Deserialize, Object)]
struct ConfirmBody {
    /// From the mailed link.
    token: String,
    /// 10 to 256 characters, and not easy to guess.
    new_password: String,
}

#[derive(ApiResponse)]
enum Asked {
    /// Whatever can be done about it is being done.
    #[oai(status = 202)]
    Accepted,
}

#[derive(ApiResponse)]
enum Redeemed {
    /// It is done, and the token is used up.
    #[oai(status = 204)]
    Done,
}
