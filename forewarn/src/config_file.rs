//! A settings file, read with its name in every message.

use std::path::Path;

use anyhow::Context;

use crate::exit::Coded;

/// The text of a settings file, or nothing where none was given.
pub(crate) fn text(path: Option<&Path>) -> anyhow::Result<String> {
    match path {
        None => Ok(String::new()),
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("reading settings {}", path.display())),
    }
}

/// A settings struct from a file's text; unknown keys are refused.
#[cfg(feature = "data")]
pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str, path: Option<&Path>) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|error| {
        let name = path.map_or("settings".to_owned(), |path| path.display().to_string());
        Coded(78, format!("{name}: {error}")).into()
    })
}

/// Refuses an output folder that is there already.
pub(crate) fn fresh(out: &Path) -> anyhow::Result<()> {
    if out.exists() {
        return Err(Coded(64, format!("{} exists already; choose another --out or remove it", out.display())).into());
    }
    Ok(())
}

/// Writes a file staged beside its place, synced and renamed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    let mut staged =
        tempfile::NamedTempFile::new_in(parent).with_context(|| format!("writing into {}", parent.display()))?;
    staged
        .write_all(bytes)
        .and_then(|()| staged.as_file().sync_all())
        .with_context(|| format!("writing {}", path.display()))?;
    staged.persist(path).map_err(|error| error.error).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}
