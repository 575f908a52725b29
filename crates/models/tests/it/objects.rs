use std::fs;
use std::os::unix::fs::PermissionsExt;

use models::object::Object;
use models::objects::{Damage, ObjectsError};

use crate::lab::{Hand, Lab, digest, put, weights};

fn import(lab: &Lab, number: u32, version: &str) -> Object {
    let mut hand = Hand::valid().with("model.gguf", &weights(number));
    hand.description.version = version.parse().unwrap();
    let out = lab.path(&format!("media-{number}-{version}"));
    hand.write(&out);
    let object = lab.import(&out).unwrap();
    assert_eq!(lab.vault.put_object(&object).unwrap(), object.digest());
    object
}

#[test]
fn written_listed_and_found() {
    let lab = Lab::new();
    assert!(lab.vault.objects().unwrap().is_empty());
    let (first, second) = (import(&lab, 1, "1.0"), import(&lab, 2, "2.0"));
    assert_eq!(lab.vault.put_object(&first).unwrap(), first.digest(), "twice is fine");
    assert_eq!(lab.vault.objects().unwrap(), [first.clone(), second.clone()]);
    let path = lab.path("models/objects").join(format!("{}.json", first.digest().hex()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);

    let weights = first.weights().unwrap().digest;
    for wanted in [
        "tiny@1.0".to_owned(),
        first.digest().hex(),
        first.digest().to_string(),
        first.digest().hex()[..8].to_owned(),
        weights.hex()[..12].to_owned(),
    ] {
        assert_eq!(lab.vault.find(&wanted).unwrap(), first, "{wanted}");
    }
    let ambiguous = lab.vault.find("tiny").unwrap_err();
    assert!(matches!(&ambiguous, ObjectsError::Ambiguous { candidates, .. } if candidates.len() == 2));
    assert!(ambiguous.to_string().contains("tiny@2.0"), "{ambiguous}");
    for wanted in ["other", "tiny@3", &first.digest().hex()[..7], ""] {
        assert!(matches!(lab.vault.find(wanted), Err(ObjectsError::Missing(_))), "{wanted}");
    }
}

#[test]
fn a_description_under_another_name_is_none() {
    let lab = Lab::new();
    let first = import(&lab, 1, "1.0");
    let objects = lab.path("models/objects");
    let other = digest(b"other");
    fs::copy(
        objects.join(format!("{}.json", first.digest().hex())),
        objects.join(format!("{}.json", other.hex())),
    )
    .unwrap();
    assert!(matches!(lab.vault.object(&other), Err(ObjectsError::Name { .. })));
    assert!(lab.vault.objects().is_err(), "nothing is passed over");
}

#[test]
fn every_damage_is_reported() {
    let lab = Lab::new();
    let object = import(&lab, 1, "1.0");
    let mut last = (0, 0);
    lab.vault.verify_object(&object, 8, &mut |done, total| last = (done, total)).unwrap();
    assert_eq!(last.0, last.1);
    assert_eq!(last.1, object.files.iter().map(|file| file.bytes).sum::<u64>());
    let blob =
        |name: &str| lab.vault.blob_path(&object.files.iter().find(|file| file.name == name).unwrap().digest);
    fs::remove_file(blob("LICENSE")).unwrap();
    let path = blob("model.gguf");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    put(&path, &bytes);
    let path = blob("reports/speed.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    put(&path, b"{}");
    let Err(ObjectsError::Damaged { damaged, .. }) = lab.vault.verify_object(&object, 2, &mut |_, _| {})
    else {
        panic!("damage was not seen");
    };
    let found: Vec<_> = damaged.iter().map(|file| (file.name.as_str(), &file.damage)).collect();
    assert!(matches!(
        found.as_slice(),
        [
            ("LICENSE", Damage::Missing),
            ("model.gguf", Damage::Changed(_)),
            ("reports/speed.json", Damage::Length { found: 2, expected: 3 })
        ]
    ));
}
