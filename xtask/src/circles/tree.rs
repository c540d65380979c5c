//! The modules of a crate, read from its sources: what each defines, imports and mentions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Macro, Meta, UseTree, Visibility};

/// A module's index in [`Crate::modules`]. The root has index 0.
pub(super) type ModuleId = usize;

/// The modules of one crate.
#[derive(Debug, Default)]
pub(super) struct Crate {
    pub(super) modules: Vec<Module>,
}

/// One module, inline or with a file of its own.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// The path below the crate's root; empty for the root itself.
    pub(super) path: Vec<String>,
    pub(super) file: PathBuf,
    pub(super) parent: Option<ModuleId>,
    pub(super) is_inline: bool,
    pub(super) children: BTreeMap<String, ModuleId>,
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    pub(super) mentions: Vec<Mention>,
}

/// One leaf of a `use` declaration.
#[derive(Debug)]
pub(super) struct Import {
    /// The name in this module; `None` for a glob.
    pub(super) name: Option<String>,
    pub(super) target: Mention,
    pub(super) is_reexport: bool,
}

/// A path as written, and its line.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// Reads a crate from its root file. `read` returns the text of a file, or `None` if there is no such file.
pub(super) fn read_crate(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Result<Crate, String> {
    let mut reader = Reader { read, krate: Crate::default() };
    let folder = root.parent().unwrap_or(Path::new("")).to_owned();
    reader.file_module(root, &folder, Module::default())?;
    Ok(reader.krate)
}

struct Reader<'a> {
    read: &'a dyn Fn(&Path) -> Option<String>,
    krate: Crate,
}

impl Reader<'_> {
    /// Adds the module in a file. `folder` holds the files of its child modules.
    fn file_module(&mut self, file: &Path, folder: &Path, module: Module) -> Result<ModuleId, String> {
        let text = (self.read)(file).ok_or_else(|| format!("{}: no such file", file.display()))?;
        let parsed = syn::parse_file(&text);
        let parsed =
            parsed.map_err(|error| format!("{}:{}: {error}", file.display(), error.span().start().line))?;
        self.module(Module { file: file.to_owned(), ..module }, folder, &parsed.items)
    }

    fn module(&mut self, module: Module, folder: &Path, items: &[Item]) -> Result<ModuleId, String> {
        let id = self.krate.modules.len();
        let mut contents = Contents { module, children: vec![] };
        for item in items {
            contents.visit_item(item);
        }
        let Contents { module, children } = contents;
        let (path, file) = (module.path.clone(), module.file.clone());
        self.krate.modules.push(module);
        for child in children {
            let name = child.ident.to_string();
            let path = [&path[..], std::slice::from_ref(&name)].concat();
            let module = Module { path, parent: Some(id), ..Module::default() };
            let below = folder.join(&name);
            let child = if let Some((_, items)) = &child.content {
                self.module(Module { file: file.clone(), is_inline: true, ..module }, &below, items)?
            } else {
                let beside = folder.join(format!("{name}.rs"));
                let file = if (self.read)(&beside).is_some() { beside } else { below.join("mod.rs") };
                self.file_module(&file, &below, module)?
            };
            if let Some(module) = self.krate.modules.get_mut(id) {
                module.children.insert(name, child);
            }
        }
        Ok(id)
    }
}

/// Collects what one module contains. Child modules are read later.
struct Contents<'a> {
    module: Module,
    children: Vec<&'a ItemMod>,
}

impl Contents<'_> {
    fn import(&mut self, tree: &UseTree, prefix: &[String], is_reexport: bool) {
        let mut add = |name: Option<String>, segments: Vec<String>, line| {
            let target = Mention { segments, line };
            self.module.imports.push(Import { name, target, is_reexport });
        };
        let line = tree.span().start().line;
        // `use a::{self}` imports `a`.
        let path_to = |name: &str| match name {
            "self" if !prefix.is_empty() => prefix.to_vec(),
            _ => [prefix, &[name.to_owned()]].concat(),
        };
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &path_to(&path.ident.to_string()), is_reexport),
            UseTree::Name(name) => {
                let path = path_to(&name.ident.to_string());
                add(path.last().cloned(), path, line);
            }
            UseTree::Rename(rename) => {
                add(Some(rename.rename.to_string()), path_to(&rename.ident.to_string()), line);
            }
            UseTree::Glob(_) => add(None, prefix.to_vec(), line),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(tree, prefix, is_reexport));
            }
        }
    }

    fn mention(&mut self, segments: Vec<String>, line: usize) {
        self.module.mentions.push(Mention { segments, line });
    }

    /// Finds the paths among the tokens of a macro: names joined by `::`.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut segments, mut line, mut colons) = (vec![], 0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_of_path(&mut segments, line);
                        line = ident.span().start().line;
                    }
                    segments.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.end_of_path(&mut segments, line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.end_of_path(&mut segments, line);
    }

    fn end_of_path(&mut self, segments: &mut Vec<String>, line: usize) {
        if !segments.is_empty() {
            self.mention(std::mem::take(segments), line);
        }
    }
}

impl<'ast> Visit<'ast> for Contents<'ast> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name): (&[Attribute], _) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Impl(item) => (&item.attrs, None),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Mod(item) => (&item.attrs, None),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Union(item) => (&item.attrs, Some(&item.ident)),
            Item::Use(item) => (&item.attrs, None),
            _ => (&[], None),
        };
        if is_for_tests(attributes) {
            return;
        }
        self.module.items.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.children.push(item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_test = matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs));
        if !is_test {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.mention(segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_macro(self, item);
        self.tokens(item.tokens.clone());
    }

    /// `pub(in path)` uses nothing of the module that it names.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

/// Returns whether an item exists only in test builds: `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition: String =
                list.tokens.to_string().chars().filter(|character| !character.is_whitespace()).collect();
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    })
}
