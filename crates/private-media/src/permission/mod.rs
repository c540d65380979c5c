//! Authorization: [`Permissions`] decide, and a [`Permit`] is the proof.

mod action;
mod context;
mod decision;
mod explanation;
mod grant;
mod permissions;
mod permit;
mod template;

pub use action::{Action, ActionType, Delete, List, Read, Share, UnknownAction, Write};
pub use context::Context;
pub use decision::Decision;
pub use grant::{Grant, GrantError, Grantee, GranteeError, Grants};
pub use permissions::{ByAction, Permissions, by_action};
pub use permit::{Denied, Permit};
pub use template::{Captures, Template, TemplateError};
