//! What a slice holds, and what becomes of one that was changed.

use ledger::{Choice, ENROL_KEY};
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use lineage::slice::{Everything, Reader, Scope, Slice, SliceError};
use tlog::{Policy, leaf_hash};

use crate::site::{Answer, Person, REPOSITORY, Site};

const TEXT: &str = "procedure Swap (Left, Right : in out Integer) is\n   Held : constant Integer := Left;\nbegin\n   Left := Right;\n   Right := Held;\nend Swap;\n";

fn read(bytes: &[u8], policy: &str) -> Result<Slice, SliceError> {
    Reader::open(Cursor::new(bytes))?
        .read(&Policy::parse(policy.as_bytes()).unwrap(), &mut Everything::default())
}

fn site(directory: &tempfile::TempDir) -> Site {
    let site = Site::new(directory.path());
    for (number, choice) in
        [Choice::Accepted, Choice::Shown, Choice::Rejected, Choice::PartlyAccepted].into_iter().enumerate()
    {
        let text = format!("-- {number}\n{TEXT}");
        let accepted_bytes = (choice == Choice::PartlyAccepted).then_some(60);
        site.answer(&Answer {
            choice: Some(choice),
            accepted_bytes,
            ..Answer::accepted(&text, "src/swap.adb")
        });
    }
    site.answer(&Answer { repository: Some("other"), ..Answer::accepted("other := text (1);", "a.adb") });
    site.answer(&Answer {
        repository: None,
        choice: None,
        ..Answer::accepted("chatted := text (2);", "a.adb")
    });
    site.key(ENROL_KEY, &Person::new("grace", 2));
    site
}

fn of(repository: Option<&str>) -> Scope {
    Scope { repository: repository.map(str::to_owned), ..Scope::default() }
}

#[test]
fn what_a_slice_holds() {
    let directory = tempfile::tempdir().unwrap();
    let site = site(&directory);
    let check = |scope: Scope, expected: usize| {
        let bytes = site.slice(scope);
        for text in ["Swap", "Integer", "chatted"] {
            assert!(!bytes.windows(text.len()).any(|part| part == text.as_bytes()), "{text} is in the slice");
        }
        let slice = read(&bytes, &site.policy()).unwrap();
        assert_eq!(slice.records.len(), expected);
        assert_eq!(slice.records_total, expected as u64);
        assert_eq!(slice.context.len(), 1, "the enrolled key");
        for record in &slice.records {
            let proof = slice.proof(record.result_index).unwrap();
            let leaf = leaf_hash(&site.ledger.leaf(record.result_index).unwrap());
            proof.verify(&leaf, &Policy::parse(site.policy().as_bytes()).unwrap()).unwrap();
            assert!(slice.proof(record.result_index + 1000).is_none());
        }
        slice
    };
    let slice = check(of(Some(REPOSITORY)), 3);
    let partly = slice.records.iter().find(|record| record.facts.accepted_lines.is_some()).unwrap();
    assert_eq!(partly.accepted_lines(), 2, "the comment and the first line");
    check(Scope { unnamed: true, ..of(Some(REPOSITORY)) }, 4);
    check(Scope { rejected: true, ..of(Some(REPOSITORY)) }, 4);
    check(of(None), 5);
    check(of(Some("nowhere")), 0);
}

/// Every byte of a slice counts: each changed one is refused, and so is each part of it alone.
#[test]
fn every_changed_byte_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let site = site(&directory);
    let bytes = site.slice(of(Some(REPOSITORY)));
    let policy = site.policy();
    let untouched = read(&bytes, &policy).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        match read(&changed, &policy) {
            Err(_) => {}
            // A letter's case in the note's base64 tail may spell the same bytes: then nothing changed.
            Ok(slice) => {
                assert_eq!(format!("{:?}", slice.records), format!("{:?}", untouched.records), "byte {at}")
            }
        }
    }
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length], &policy).is_err(), "cut off at {length}");
    }
}

/// A file that is another once somebody goes back in it.
struct Changing {
    now: Cursor<Vec<u8>>,
    then: Vec<u8>,
}

impl Read for Changing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.now.read(buffer)
    }
}

impl Seek for Changing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if matches!(to, SeekFrom::Start(_)) {
            *self.now.get_mut() = self.then.clone();
        }
        self.now.seek(to)
    }
}

/// Records for which there is no room are read a second time, and must be what was verified.
#[test]
fn what_is_not_kept_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let site = site(&directory);
    let (bytes, text) = (site.slice(of(Some(REPOSITORY))), site.policy());
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let again = |then: Vec<u8>, kept_bytes_max| {
        let now = Cursor::new(bytes.clone());
        let reader = Reader::open(Changing { now, then })?.keeping(kept_bytes_max);
        reader.read(&policy, &mut Everything::default()).map(|slice| format!("{:?}", slice.records))
    };
    let kept = format!("{:?}", read(&bytes, &text).unwrap().records);
    // No room, room for one, and for all.
    for kept_bytes_max in [0, 1000, usize::MAX] {
        assert_eq!(again(bytes.clone(), kept_bytes_max).unwrap(), kept);
    }
    let head = lineage::slice::FIRST_LINE.len();
    let chunk = head + 4 + u32::from_le_bytes(bytes[head..head + 4].try_into().unwrap()) as usize;
    let packed = u32::from_le_bytes(bytes[chunk + 8..chunk + 12].try_into().unwrap()) as usize;
    let mut refused = 0;
    for at in chunk..chunk + 12 + packed {
        let mut then = bytes.clone();
        then[at] ^= 1;
        match again(then, 0) {
            Err(_) => refused += 1,
            Ok(records) => assert_eq!(records, kept, "byte {at}"),
        }
    }
    assert!(refused > packed / 2, "{refused} of {packed} changes were seen");
    assert!(again(bytes[..chunk].to_vec(), 0).is_err(), "it is shorter now");
}

/// What somebody with a whole slice can put together is refused, by name.
#[test]
fn parts_of_other_slices() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let site = site(&one);
    let policy = site.policy();
    let before = site.slice(of(Some(REPOSITORY)));
    site.answer(&Answer::accepted("More := Text (3) + 4;", "src/more.adb"));
    let after = site.slice(of(Some(REPOSITORY)));
    let split = |bytes: &[u8]| {
        let head = lineage::slice::FIRST_LINE.len();
        let length = u32::from_le_bytes(bytes[head..head + 4].try_into().unwrap()) as usize;
        let (head, rest) = bytes.split_at(head + 4 + length);
        // One chunk each.
        let packed = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (chunk, proof) = rest.split_at(12 + packed);
        (head.to_vec(), chunk.to_vec(), proof.to_vec())
    };
    let (old, new) = (split(&before), split(&after));
    let check = |parts: [&[u8]; 3], expected: fn(&SliceError) -> bool| {
        let error = read(&parts.concat(), &policy).unwrap_err();
        assert!(expected(&error), "{error}");
    };
    // An older chunk under a newer seal: a record is left out.
    check([&new.0, &old.1, &new.2], |error| matches!(error, SliceError::Contents { .. }));
    check([&new.0, &[], &new.2], |error| matches!(error, SliceError::Contents { .. }));
    // A proof of other leaves.
    check([&new.0, &new.1, &old.2], |error| matches!(error, SliceError::Inclusion));
    // Another log's, with the same name.
    let forged = Site::keyed(other.path(), [8; 32]);
    forged.answer(&Answer::accepted(TEXT, "src/swap.adb"));
    let forged = forged.slice(of(Some(REPOSITORY)));
    assert!(matches!(read(&forged, &policy), Err(SliceError::Judge(_))));
}
