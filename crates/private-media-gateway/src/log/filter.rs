//! The filter of the log, which a reload of the configuration can replace.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer};

/// The filter of the log of this process.
static FILTER: OnceLock<LiveFilter> = OnceLock::new();

/// A filter that can be replaced. `tracing` remembers for each place in the code whether it is enabled, so a log line does not lock the
/// filter. Filters that depend on spans do, but the gateway has no spans.
#[derive(Debug, Clone)]
pub(super) struct LiveFilter(Arc<RwLock<EnvFilter>>);

impl LiveFilter {
    pub(super) fn new(filter: EnvFilter) -> Self {
        Self(Arc::new(RwLock::new(filter)))
    }

    /// Makes this the filter that [`replace`] replaces.
    pub(super) fn install(self) {
        let _ = FILTER.set(self);
    }

    fn read(&self) -> RwLockReadGuard<'_, EnvFilter> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replaces the filter of the log of this process, if it has one.
pub(super) fn replace(filter: EnvFilter) {
    if let Some(live) = FILTER.get() {
        *live.0.write().unwrap_or_else(PoisonError::into_inner) = filter;
        tracing::callsite::rebuild_interest_cache();
    }
}

impl<S: Subscriber> Layer<S> for LiveFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Layer::<S>::register_callsite(&*self.read(), metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Layer::enabled(&*self.read(), metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&*self.read())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Layer::on_new_span(&*self.read(), attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Layer::on_record(&*self.read(), id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Layer::on_enter(&*self.read(), id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Layer::on_exit(&*self.read(), id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Layer::on_close(&*self.read(), id, context);
    }
}
