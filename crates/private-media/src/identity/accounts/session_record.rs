//! What requests for the pages did to sessions.

use std::sync::Arc;

use super::LoginError;
use crate::identity::User;

/// A sign-in or sign-out, for audits: it is in the extensions of the response of [`Accounts::page`](super::Accounts::page) that it caused.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use private_media::identity::accounts::{Accounts, AccountsFile, AccountsOptions, SessionAction, SessionRecord};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let accounts = Accounts::new(AccountsFile::default(), AccountsOptions::default()).unwrap();
/// let form = Request::post("/-/sign-in").header("sec-fetch-site", "same-origin");
/// let response = accounts.page(form.body(Full::<Bytes>::from("name=eve&password=guess")).unwrap()).await.unwrap();
/// let record = response.extensions().get::<SessionRecord>().unwrap();
/// assert_eq!(record.action, SessionAction::SignIn);
/// assert!(record.user.is_none() && record.refused.is_some());
/// # });
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionRecord {
    /// What the client wanted to do.
    pub action: SessionAction,
    /// The user of the account; `None` if there is no account of the given name, which may be anything, even a password.
    pub user: Option<Arc<User>>,
    /// Why it was refused; `None` if it was not.
    pub refused: Option<LoginError>,
}

/// What a client does with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAction {
    /// Begins a session.
    SignIn,
    /// Ends a session.
    SignOut,
}

impl SessionRecord {
    pub(super) fn signed_in(user: &Arc<User>) -> Self {
        Self { action: SessionAction::SignIn, user: Some(Arc::clone(user)), refused: None }
    }

    pub(super) fn signed_out(user: Option<Arc<User>>) -> Self {
        Self { action: SessionAction::SignOut, user, refused: None }
    }

    pub(super) fn refused(user: Option<Arc<User>>, refused: LoginError) -> Self {
        Self { action: SessionAction::SignIn, user, refused: Some(refused) }
    }
}
