//! A child renews its certificate, over a connection that proves the key it has.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use nqsync_core::protocol::{RenewRequest, Renewed};

use super::{Child, Hub, Reply, refuse, small};
use crate::node::renewal::{self, RenewError};

pub(super) async fn renew(
    State(hub): State<Hub>,
    Extension(child): Extension<Child>,
    body: Body,
) -> Result<Json<Renewed>, Reply> {
    let request: RenewRequest = small(&hub, body).await?;
    let Some(authority) = hub.inner.authority.clone() else {
        let message = "this node issues no certificates";
        return Err(refuse(StatusCode::FORBIDDEN, "no_authority", message));
    };
    match renewal::renew(&hub.inner.node, &authority.now(), child.node, &request.csr).await {
        Ok(renewed) => Ok(Json(renewed)),
        Err(RenewError::Request(detail)) => {
            Err(refuse(StatusCode::BAD_REQUEST, "unreadable", detail))
        }
        Err(RenewError::Store(error)) => Err(error.into()),
    }
}
