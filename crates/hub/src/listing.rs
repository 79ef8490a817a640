//! What the hub says about a model: its commit, its files with sizes and checksums, and why it says no.

use std::{collections::BTreeSet, io::Read};

use imbed_core::{Error, ErrorKind, FetchProgress, Result, error::nearest};
use serde::Deserialize;
use serde_json::Value;
use ureq::http::StatusCode;

use crate::{
    digest::Digest,
    http::{Answer, Client, Method, request},
    name::{ModelName, is_commit},
};

/// The list of a model with tens of thousands of files is smaller than this.
const LONGEST_ANSWER: u64 = 64 << 20;

/// A model at one commit, as the hub lists it.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    files: Vec<Listed>,
}

/// A file, as far as the list tells.
#[derive(Debug)]
struct Listed {
    name: String,
    size: Option<u64>,
    digest: Option<Digest>,
}

/// A file with all that is needed to fetch it and to know that it is whole.
#[derive(Debug, Clone)]
pub(crate) struct RemoteFile {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
}

#[derive(Deserialize)]
struct ModelInfo {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Listing {
    /// Whether there is a file `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// All names.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.files.iter().map(|file| file.name.clone()).collect()
    }

    /// Asks the hub for `name`.
    pub(crate) fn of(client: &Client, name: &ModelName, progress: &mut dyn FetchProgress) -> Result<Self> {
        let revision = escaped(name.revision());
        let url = client.url(&format!("/api/models/{}/revision/{revision}?blobs=true", name.repo()));
        let answer = client.ask(Method::Get(0), &url, progress)?;
        if !answer.status().is_success() {
            return Err(refused(client, name, &answer, None));
        }
        Self::from_info(client.host(), name, json(client, answer)?)
    }

    /// What an answer says; `host` gave it.
    fn from_info(host: &str, name: &ModelName, info: ModelInfo) -> Result<Self> {
        let commit = info
            .sha
            .filter(|sha| is_commit(sha))
            .ok_or_else(|| request(host, format!("the answer about {name} names no commit")))?;
        let files = info.siblings.into_iter().filter(|file| is_plain(&file.rfilename)).map(|file| {
            // Of a large file, `blobId` names the pointer that git has, and `lfs` the content.
            let digest = match &file.lfs {
                Some(lfs) => lfs.sha256.as_deref(),
                None => file.blob_id.as_deref(),
            };
            Listed {
                digest: digest.and_then(Digest::of_etag),
                size: file.lfs.as_ref().and_then(|lfs| lfs.size).or(file.size),
                name: file.rfilename,
            }
        });
        Ok(Self { commit, files: files.collect() })
    }

    /// What an answer of these bytes says.
    #[cfg(feature = "__fuzzing")]
    pub(crate) fn of_bytes(name: &ModelName, body: &[u8]) -> Result<Self> {
        let info = serde_json::from_slice(body).map_err(|e| request("a hub", e))?;
        Self::from_info("a hub", name, info)
    }

    /// Size and checksum of the file `name`, which a hub that does not list them is asked for.
    pub(crate) fn file(
        &self,
        client: &Client,
        model: &ModelName,
        name: &str,
        progress: &mut dyn FetchProgress,
    ) -> Result<RemoteFile> {
        let listed = self.files.iter().find(|file| file.name == name).ok_or_else(|| {
            Error::new(ErrorKind::UnknownModel, format!("{model} has no file '{name}'"))
                .hint(format!("it has {}", some(self.files.iter().map(|file| file.name.as_str()))))
        })?;
        if let (Some(size), Some(digest)) = (listed.size, &listed.digest) {
            return Ok(RemoteFile { name: name.to_owned(), size, digest: digest.clone() });
        }
        let answer = client.ask(Method::Head, &file_url(client, model, &self.commit, name), progress)?;
        if answer.status().is_client_error() || answer.status().is_server_error() {
            return Err(refused(client, model, &answer, Some(name)));
        }
        let header = |linked, usual| answer.header(linked).or_else(|| answer.header(usual));
        let digest = header("x-linked-etag", "etag").and_then(Digest::of_etag);
        let size = header("x-linked-size", "content-length").and_then(|size| size.parse().ok());
        match (size, digest) {
            (Some(size), Some(digest)) => Ok(RemoteFile { name: name.to_owned(), size, digest }),
            _ => Err(request(client.host(), format!("there is no checksum for '{name}' of {model}"))
                .hint("what cannot be verified is not used; fetch the folder by other means and name its path")),
        }
    }
}

/// Whether `name` stays below the folder that it is written into.
fn is_plain(name: &str) -> bool {
    !name.contains(['\\', ':', '\0']) && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Where the content of a file is.
pub(crate) fn file_url(client: &Client, model: &ModelName, commit: &str, file: &str) -> String {
    let file: Vec<String> = file.split('/').map(escaped).collect();
    client.url(&format!("/{}/resolve/{commit}/{}", model.repo(), file.join("/")))
}

/// Says why the hub did not give `model`, or its file.
pub(crate) fn refused(client: &Client, model: &ModelName, answer: &Answer, file: Option<&str>) -> Error {
    let status = answer.status();
    let host = client.host();
    let what = file.map_or_else(|| model.to_string(), |file| format!("'{file}' of {model}"));
    let page = client.url(&format!("/{}", model.repo()));
    match (answer.header("x-error-code").unwrap_or_default(), status) {
        ("GatedRepo", _) => gated(client, model, &page),
        ("RevisionNotFound", _) => no_revision(client, model),
        ("EntryNotFound", _) => Error::new(ErrorKind::UnknownModel, format!("{host} has no {what}"))
            .hint(format!("look at {page}; the list of files may have changed meanwhile")),
        (_, StatusCode::UNAUTHORIZED) if bad_token(answer) => {
            Error::new(ErrorKind::Request, format!("{host} does not accept the token that it was shown (401)"))
                .hint("renew HF_TOKEN or the token file; without a token, public models can be had")
        }
        // The hub does not tell strangers which names it has in private, so this is what a wrong name gives, too.
        ("RepoNotFound", _) | (_, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED) => no_model(client, model),
        (_, StatusCode::FORBIDDEN) => Error::new(ErrorKind::Request, format!("{host} forbids {what} (403)"))
            .hint(format!("does the token (HF_TOKEN) have the right to read {page}?")),
        _ => request(host, format!("{what} is answered with {}", status.as_u16()))
            .hint("is HF_ENDPOINT the address of a hub?"),
    }
}

fn bad_token(answer: &Answer) -> bool {
    answer.header("x-error-message").is_some_and(|message| message.contains("Invalid credentials"))
}

fn gated(client: &Client, model: &ModelName, page: &str) -> Error {
    let hint = if client.has_token() {
        format!("your token is known, but has no access yet: ask for it at {page}")
    } else {
        format!("accept its terms at {page}, then give a token with HF_TOKEN or `hf auth login`")
    };
    Error::new(ErrorKind::Request, format!("{model} is gated: its owner asks who uses it")).hint(hint)
}

fn no_model(client: &Client, model: &ModelName) -> Error {
    let candidates = similar_names(client, model);
    let meant = nearest(model.repo(), candidates.iter().map(String::as_str));
    let meant = if meant.is_empty() { String::new() } else { format!("did you mean {}? ", meant.join(", ")) };
    let token = if client.has_token() { "" } else { "; a private model needs a token (HF_TOKEN)" };
    Error::new(ErrorKind::UnknownModel, format!("{} has no model '{}'", client.host(), model.repo()))
        .hint(format!("{meant}look for names at {}{token}", client.url("/models")))
}

/// Names that the hub finds for the model's, and all that its owner has. What cannot be asked for gives none.
fn similar_names(client: &Client, model: &ModelName) -> Vec<String> {
    let queries = [format!("search={}&limit=20", model.short()), format!("author={}&limit=200", model.org())];
    let ask = |query: &String| -> Option<Vec<Value>> {
        let answer = client.ask(Method::Get(0), &client.url(&format!("/api/models?{query}")), &mut ()).ok()?;
        if answer.status().is_success() { json(client, answer).ok() } else { None }
    };
    let mut names: Vec<String> =
        queries.iter().filter_map(ask).flatten().filter_map(|m| Some(m.get("id")?.as_str()?.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

fn no_revision(client: &Client, model: &ModelName) -> Error {
    let url = client.url(&format!("/api/models/{}/refs", model.repo()));
    let answer = client.ask(Method::Get(0), &url, &mut ()).ok().filter(|answer| answer.status().is_success());
    let refs: Value = answer.and_then(|answer| json(client, answer).ok()).unwrap_or_default();
    let names: Vec<&str> = ["branches", "tags"]
        .iter()
        .filter_map(|kind| refs.get(kind)?.as_array())
        .flatten()
        .filter_map(|one| one.get("name")?.as_str())
        .collect();
    let known = if names.is_empty() { String::new() } else { format!("; it has {}", some(names.into_iter())) };
    Error::new(ErrorKind::UnknownModel, format!("{} has no revision '{}'", model.repo(), model.revision()))
        .hint(format!("a revision is a branch, a tag or a commit{known}"))
}

/// The first few of `names`, in one line.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let more = if names.len() > 8 { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(8)].join(", "))
}

fn json<T: serde::de::DeserializeOwned>(client: &Client, answer: Answer) -> Result<T> {
    let mut text = Vec::new();
    answer
        .response
        .into_body()
        .into_reader()
        .take(LONGEST_ANSWER)
        .read_to_end(&mut text)
        .map_err(|e| request(client.host(), format!("the answer breaks off: {e}")).temporary(true))?;
    serde_json::from_slice(&text).map_err(|e| {
        request(client.host(), format!("the answer is not what a hub says: {e}"))
            .hint("is HF_ENDPOINT the address of a hub, and is there a login page in between?")
    })
}

/// `text` as one segment of an address.
fn escaped(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_an_address_has_no_slash() {
        assert_eq!(escaped("refs/pr/15"), "refs%2Fpr%2F15");
        assert_eq!(escaped("model-1_a.bin~ä"), "model-1_a.bin~%C3%A4");
    }

    #[test]
    fn a_name_that_climbs_out_of_its_folder_is_no_file() {
        for (name, plain) in [
            ("onnx/model.onnx", true),
            (".gitattributes", true),
            ("a/../../b", false),
            ("/etc/passwd", false),
            ("a//b", false),
            ("..\\b", false),
            ("c:b", false),
            ("", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(some(["a", "b"].into_iter()), "a, b");
        assert!(some(["a"; 20].into_iter()).ends_with("a, …"));
    }
}
