//! A new certificate from the parent.

use nqsync_core::protocol::{Renew, RenewRequest, Renewed};

use super::{LinkError, Upstream};

impl Upstream {
    /// What the parent wants renewed, as it said at the last greeting.
    pub fn renewal_wanted(&self) -> Option<Renew> {
        *self.renew()
    }

    /// Has a key certified: the one this connection is held with, or the next. Answers the certificate, PEM.
    pub async fn certify(&self, csr: String) -> Result<String, LinkError> {
        let renewed: Renewed = self.ask("renew", &RenewRequest { csr }).await?;
        *self.renew() = None;
        Ok(renewed.certificate)
    }

    pub(super) fn renew(&self) -> std::sync::MutexGuard<'_, Option<Renew>> {
        self.inner
            .renew
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
