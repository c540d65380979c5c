//! The parts of a setting: name, type, and the commands that have it.

/// A setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// The TOML key, with its table before the dot.
    pub(crate) name: &'static str,
    /// The flag, without its dashes. The environment variable is named after it.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// `[[grant]]` tables.
    Grants,
}

/// A group of settings in help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heading {
    Server,
    Storage,
    Permissions,
    Identity,
    Delivery,
    Cors,
    Limits,
    Log,
}

impl Heading {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Storage => "Storage",
            Self::Permissions => "Permissions",
            Self::Identity => "Identity",
            Self::Delivery => "Delivery",
            Self::Cors => "Cross-origin requests",
            Self::Limits => "Limits",
            Self::Log => "Log",
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
    /// The settings of a front server's configuration: `config nginx`.
    Front,
    /// The accounts file: `account list`.
    AccountsFile,
    /// The accounts file, and what `--wait` needs: `account add`.
    AccountChange,
}

impl Key {
    pub(crate) fn environment(&self) -> String {
        format!("PRIVATE_MEDIA_{}", self.flag.replace('-', "_").to_uppercase())
    }

    pub(super) fn is_in(&self, scope: Scope) -> bool {
        scope == Scope::All || self.scopes.contains(&scope)
    }
}
