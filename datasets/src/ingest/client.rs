//! Asking a running service over HTTP, and saying what to do when it does not answer.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::{DatasetError, Result};

/// How a service knows us.
#[derive(Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Basic …`.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// `Authorization: Bearer …`.
    Bearer(String),
}

impl std::fmt::Debug for Auth {
    /// Without secrets.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// A service and how to talk to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Base address, such as `http://prometheus:9090` or `https://mimir/prometheus`.
    pub url: String,
    /// Who we are.
    pub auth: Auth,
    /// Further headers, such as `X-Scope-OrgID`.
    pub headers: Vec<(String, String)>,
    /// How long it may be silent, while connecting and between two pieces of an answer.
    pub silence: Duration,
    /// How often a request that failed halfway is made, all attempts counted.
    pub attempts: u32,
    /// Wait before the second attempt; doubled before each further one, up to five seconds.
    pub pause: Duration,
    /// How long history waits for a service that has answered before and cannot be connected to now: most likely it is
    /// being restarted. One that never answered is not waited for: its address is wrong.
    pub outage: Duration,
}

impl Endpoint {
    /// A service without authentication, one minute of silence, four attempts, half a minute for a restart.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            auth: Auth::None,
            headers: Vec::new(),
            silence: Duration::from_secs(60),
            attempts: 4,
            pause: Duration::from_secs(1),
            outage: Duration::from_secs(30),
        }
    }

    /// The address without its user and password, for messages and ledgers.
    #[must_use]
    pub fn name(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else { return self.url.clone() };
        let host_end = rest.find('/').unwrap_or(rest.len());
        let rest = rest[..host_end].rfind('@').map_or(rest, |at| &rest[at + 1..]);
        format!("{scheme}://{}", rest.trim_end_matches('/'))
    }
}

/// Why an answer cannot be used.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Asking again may help.
    Passing(String),
    /// There is no connection: it is not there, or not yet again.
    Away(String),
    /// Asking for less may help.
    TooMuch(String),
    /// Somebody has to do something first.
    Lasting(String),
}

impl Trouble {
    /// What was seen and what to do.
    pub(super) fn problem(&self) -> &str {
        let (Self::Passing(problem) | Self::Away(problem) | Self::TooMuch(problem) | Self::Lasting(problem)) = self;
        problem
    }
}

/// A client of one service.
pub(super) struct Client {
    endpoint: Endpoint,
    http: reqwest::Client,
    answered: AtomicBool,
}

impl Client {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self> {
        static PROVIDER: Once = Once::new();
        // Someone else in the process may have chosen a provider; then that one is used.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let refuse = |problem: String| DatasetError::Remote { url: endpoint.name(), problem };
        if !(endpoint.url.starts_with("http://") || endpoint.url.starts_with("https://")) {
            return Err(refuse("the address must begin with http:// or https://".to_owned()));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &endpoint.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| refuse(format!("header name {name:?} is not allowed in HTTP")))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| refuse(format!("the value of header {name} is not allowed in HTTP")))?;
            headers.insert(name, value);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(endpoint.silence)
            .read_timeout(endpoint.silence)
            .build()
            .map_err(|error| refuse(format!("no HTTP client: {}", chain(&error))))?;
        Ok(Self { endpoint: endpoint.clone(), http, answered: AtomicBool::new(false) })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether it has answered anything so far.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.signed(self.http.get(self.address(path)))
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.signed(self.http.post(self.address(path)))
    }

    /// Sends a request; any answer that is no success becomes words.
    pub(super) async fn send(&self, request: RequestBuilder, path: &str) -> Result<Response, Trouble> {
        let response = request.send().await.map_err(|error| explain_transport(&error))?;
        self.answered.store(true, Ordering::Relaxed);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        Err(explain_status(status, path, text.trim()))
    }

    /// Names the service in a trouble that could not be helped.
    pub(super) fn fail(&self, trouble: &Trouble) -> DatasetError {
        DatasetError::Remote { url: self.endpoint.name(), problem: trouble.problem().to_owned() }
    }

    fn address(&self, path: &str) -> String {
        let base = self.endpoint.url.trim_end_matches('/');
        // People paste the whole address as often as the base.
        format!("{}{path}", base.strip_suffix(path).unwrap_or(base))
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.endpoint.auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user, Some(password)),
            Auth::Bearer(token) => request.bearer_auth(token),
        }
    }
}

/// What went wrong below HTTP.
pub(super) fn explain_transport(error: &reqwest::Error) -> Trouble {
    let text = chain(error);
    if error.is_connect() {
        return Trouble::Away(format!("cannot connect: {text}; is it running, and is the address right?"));
    }
    if error.is_timeout() {
        return Trouble::Passing(format!("no answer in time: {text}; ask for shorter windows or wait longer"));
    }
    Trouble::Passing(format!("the answer broke off: {text}"))
}

fn explain_status(status: StatusCode, path: &str, text: &str) -> Trouble {
    let said = if text.is_empty() { String::new() } else { format!(": {}", shorten(text)) };
    match status.as_u16() {
        401 | 403 => Trouble::Lasting(format!("answers {status}{said}; give it the user, token or header it asks for")),
        404 | 405 => Trouble::Lasting(format!(
            "answers {status} at {path}{said}; this service does not offer it there: check the address and its path prefix"
        )),
        400 | 413 | 422 if text.contains("limit") || text.contains("too many") || text.contains("too large") => {
            Trouble::TooMuch(format!("answers {status}{said}"))
        }
        429 | 500..=599 => Trouble::Passing(format!("answers {status}{said}")),
        _ => Trouble::Lasting(format!("answers {status}{said}")),
    }
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

/// An error with its causes, which reqwest keeps to itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
