//! The parts of a setting: name, type, and the commands that have it.

/// A setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// The TOML key, with its table before the dot.
    pub(crate) name: &'static str,
    /// The flag, without its dashes. The environment variable is named after it. Most keys of `[[…]]` tables have no flag of their own,
    /// but that of the tables.
    pub(crate) flag: &'static str,
    pub(crate) kind: Kind,
    /// The placeholder of the value in help.
    pub(crate) value_name: &'static str,
    /// The heading in help.
    pub(crate) heading: Heading,
    /// The commands that have the flag, besides those with [`Scope::All`].
    pub(crate) scopes: &'static [Scope],
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

/// The type of a setting in TOML.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// A text that may contain a password, which is not shown.
    Url,
    Number,
    /// A number, or a text.
    NumberOrText,
    Boolean,
    /// An array of texts; as a flag, repeated.
    List,
    /// A text, or an array of texts.
    TextOrList,
    /// A text, or `[[root]]` tables.
    Roots,
    /// `[[grant]]` tables.
    Grants,
    /// `[[…]]` tables of other settings.
    Tables(&'static Tables),
}

/// The tables of one name, such as `[[identity]]`.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The key whose value is the name of the variant. Absent if there is one variant.
    pub(crate) selector: Option<&'static str>,
    pub(crate) variants: &'static [Variant],
}

/// The keys that a table may have.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [&'static Key],
}

/// A group of settings in help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heading {
    Server,
    Storage,
    Permissions,
    Identity,
    Pages,
    Delivery,
    Cors,
    Limits,
    Log,
    Audit,
}

impl Heading {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Storage => "Storage",
            Self::Permissions => "Permissions",
            Self::Identity => "Identity",
            Self::Pages => "Pages",
            Self::Delivery => "Delivery",
            Self::Cors => "Cross-origin requests",
            Self::Limits => "Limits",
            Self::Log => "Log",
            Self::Audit => "Audit",
        }
    }
}

/// The settings that a command has flags for. Settings in the environment and the TOML file are valid for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All settings: `serve`, `config show`.
    All,
    /// The settings that a permission depends on: `check`.
    Decision,
    /// The settings that a deployment is checked for: `doctor`.
    Deployment,
    /// The settings of the identity sources: `who`.
    Identity,
    /// The settings of a front server's configuration: `config nginx`.
    Front,
    /// The audit file and its key: `audit verify`.
    Audit,
    /// The accounts file: `account list`.
    AccountsFile,
    /// The root: `relocate`.
    Relocation,
    /// The accounts file, and what `--wait` needs: `account add`.
    AccountChange,
}

impl Key {
    /// Returns a setting of `[[identity]]` tables that has no flag of its own: the table is the value of `--identity`.
    pub(super) const fn of_source(
        name: &'static str,
        kind: Kind,
        value_name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            flag: "identity",
            kind,
            value_name,
            heading: Heading::Identity,
            scopes: &[],
            default,
            help,
        }
    }

    /// Returns the name of the key in its table, such as `cookie` or `claims.id`.
    pub(crate) fn column(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, column)| column)
    }

    pub(crate) fn environment(&self) -> String {
        format!("PRIVATE_MEDIA_{}", self.flag.replace('-', "_").to_uppercase())
    }

    pub(super) fn is_in(&self, scope: Scope) -> bool {
        scope == Scope::All || self.scopes.contains(&scope)
    }
}
