//! The admin socket: one [`Request`] and one [`Response`] a connection, in frames, from a peer that
//! the kernel names.

use std::time::Duration;

use protocol::admin::{Request, Response, VERSION};
use protocol::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::walk::Walk;

/// Connections at once.
pub(crate) const CONNECTIONS_MAX: usize = 16;

/// Bytes of a request's payload: names, labels and numbers.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// For the request to arrive, and again for the answer to be taken. What the command itself takes has
/// no limit here: a replay runs as long as the answer did.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves one connection. A command that has begun runs to its end even when the peer goes: half an
/// administration is worse than one that nobody waited for.
pub(crate) async fn converse<W: Walk>(walk: &W, mut stream: UnixStream, uid: u32) {
    let response = match timeout(TRANSFER_TIMEOUT, read(&mut stream)).await {
        Ok(Ok(request)) if request.version == VERSION => walk.administer(uid, request.command).await,
        Ok(Ok(request)) => failed(
            format!("this daemon speaks version {VERSION} of the admin protocol, not {}", request.version),
            "use the commands that came with this daemon",
        ),
        Ok(Err(ReadError::Frame(error))) => failed(
            format!("the admin request could not be read: {error}"),
            "use the commands that came with this daemon",
        ),
        // Nobody is left to be told.
        Ok(Err(ReadError::Transport(error))) => return tracing::debug!(%error, uid, "admin peer went away"),
        Err(_) => failed("the admin request did not arrive in time".to_owned(), ""),
    };
    let bytes = frame::encode(&response).or_else(|error| {
        frame::encode(&failed(format!("the answer could not be sent: {error}"), "ask for less at once"))
    });
    let Ok(bytes) = bytes else { return tracing::error!(uid, "an admin answer could not be encoded") };
    match timeout(TRANSFER_TIMEOUT, stream.write_all(&bytes)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, uid, "admin peer went away before its answer"),
        Err(_) => tracing::debug!(uid, "admin peer did not take its answer"),
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Transport(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] frame::FrameError),
}

async fn read(stream: &mut UnixStream) -> Result<Request, ReadError> {
    let mut header = [0; frame::HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let len = frame::payload_len(header)?;
    if len > REQUEST_BYTES_MAX {
        return Err(frame::FrameError::TooLong(len).into());
    }
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload).await?;
    Ok(frame::decode(&payload)?)
}

fn failed(error: String, hint: &str) -> Response {
    Response::Failed { error, hint: hint.to_owned() }
}
