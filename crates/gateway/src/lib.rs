//! The HTTP surface: reads a client's dialect into one [`assist::Request`], hands it to the walk, and
//! words what comes back in the same dialect. Serves listeners that were opened elsewhere; it never
//! binds and never dials.
//!
//! | route | dialect | follows |
//! |---|---|---|
//! | `POST /v1/chat/completions`, `POST /v1/completions`, `GET /v1/models` | OpenAI | the OpenAI API, with llama.cpp's `top_k`, `min_p`, `n_predict` and `timings` |
//! | `POST /v1/responses` | OpenAI | the Responses API, as Codex and the openai package use it; nothing is stored |
//! | `POST /v1/messages`, `POST /v1/messages/count_tokens` | Anthropic | the Messages API, as Claude Code and the anthropic package use it |
//! | `POST /infill`, `/completion`, `/tokenize`, `/detokenize`, `/apply-template`, `GET /props`, `/slots` | llama.cpp | `tools/server` of llama.cpp, as llama.vim, llama.vscode and Continue use it |
//! | `/api/…`, `GET /` | Ollama | Ollama's API, as its packages, Continue and Zed use it |
//! | `POST /v1/completions` with `segments`, `/v1/events`, `/v1/health` | Tabby | Tabby's server, as its agent uses it |
//! | `POST /v1/fim/completions` | Mistral | Mistral's API, as Continue uses it |
//! | `GET /v1/cloister/records/{record}` | our own | the document that `cloister explain` shows |
//! | `POST /v1/cloister/decisions` | our own | what a person did with an answer: see docs/http-api.md |
//! | `GET /v1/cloister/ledger/query` | our own | records found by what they are, a person's own |
//! | `GET /health` | llama.cpp | no credential; 503 with the reason when nothing can be answered |
//! | `POST /v1/cloister/trace` | Cloister | what a text has in common with known code |
//! | `POST /v1/cloister/check` | Cloister | what the site's compilers say of a file |
//! | `POST /v1/cloister/generate` | Cloister | fills a hole until a compiler has nothing against it |
//! | `GET /v1/cloister/status`, `/posture`, `/chain` | our own | how the server stands, what the newest look at the jails came to, what serves by whose word |
//! | `GET /v1/cloister/ledger/proof/{index}` | our own | a C2SP tlog-proof of a leaf |
//! | `GET /console` and below | our own | pages for browsers; no credential, for they hold nothing |
//! | `GET /metrics` | Prometheus | needs a credential |
//! | `GET /openapi.json` | OpenAPI | all of this, described; docs/openapi.json is the same |
//!
//! Defaults: a request without `temperature` is greedy, and one without `seed` (or with llama.cpp's
//! -1) has seed 0, so that the same request gives the same bytes unless it asks otherwise. Fields
//! that are not known are ignored, penalties and other samplers among them; fields that are known
//! and have the wrong type or ask what cannot be given are refused by name.
//!
//! Not here: who may ask, limits of concurrency, records ([`assist`]); whether a certificate or a token of elsewhere
//! is to be believed (`credentials`); other dialects.

mod listen;
mod routes;
mod tls;
mod walk;

mod anthropic;
mod context;
mod decisions;
mod dialect;
mod llama_cpp;
mod mistral;
mod ollama;
mod openai;
mod responses;
mod tabby;
mod tools;

mod console;
mod fields;
mod file_check;
mod generate;
mod parameters;
mod query;
mod standing;
mod trace;

mod openapi;

mod errors;
mod stream;

mod metrics;

mod admin;

pub mod fuzzing;

pub use listen::{Listener, ServeError, serve};
pub use tls::Tls;
pub use walk::{Events, Query, Walk};
