//! A worker that was taken over, seen from the gateway: whatever comes over its socket, the handle says that the worker
//! is gone, at once, and nothing else happens. No model is needed: the hostile side is played here.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use protocol::frame;
use protocol::ids::GenerationId;
use protocol::worker::{FromWorker, ModelFacts, ToWorker};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::*;

/// What is sent in place of the greeting's answer.
#[tokio::test(flavor = "multi_thread")]
async fn no_such_greeting() {
    let cases: [(&str, Vec<u8>); 7] = [
        ("nothing", Vec::new()),
        ("half a header", vec![1, 0]),
        ("a frame that is too long", vec![255; 4]),
        ("half a frame", vec![9, 0, 0, 0, 1, 2]),
        ("garbage", [&[4, 0, 0, 0][..], &[0xff; 4]].concat()),
        ("another message", encoded(&text(1, 1))),
        ("another version", encoded(&FromWorker::Ready(Box::new(Ready { version: VERSION + 1, ..facts() })))),
    ];
    for (name, bytes) in cases {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&bytes).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = within(Worker::connect(ours)).await;
        assert!(matches!(answer, Err(WorkerError::Gone)), "{name}: {answer:?}");
    }
}

/// What is sent while a generation is read.
#[tokio::test(flavor = "multi_thread")]
async fn no_such_answer() {
    let stray = { [encoded(&text(1, 1)).as_slice(), &[0]].concat() };
    let long = FromWorker::Text { id: GenerationId(1), tokens: vec![7], text: "x".repeat(2 << 20) };
    let cases: [(&str, Vec<u8>); 8] = [
        ("a frame that is too long", vec![255; 4]),
        ("a text that is too long", encoded(&long)),
        ("more tokens at once than credit allows", encoded(&text(1, 1000))),
        ("garbage", [&[4, 0, 0, 0][..], &[0xff; 4]].concat()),
        ("stray bytes in a frame", lengthened(stray)),
        ("a second greeting", encoded(&FromWorker::Ready(Box::new(facts())))),
        ("more than credit allows", (0..10_000).flat_map(|_| encoded(&text(1, 1))).collect()),
        ("the end", Vec::new()),
    ];
    for (name, bytes) in cases {
        let (worker, mut theirs) = connected().await;
        let mut generation = worker.generate(order(vec![1])).await.unwrap();
        read_order(&mut theirs);
        let sender = std::thread::spawn(move || {
            // The gateway may close its end in the middle.
            let _ = theirs.write_all(&bytes);
        });
        let last = within(async {
            let mut last = None;
            while let Some(event) = generation.next().await {
                last = Some(event);
            }
            last
        })
        .await;
        assert!(matches!(last, Some(Err(WorkerError::Gone))), "{name}: {last:?}");
        sender.join().unwrap();
        within(async {
            while !worker.is_gone() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert!(matches!(worker.generate(order(vec![1])).await, Err(WorkerError::Gone)), "{name}");
    }
}

/// Answers to what nobody asked, and descriptors beside them, change nothing: the next answer is read as ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_is_dropped() {
    let (worker, mut theirs) = connected().await;
    let mut generation = worker.generate(order(vec![1])).await.unwrap();
    let id = read_order(&mut theirs);
    theirs.write_all(&encoded(&text(id.0 + 1000, 1))).unwrap();
    theirs.write_all(&encoded(&FromWorker::Tokenized { id, tokens: vec![vec![1]] })).unwrap();
    theirs.write_all(&encoded(&FromWorker::Spelled { id, texts: vec![vec![1]] })).unwrap();
    let answer = encoded(&text(id.0, 1));
    let file = tempfile::NamedTempFile::new().unwrap();
    let pushed = [file.as_fd(); 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    assert!(beside.push(SendAncillaryMessage::ScmRights(&pushed)));
    let sent = rustix::net::sendmsg(&theirs, &[IoSlice::new(&answer)], &mut beside, SendFlags::empty());
    assert_eq!(sent.unwrap(), answer.len());
    let event = within(generation.next()).await;
    assert!(matches!(event, Some(Ok(Event::Text { .. }))), "{event:?}");
    // Ours, and none that has come over.
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let of_file =
        |entry: &std::fs::DirEntry| std::fs::read_link(entry.path()).is_ok_and(|path| path == file.path());
    assert_eq!(descriptors.filter(of_file).count(), 1);
    assert!(!worker.is_gone());
}

/// So long on a machine that is busy; a test that hangs fails.
async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it hangs")
}

async fn connected() -> (Worker, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&encoded(&FromWorker::Ready(Box::new(facts())))).unwrap();
    let (worker, _) = within(Worker::connect(ours)).await.unwrap();
    (worker, theirs)
}

fn read_order(theirs: &mut UnixStream) -> GenerationId {
    match read(theirs) {
        ToWorker::Generate(order) => order.id,
        other => panic!("{other:?}"),
    }
}

fn read(theirs: &mut UnixStream) -> ToWorker {
    let mut header = [0; frame::HEADER_BYTES];
    theirs.read_exact(&mut header).unwrap();
    let mut payload = vec![0; frame::payload_len(header).unwrap()];
    theirs.read_exact(&mut payload).unwrap();
    frame::decode(&payload).unwrap()
}

fn encoded(message: &FromWorker) -> Vec<u8> {
    frame::encode(message).unwrap()
}

/// The same frame with its last byte counted in.
fn lengthened(mut frame: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(frame.len() - frame::HEADER_BYTES).unwrap();
    frame[..frame::HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    frame
}

fn text(id: u64, tokens: usize) -> FromWorker {
    FromWorker::Text { id: GenerationId(id), tokens: vec![7; tokens], text: "text".to_owned() }
}

fn facts() -> Ready {
    Ready {
        version: VERSION,
        profile: EngineProfile::Reproducible,
        reproducible: true,
        cpu_features: String::new(),
        cpu_level: String::new(),
        llama_version: String::new(),
        context_tokens: 64,
        trained_context_tokens: 64,
        slots: 1,
        weaker: Vec::new(),
        vocabulary: 10,
        step_costs: Vec::new(),
        fill: None,
        begin_of_text: None,
        end_of_text_spelling: String::new(),
        begin_of_text_spelling: String::new(),
        model: ModelFacts::default(),
    }
}
