//! The graph of a crate's modules, and the circles in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::resolve::Target;
use super::tree::{Crate, Mention, ModuleId};

/// Modules that use each other, directly or through others.
#[derive(Debug)]
pub(super) struct Circle {
    pub(super) modules: Vec<String>,
    edges: Vec<Edge>,
}

/// One module that uses another, and where.
#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    file: PathBuf,
    /// Each line, and the path as written there.
    uses: BTreeMap<usize, String>,
}

impl fmt::Display for Circle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} modules: {}", self.modules.len(), self.modules.join(", "))?;
        for Edge { from, to, file, uses } in &self.edges {
            writeln!(formatter, "  {from} -> {to}")?;
            for (line, path) in uses {
                writeln!(formatter, "    {}:{line}: {path}", file.display())?;
            }
        }
        Ok(())
    }
}

/// For each module with a file, the modules that it uses, with the lines.
type Graph = BTreeMap<ModuleId, BTreeMap<ModuleId, BTreeMap<usize, String>>>;

/// Finds the circles of a crate.
pub(super) fn circles(krate: &Crate) -> Vec<Circle> {
    let graph = graph(krate);
    let reachable: BTreeMap<_, _> = graph.keys().map(|from| (*from, reachable(&graph, *from))).collect();
    let reaches = |from: &ModuleId, to: &ModuleId| reachable.get(from).is_some_and(|all| all.contains(to));
    let (mut circles, mut seen) = (vec![], BTreeSet::new());
    for first in graph.keys() {
        let members: Vec<_> =
            graph.keys().filter(|other| reaches(first, other) && reaches(other, first)).copied().collect();
        if !members.is_empty() && seen.insert(members.clone()) {
            circles.push(circle(krate, &graph, &members));
        }
    }
    circles
}

/// Returns all modules that can be reached from one by at least one step.
fn reachable(graph: &Graph, from: ModuleId) -> BTreeSet<ModuleId> {
    let (mut all, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(at) = next.pop() {
        let uses = graph.get(&at).into_iter().flat_map(BTreeMap::keys);
        next.extend(uses.filter(|to| all.insert(**to)).copied().collect::<Vec<_>>());
    }
    all
}

fn circle(krate: &Crate, graph: &Graph, members: &[ModuleId]) -> Circle {
    let edges = members.iter().flat_map(|from| {
        let uses = graph.get(from).into_iter().flatten();
        uses.filter(|(to, _)| members.contains(to)).map(|(to, uses)| Edge {
            from: name(krate, *from),
            to: name(krate, *to),
            file: krate.modules.get(*from).map(|module| module.file.clone()).unwrap_or_default(),
            uses: uses.clone(),
        })
    });
    Circle { modules: members.iter().map(|id| name(krate, *id)).collect(), edges: edges.collect() }
}

fn graph(krate: &Crate) -> Graph {
    let mut graph = Graph::new();
    for (id, module) in krate.modules.iter().enumerate() {
        let from = with_file(krate, id);
        let uses = graph.entry(from).or_default();
        let imports = module.imports.iter().map(|import| (&import.target, import.is_reexport));
        let mentions = module.mentions.iter().map(|mention| (mention, false));
        for (Mention { segments, line }, is_reexport) in imports.chain(mentions) {
            // Naming a module without one of its items is no use.
            let Some(Target::ItemOf(defined_in)) = krate.resolve(id, segments) else { continue };
            let to = with_file(krate, defined_in);
            let is_own_reexport = is_reexport && is_below(krate, to, from);
            if to != from && !is_own_reexport {
                uses.entry(to).or_default().entry(*line).or_insert_with(|| segments.join("::"));
            }
        }
    }
    graph
}

/// Returns the module whose file contains this one.
fn with_file(krate: &Crate, id: ModuleId) -> ModuleId {
    match krate.modules.get(id) {
        Some(module) if module.is_inline => module.parent.map_or(id, |parent| with_file(krate, parent)),
        _ => id,
    }
}

fn is_below(krate: &Crate, module: ModuleId, above: ModuleId) -> bool {
    let parent = krate.modules.get(module).and_then(|module| module.parent);
    parent.is_some_and(|parent| parent == above || is_below(krate, parent, above))
}

fn name(krate: &Crate, id: ModuleId) -> String {
    let path = krate.modules.get(id).map(|module| module.path.join("::")).unwrap_or_default();
    if path.is_empty() { "crate".into() } else { path }
}
