//! The site that is served, which a reload of the configuration replaces.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use http::{Request, Response};
use private_media_listener::{Handler, PeerState, RawResponse, RequestBody};

use crate::body::Body;
use crate::site::{Headers, Site};

/// The current site. Each connection has a clone, which takes the current site before each request: so a request is served with one
/// configuration from its begin to its end. That costs one atomic load.
pub(crate) struct LiveSite {
    shared: Arc<Shared>,
    /// The site of the current request. Absent before the first one, so that the clone of a listener keeps no old site.
    current: Option<(u64, Arc<OpenSite>)>,
}

struct Shared {
    /// Changes with the site.
    generation: AtomicU64,
    site: Mutex<Arc<OpenSite>>,
}

/// A site, and what ends with it, such as its background tasks.
struct OpenSite {
    site: Site,
    _tasks: Box<dyn Any + Send + Sync>,
}

impl LiveSite {
    /// Serves a site. `tasks` are dropped after its last request.
    pub(crate) fn new(site: Site, tasks: impl Any + Send + Sync) -> Self {
        let site = Mutex::new(Arc::new(OpenSite { site, _tasks: Box::new(tasks) }));
        Self { shared: Arc::new(Shared { generation: AtomicU64::new(0), site }), current: None }
    }

    /// Replaces the site. Requests that have begun are completed with the previous one, which ends with the last of them. An idle
    /// connection keeps it until its next request, or until it is closed.
    pub(crate) fn replace(&self, site: Site, tasks: impl Any + Send + Sync) {
        let next = Arc::new(OpenSite { site, _tasks: Box::new(tasks) });
        let mut current = self.shared.site.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = std::mem::replace(&mut *current, next);
        self.shared.generation.fetch_add(1, Ordering::Release);
        drop(current);
        // Dropped here, unless requests use it, and not while the others wait.
        drop(previous);
    }
}

impl Shared {
    fn current(&self) -> (u64, Arc<OpenSite>) {
        let site = self.site.lock().unwrap_or_else(PoisonError::into_inner);
        (self.generation.load(Ordering::Acquire), Arc::clone(&site))
    }
}

impl Clone for LiveSite {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), current: None }
    }
}

impl Handler for LiveSite {
    type Body = Body;
    type Headers = Headers;

    fn refresh(&mut self) {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if self.current.as_ref().is_none_or(|(current, _)| *current != generation) {
            self.current = Some(self.shared.current());
        }
    }

    async fn respond_to_head(&self, head: &mut Parts, peer: &PeerState) -> RawResponse<Body, Headers> {
        match &self.current {
            Some((_, current)) => current.site.respond_to_head(head, peer).await,
            None => self.shared.current().1.site.respond_to_head(head, peer).await,
        }
    }

    async fn respond(&self, request: Request<RequestBody>, peer: &PeerState) -> Response<Body> {
        match &self.current {
            Some((_, current)) => current.site.respond(request, peer).await,
            None => self.shared.current().1.site.respond(request, peer).await,
        }
    }
}

impl fmt::Debug for LiveSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSite").field("generation", &self.shared.generation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use private_media::{MemoryStorage, PrivateMedia};

    use super::*;

    /// The tasks of a site.
    struct Tasks(Arc<AtomicU64>);

    impl Drop for Tasks {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn site(url: &str) -> Site {
        Site::new(&PrivateMedia::builder(MemoryStorage::default()).build(), url)
    }

    /// Returns the number of the site that the request of a connection has.
    fn number(connection: &LiveSite) -> u64 {
        connection.current.as_ref().unwrap().0
    }

    #[test]
    fn a_request_keeps_its_site_and_the_next_one_has_the_new_one() {
        let ended = Arc::new(AtomicU64::new(0));
        let tasks = || Tasks(Arc::clone(&ended));
        let live = LiveSite::new(site("/old/"), tasks());
        let [mut busy, mut idle] = [live.clone(), live.clone()];
        busy.refresh();
        live.replace(site("/new/"), tasks());
        assert_eq!(number(&busy), 0);
        assert_eq!(ended.load(Ordering::SeqCst), 0, "a request uses the old site");
        idle.refresh();
        assert_eq!(number(&idle), 1);
        busy.refresh();
        assert_eq!(number(&busy), 1);
        assert_eq!(ended.load(Ordering::SeqCst), 1);
        for _ in 0..50 {
            live.replace(site("/newer/"), tasks());
        }
        drop((busy, idle));
        assert_eq!(ended.load(Ordering::SeqCst), 51, "all sites but the current one have ended");
    }
}
