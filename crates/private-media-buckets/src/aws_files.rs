//! The files of Amazon's tools: `~/.aws/credentials` and `~/.aws/config`.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use object_store::aws::AwsCredential;

/// What the files say about a profile.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    pub(crate) credential: Option<AwsCredential>,
    pub(crate) region: Option<String>,
}

/// The error of a file.
#[derive(Debug)]
pub(crate) enum ProfileError {
    Read(PathBuf, io::Error),
    /// The profile names another way to get credentials.
    Unsupported {
        profile: String,
        key: &'static str,
    },
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Unsupported { profile, key } => write!(
                f,
                "the profile {profile:?} of ~/.aws/config has {key}, which is not supported; \
                 set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ),
        }
    }
}

/// Reads the profile that the environment names. Missing files are empty.
pub(crate) fn read(environment: impl Fn(&str) -> Option<String>) -> Result<Profile, ProfileError> {
    let name = environment("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let home = environment("HOME").map(PathBuf::from);
    let path = |variable: &str, file: &str| {
        environment(variable).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".aws").join(file)))
    };
    let credentials = section(path("AWS_SHARED_CREDENTIALS_FILE", "credentials"), &name)?;
    let config_name = if name == "default" { name.clone() } else { format!("profile {name}") };
    let config = section(path("AWS_CONFIG_FILE", "config"), &config_name)?;
    let value = |key: &str| credentials.get(key).or_else(|| config.get(key)).cloned();
    let credential = value("aws_access_key_id").zip(value("aws_secret_access_key"));
    let credential = credential.map(|(key_id, secret_key)| AwsCredential {
        key_id,
        secret_key,
        token: value("aws_session_token"),
    });
    if credential.is_none() {
        let others = ["credential_process", "role_arn", "sso_session", "sso_start_url"];
        if let Some(key) = others.into_iter().find(|key| value(key).is_some()) {
            return Err(ProfileError::Unsupported { profile: name, key });
        }
    }
    Ok(Profile { credential, region: value("region") })
}

/// Returns the values of a section of a file.
fn section(path: Option<PathBuf>, name: &str) -> Result<HashMap<String, String>, ProfileError> {
    let Some(path) = path else { return Ok(HashMap::new()) };
    Ok(parse_section(&read_file(&path)?, name))
}

fn read_file(path: &Path) -> Result<String, ProfileError> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ProfileError::Read(path.to_owned(), error))
        }
        text => Ok(text.unwrap_or_default()),
    }
}

fn parse_section(text: &str, name: &str) -> HashMap<String, String> {
    let mut is_inside = false;
    let mut values = HashMap::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(section) = trimmed.strip_prefix('[').and_then(|section| section.split(']').next()) {
            is_inside = section.split_whitespace().eq(name.split_whitespace());
        } else if is_inside
            && !trimmed.starts_with(['#', ';'])
            // Indented lines are settings of a setting.
            && !line.starts_with([' ', '\t'])
            && let Some((key, value)) = trimmed.split_once('=')
        {
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: Option<&str>, credentials: &str, config: &str) -> Result<Profile, ProfileError> {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        read(|variable| match variable {
            "AWS_PROFILE" => name.map(str::to_owned),
            "HOME" => home.path().to_str().map(str::to_owned),
            _ => None,
        })
    }

    #[test]
    fn profiles_are_read() {
        let credentials = "[default]\naws_access_key_id = AK\naws_secret_access_key=s=/+\n\
                           # comment\n[ other ]\naws_access_key_id=OTHER\naws_secret_access_key=x\naws_session_token = t\n";
        let config =
            "[default]\nregion = eu-west-1\ns3 =\n  region = no\n[profile other]\nregion=us-east-2\n";
        let found = profile(None, credentials, config).unwrap();
        let credential = found.credential.unwrap();
        assert_eq!(
            (credential.key_id.as_str(), credential.secret_key.as_str(), credential.token),
            ("AK", "s=/+", None)
        );
        assert_eq!(found.region.as_deref(), Some("eu-west-1"));
        let found = profile(Some("other"), credentials, config).unwrap();
        assert_eq!(found.credential.unwrap().token.as_deref(), Some("t"));
        assert_eq!(found.region.as_deref(), Some("us-east-2"));
        let none = profile(Some("missing"), credentials, config).unwrap();
        assert!(none.credential.is_none() && none.region.is_none());
    }

    #[test]
    fn other_ways_are_errors() {
        let error =
            profile(None, "", "[default]\nrole_arn = arn:aws:iam::1:role/x\n").unwrap_err().to_string();
        assert!(error.contains("role_arn"), "{error}");
        assert!(read(|_| None).unwrap().credential.is_none());
    }
}
