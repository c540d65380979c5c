//! Resolves paths to the modules that define their items.

use super::tree::{Crate, Import, ModuleId};

/// The maximum number of imports between a path and its definition.
const MAX_HOPS: usize = 32;

/// The result of resolving a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Module(ModuleId),
    /// An item that this module defines.
    ItemOf(ModuleId),
}

impl Crate {
    /// Resolves a path that is written in a module. Returns `None` for names of other crates and for local names.
    pub(super) fn resolve(&self, from: ModuleId, segments: &[String]) -> Option<Target> {
        let whole = self.resolve_within(from, segments, MAX_HOPS);
        // Names that are defined by a macro or by another crate are unknown.
        whole.or_else(|| {
            let prefixes = (1..segments.len()).rev().filter_map(|len| segments.get(..len));
            let modules = prefixes.filter_map(|prefix| self.resolve_within(from, prefix, MAX_HOPS));
            modules.map(|(Target::Module(module) | Target::ItemOf(module))| Target::ItemOf(module)).next()
        })
    }

    fn resolve_within(&self, from: ModuleId, segments: &[String], hops: usize) -> Option<Target> {
        let hops = hops.checked_sub(1)?;
        let (mut at, mut rest) = (from, segments);
        while let [first, others @ ..] = rest {
            at = match first.as_str() {
                "crate" => 0,
                "self" => at,
                "super" => self.modules.get(at)?.parent?,
                _ => break,
            };
            rest = others;
        }
        while let [name, others @ ..] = rest {
            match self.lookup(at, name, others.is_empty(), hops) {
                Some(Target::Module(module)) => (at, rest) = (module, others),
                Some(item) => return Some(item),
                None => return None,
            }
        }
        Some(Target::Module(at))
    }

    /// Finds a name in a module's own scope. The last name of a path is an item rather than a module.
    fn lookup(&self, at: ModuleId, name: &str, is_last: bool, hops: usize) -> Option<Target> {
        let module = self.modules.get(at)?;
        let child = module.children.get(name).copied().map(Target::Module);
        let item = module.items.contains(name).then_some(Target::ItemOf(at));
        let own = if is_last { item.or(child) } else { child.or(item) };
        own.or_else(|| {
            let named = module.imports.iter().filter(|import| import.name.as_deref() == Some(name));
            self.best(at, named.map(|import| import.target.segments.clone()), is_last, hops)
        })
        .or_else(|| {
            let globs = module.imports.iter().filter(|import| import.name.is_none());
            let paths =
                globs.map(|Import { target, .. }| [&target.segments[..], &[name.to_owned()]].concat());
            self.best(at, paths, is_last, hops)
        })
    }

    /// Resolves the paths of imports. Prefers an item for the last name of a path, and a module for the others.
    fn best(
        &self,
        at: ModuleId,
        paths: impl Iterator<Item = Vec<String>>,
        is_last: bool,
        hops: usize,
    ) -> Option<Target> {
        let targets: Vec<_> = paths.filter_map(|path| self.resolve_within(at, &path, hops)).collect();
        let wanted = |target: &&Target| matches!(target, Target::ItemOf(_)) == is_last;
        targets.iter().find(wanted).or(targets.first()).copied()
    }
}
