//! HTTP clients: one for each runtime, so that a connection stays in the runtime of its requests.
//!
//! A program with a runtime on each core, such as the gateway, would otherwise wake another core for each piece of a response. And a
//! connection of a runtime that has ended would be used once more.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use tokio::runtime::{Handle, Id};
use tokio::sync::OnceCell;

/// The most runtimes whose clients are kept.
const MAX_RUNTIMES: usize = 256;

/// Connects with a client for each runtime.
#[derive(Debug)]
pub(crate) struct PerRuntime;

impl HttpConnector for PerRuntime {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        // Mistakes in the options show now, and not at the first request.
        let spare = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Clients { options: options.clone(), spare, by_runtime: RwLock::default() }))
    }
}

#[derive(Debug)]
struct Clients {
    options: ClientOptions,
    /// For requests outside of a runtime, which fail.
    spare: HttpClient,
    by_runtime: RwLock<HashMap<Id, Arc<OnceCell<HttpClient>>>>,
}

impl Clients {
    /// Returns the client of this runtime. It is made on a thread that may wait, because it reads certificates from the disk.
    async fn current(&self) -> Result<HttpClient, HttpError> {
        let Ok(runtime) = Handle::try_current() else { return Ok(self.spare.clone()) };
        let make = || async {
            let options = self.options.clone();
            let made = runtime.spawn_blocking(move || ReqwestConnector::default().connect(&options)).await;
            let failed = |error| HttpError::new(HttpErrorKind::Unknown, error);
            made.map_err(failed)?.map_err(|error| HttpError::new(HttpErrorKind::Connect, error))
        };
        self.of_runtime(runtime.id()).get_or_try_init(make).await.cloned()
    }

    fn of_runtime(&self, id: Id) -> Arc<OnceCell<HttpClient>> {
        // No panic leaves the map inconsistent, so a poisoned lock is usable.
        if let Some(client) = self.by_runtime.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Arc::clone(client);
        }
        let mut clients = self.by_runtime.write().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_RUNTIMES {
            clients.clear();
        }
        Arc::clone(clients.entry(id).or_default())
    }
}

#[async_trait]
impl HttpService for Clients {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.current().await?.execute(request).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn each_runtime_has_a_client() {
        crate::tls::install_provider();
        let options = ClientOptions::new();
        let spare = ReqwestConnector::default().connect(&options).unwrap();
        let clients = Clients { options, spare, by_runtime: RwLock::default() };
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let count = || clients.by_runtime.read().unwrap().len();
        clients.current().now_or_never().unwrap().unwrap();
        assert_eq!(count(), 0, "outside of a runtime");
        let (one, other) = (runtime(), runtime());
        for (runtime, expected) in [(&one, 1), (&other, 2), (&one, 2)] {
            runtime.block_on(clients.current()).unwrap();
            assert_eq!(count(), expected);
        }
        for _ in 0..MAX_RUNTIMES {
            runtime().block_on(clients.current()).unwrap();
            assert!(count() <= MAX_RUNTIMES);
        }
    }
}
