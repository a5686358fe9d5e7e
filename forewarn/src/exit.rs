//! What went wrong, as a process exit code (sysexits): 64 usage, 65 bad data, 66 no input, 69 service not
//! there, 70 conflict or bug, 74 input/output, 75 try again, 78 configuration or model invalid.

/// A command line that contradicts itself.
pub(crate) const USAGE: u8 = 64;
const BAD_DATA: u8 = 65;
const NO_INPUT: u8 = 66;
const UNAVAILABLE: u8 = 69;
const SOFTWARE: u8 = 70;
const IO: u8 = 74;
const CONFIG: u8 = 78;

/// An error with a code of its own, for causes that are not a library's.
#[derive(Debug)]
pub(crate) struct Coded(pub(crate) u8, pub(crate) String);

impl std::fmt::Display for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Coded {}

/// A usage error.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Coded(USAGE, message.into()).into()
}

/// A service that does not answer.
#[cfg(feature = "client")]
pub(crate) fn unavailable(message: impl Into<String>) -> anyhow::Error {
    Coded(UNAVAILABLE, message.into()).into()
}

/// The exit code of an error, from the first cause that has one.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(Coded(code, _)) = cause.downcast_ref::<Coded>() {
            return *code;
        }
        #[cfg(feature = "score")]
        if let Some(error) = cause.downcast_ref::<score::ScoreError>() {
            return error.exit_code();
        }
        if let Some(error) = cause.downcast_ref::<model::ModelError>() {
            return match error {
                model::ModelError::Io { source, .. } => io_code(source),
                _ => CONFIG,
            };
        }
        #[cfg(feature = "data")]
        if let Some(error) = cause.downcast_ref::<datasets::DatasetError>() {
            return dataset_code(error);
        }
        #[cfg(all(feature = "lab", target_os = "linux"))]
        if let Some(error) = cause.downcast_ref::<lab::LabError>() {
            match error {
                lab::LabError::Io { source, .. } => return io_code(source),
                lab::LabError::Families { .. } => return CONFIG,
                lab::LabError::Run { .. } => return BAD_DATA,
                lab::LabError::Cgroup { .. } | lab::LabError::Host { .. } | lab::LabError::Program { .. } => {
                    return UNAVAILABLE;
                }
                // What it holds comes next.
                _ => {}
            }
        }
        #[cfg(feature = "train")]
        if let Some(error) = cause.downcast_ref::<train::TrainError>() {
            match error {
                train::TrainError::Config { .. } | train::TrainError::Checkpoint { .. } => return CONFIG,
                train::TrainError::Data { .. }
                | train::TrainError::Diverged { .. }
                | train::TrainError::Study { .. } => {
                    return BAD_DATA;
                }
                train::TrainError::Io { source, .. } => return io_code(source),
                _ => {}
            }
        }
        #[cfg(feature = "serve")]
        if let Some(error) = cause.downcast_ref::<serve::ServeError>() {
            return match error {
                serve::ServeError::Bind { .. } => UNAVAILABLE,
                _ => CONFIG,
            };
        }
        if cause.downcast_ref::<features::FeatureError>().is_some() {
            return BAD_DATA;
        }
        if cause.downcast_ref::<survival::SurvivalError>().is_some() {
            return BAD_DATA;
        }
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            return io_code(error);
        }
    }
    SOFTWARE
}

#[cfg(feature = "data")]
fn dataset_code(error: &datasets::DatasetError) -> u8 {
    match error {
        datasets::DatasetError::NotFound { .. } => NO_INPUT,
        datasets::DatasetError::DiskFull { .. } => IO,
        datasets::DatasetError::Io { error, .. } => io_code(error),
        _ => BAD_DATA,
    }
}

fn io_code(error: &std::io::Error) -> u8 {
    match error.kind() {
        std::io::ErrorKind::NotFound => NO_INPUT,
        _ => IO,
    }
}
