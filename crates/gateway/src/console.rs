//! The console: pages for people's browsers, compiled in. They hold nothing of anybody's and need no
//! credential; every call of data that they make does. What is served is this table and nothing else: a
//! path is compared, never opened.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{Response, StatusCode, Uri};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::errors::{Fault, Shape};
use crate::routes::App;
use crate::walk::Walk;

/// Nothing but this server's own files, by which no text can become a script: `trusted-types` without a
/// policy refuses `innerHTML` and its kin in the browser itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// What a page needs not: it is refused, so that a mistake cannot use it.
const PERMISSIONS: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), serial=()";

/// A file of the console.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $kind:expr) => {
        Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../console/", $name)) }
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Everything there is. The first is the page of every address; which view it shows is its script's to say.
static ASSETS: [Asset; 13] = [
    asset!("index.html", HTML),
    asset!("console.css", CSS),
    asset!("icon.svg", SVG),
    asset!("main.js", SCRIPT),
    asset!("session.js", SCRIPT),
    asset!("elements.js", SCRIPT),
    asset!("chat.js", SCRIPT),
    asset!("stream.js", SCRIPT),
    asset!("findings.js", SCRIPT),
    asset!("ledger.js", SCRIPT),
    asset!("record.js", SCRIPT),
    asset!("proof.js", SCRIPT),
    asset!("models.js", SCRIPT),
];

/// Addresses of pages, beside `/console/records/{number}`.
const PAGES: [&str; 3] = ["", "ledger", "models"];

/// The routes of the console.
pub(crate) fn routes<W: Walk>() -> Router<Arc<App<W>>> {
    Router::new().route("/console", get(serve)).route("/console/{*path}", get(serve))
}

async fn serve(uri: Uri, headers: HeaderMap) -> Response<Body> {
    let found = uri.path().strip_prefix("/console").and_then(|path| match path.strip_prefix('/') {
        Some(path) => found(path),
        None => found(path).filter(|_| path.is_empty()),
    });
    let Some((asset, tag)) = found else {
        let message = format!("the console has no {}", uri.path());
        return with_policy(
            Fault::new(StatusCode::NOT_FOUND, "not_found", message).into_response(Shape::OpenAi),
        );
    };
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = known.flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    });
    let mut response =
        Response::new(if known { Body::empty() } else { Body::from(Bytes::from_static(asset.bytes)) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    }
    // Kept, and asked for again each time: an update of the server is seen at once.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    with_policy(response)
}

/// A file by its name, and a page by its address.
fn found(path: &str) -> Option<(&'static Asset, &'static str)> {
    static TAGS: OnceLock<Vec<String>> = OnceLock::new();
    let is_record = path
        .strip_prefix("records/")
        .is_some_and(|number| (1..=20).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()));
    let place = match path {
        _ if PAGES.contains(&path) || is_record => 0,
        "index.html" => return None,
        path => ASSETS.iter().position(|asset| asset.name == path)?,
    };
    let tags = TAGS.get_or_init(|| ASSETS.iter().map(|asset| tag(asset.bytes)).collect());
    Some((ASSETS.get(place)?, tags.get(place)?))
}

fn tag(bytes: &[u8]) -> String {
    let hexadecimal: String =
        Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hexadecimal}\"")
}

fn with_policy(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of all files together.
    const BYTES_MAX: usize = 120_000;

    fn ask(path: &str, known: Option<&str>) -> Response<Body> {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(known).unwrap());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(serve(path.parse().unwrap(), headers))
    }

    #[test]
    fn every_file_has_its_type_and_the_headers() {
        for (path, kind) in [
            ("/console", HTML),
            ("/console/", HTML),
            ("/console/ledger", HTML),
            ("/console/models", HTML),
            ("/console/records/7", HTML),
            ("/console/console.css", CSS),
            ("/console/main.js", SCRIPT),
            ("/console/icon.svg", SVG),
        ] {
            let response = ask(path, None);
            assert_eq!(response.status(), 200, "{path}");
            let header = |name: &str| response.headers()[name].to_str().unwrap();
            assert_eq!(header("content-type"), kind, "{path}");
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert_eq!(header("cache-control"), "no-cache");
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"));
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let tag = ask("/console/main.js", None).headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(tag.len(), 34);
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let response = ask("/console/main.js", Some(&known));
            assert_eq!(response.status(), 304, "{known}");
            assert_eq!(response.headers()[ETAG].to_str().unwrap(), tag);
            assert!(response.headers().contains_key(CONTENT_SECURITY_POLICY));
        }
        assert_eq!(ask("/console/main.js", Some("\"x\"")).status(), 200);
        assert_ne!(ask("/console/console.css", None).headers()[ETAG].to_str().unwrap(), tag);
    }

    #[test]
    fn nothing_else_is_served() {
        for path in [
            "/console/../Cargo.toml",
            "/console/..%2fCargo.toml",
            "/console/%2e%2e/src/lib.rs",
            "/console//etc/passwd",
            "/console/records/",
            "/console/records/x",
            "/console/records/1/2",
            "/console/records/123456789012345678901",
            "/console/index.html",
            "/console/main.js/",
            "/console/MAIN.JS",
            "/consolemain.js",
        ] {
            let response = ask(path, None);
            assert_eq!(response.status(), 404, "{path}");
            assert!(response.headers().contains_key(CONTENT_SECURITY_POLICY), "{path}");
        }
    }

    /// By which a text could become markup or code. The browser refuses them too, by the policy.
    const FORBIDDEN: [&str; 10] = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "createContextualFragment",
        "DOMParser",
        "setHTML",
        "javascript:",
    ];

    #[test]
    fn small_and_of_this_server_alone() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum();
        assert!(bytes < BYTES_MAX, "{bytes} bytes");
        for asset in &ASSETS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let outside = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("://"), "{} names another server", asset.name);
            for word in FORBIDDEN {
                assert!(!text.contains(word), "{} has {word}", asset.name);
            }
            for word in ["<style", " style=", " onclick=", " onload=", " onerror="] {
                assert!(asset.kind != HTML || !text.contains(word), "{} has {word}", asset.name);
            }
        }
    }
}
