use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::*;

const ORIGIN: &str = "test.example/log";

fn key(number: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[number; 32]))
}

/// Approvals by that many persons.
fn approved(step: Admission, persons: u8, after: u64) -> Admission {
    let text = step.text(ORIGIN, after);
    let approve = |number: u8| {
        let key = key(number);
        let signature = key.sign(ADMISSION_NAMESPACE, HashAlg::Sha512, text.as_bytes()).unwrap();
        Approval {
            person: format!("person-{number}"),
            key: key.public_key().to_openssh().unwrap().parse().unwrap(),
            signature: signature.to_pem(LineEnding::LF).unwrap().trim().to_owned(),
        }
    };
    Admission { approvals: (1..=persons).map(approve).collect(), ..step }
}

fn step(step: Step, number: u8) -> Admission {
    Admission {
        actor: "owner".to_owned(),
        step,
        object: Some(Digest([number; 32])),
        title: format!("coder@{number}"),
        weights: Some(Digest([number + 100; 32])),
        signer: Some(NOBODY.to_owned()),
        alias: None,
        lock: None,
        detail: String::new(),
        approvals: Vec::new(),
    }
}

fn deployed(number: u8) -> Admission {
    Admission {
        alias: Some("coder".to_owned()),
        lock: Some(Digest([number + 200; 32])),
        ..step(Step::Deployed, number)
    }
}

fn withdrawn(number: u8) -> Admission {
    let reason = "a back door".to_owned();
    Admission { object: None, signer: None, detail: reason, ..step(Step::Withdrawn, number) }
}

/// Imported, approved and promoted, from leaf 10 times its number on.
fn promoted(admissions: &mut Admissions, number: u8) {
    let leaf = u64::from(number) * 10;
    admissions.take(leaf, &step(Step::Imported, number), ORIGIN).unwrap();
    let promotion = approved(step(Step::Promoted, number), 2, 0);
    recorded(admissions, leaf + 1, &promotion);
    admissions.take(leaf + 2, &promotion, ORIGIN).unwrap();
}

/// Its approvals, each with a leaf of its own.
fn recorded(admissions: &mut Admissions, leaf: u64, promotion: &Admission) {
    for approval in &promotion.approvals {
        let approvals = vec![approval.clone()];
        let approval = Admission { step: Step::Approved, approvals, ..promotion.clone() };
        admissions.take(leaf, &approval, ORIGIN).unwrap();
    }
}

#[test]
fn the_whole_way_and_back() {
    let mut admissions = Admissions::default();
    promoted(&mut admissions, 1);
    promoted(&mut admissions, 2);
    admissions.take(30, &deployed(1), ORIGIN).unwrap();
    admissions.take(31, &deployed(2), ORIGIN).unwrap();
    assert_eq!(admissions.current("coder").unwrap().leaf, 31);
    // Going back is for two persons, and each time anew.
    assert!(matches!(admissions.check(&deployed(1), ORIGIN), Err(AdmissionError::Approval(_))));
    let back = approved(deployed(1), 2, 31);
    admissions.take(32, &back, ORIGIN).unwrap();
    admissions.take(33, &approved(deployed(2), 2, 32), ORIGIN).unwrap();
    assert!(matches!(admissions.check(&back, ORIGIN), Err(AdmissionError::Approval(_))));
    assert_eq!(admissions.objection("coder", Digest([201; 32])), None, "it did serve");
    assert!(admissions.objection("other", Digest([201; 32])).unwrap().contains("no leaf deployed it"));
    assert!(admissions.objection("coder", Digest([9; 32])).unwrap().contains("no leaf deployed it"));
    let retired = Admission { step: Step::Retired, ..deployed(2) };
    let other = Admission { lock: Some(Digest([1; 32])), ..retired.clone() };
    assert_eq!(admissions.check(&other, ORIGIN), Err(AdmissionError::OtherLock("coder".to_owned())));
    admissions.take(34, &retired, ORIGIN).unwrap();
    assert_eq!(admissions.check(&retired, ORIGIN), Err(AdmissionError::NotDeployed("coder".to_owned())));
    // What served last may serve again; what served before it is a roll-back still.
    admissions.check(&deployed(2), ORIGIN).unwrap();
    assert!(admissions.check(&deployed(1), ORIGIN).is_err());
}

#[test]
fn two_persons_over_exactly_this() {
    let mut admissions = Admissions::default();
    let promotion = step(Step::Promoted, 1);
    assert_eq!(
        admissions.check(&approved(promotion.clone(), 2, 0), ORIGIN),
        Err(AdmissionError::NotImported(Digest([1; 32])))
    );
    admissions.take(1, &step(Step::Imported, 1), ORIGIN).unwrap();
    let refused =
        |step: &Admission| matches!(admissions.check(step, ORIGIN), Err(AdmissionError::Approval(_)));
    assert!(refused(&promotion));
    assert!(refused(&approved(promotion.clone(), 1, 0)));
    let mut twice = approved(promotion.clone(), 1, 0);
    twice.approvals.push(twice.approvals[0].clone());
    assert!(refused(&twice));
    let of_another =
        Admission { approvals: approved(step(Step::Promoted, 2), 2, 0).approvals, ..promotion.clone() };
    assert!(refused(&of_another));
    // Approvals of another log are none here.
    let good = approved(promotion.clone(), 2, 0);
    assert!(admissions.check(&good, "another.example/log").is_err());
    let renamed = Admission { title: "other@1".to_owned(), ..good.clone() };
    assert_eq!(admissions.check(&renamed, ORIGIN), Err(AdmissionError::Other("coder@1".to_owned(), "name")));
    let other = Admission { weights: Some(Digest([1; 32])), ..good.clone() };
    assert!(matches!(admissions.check(&other, ORIGIN), Err(AdmissionError::Other(..))));
    let signed = Admission { signer: Some("somebody".to_owned()), ..good.clone() };
    assert!(matches!(admissions.check(&signed, ORIGIN), Err(AdmissionError::Other(..))));
    assert_eq!(
        admissions.check(&deployed(1), ORIGIN),
        Err(AdmissionError::NotPromoted("coder@1".to_owned()))
    );
    admissions.take(2, &approved(step(Step::Approved, 1), 1, 0), ORIGIN).unwrap();
    assert_eq!(admissions.object(&Digest([1; 32])).unwrap().approvals.len(), 1);
    let unrecorded = AdmissionError::NotRecorded("person-2".to_owned());
    assert_eq!(admissions.check(&good, ORIGIN), Err(unrecorded), "whose key nobody has looked at");
    recorded(&mut admissions, 3, &good);
    admissions.take(4, &good, ORIGIN).unwrap();
    admissions.check(&deployed(1), ORIGIN).unwrap();
}

#[test]
fn the_floor_is_for_good() {
    let mut admissions = Admissions::default();
    promoted(&mut admissions, 1);
    admissions.take(20, &deployed(1), ORIGIN).unwrap();
    let withdrawal = approved(withdrawn(1), 2, 0);
    assert_eq!(admissions.check(&withdrawal, ORIGIN), Err(AdmissionError::Serves("coder".to_owned())));
    admissions.take(21, &Admission { step: Step::Retired, ..deployed(1) }, ORIGIN).unwrap();
    assert!(matches!(admissions.check(&withdrawn(1), ORIGIN), Err(AdmissionError::Approval(_))));
    admissions.take(22, &withdrawal, ORIGIN).unwrap();
    let floor = Err(AdmissionError::Withdrawn(Digest([101; 32]), 22));
    assert_eq!(admissions.check(&approved(deployed(1), 2, 21), ORIGIN), floor);
    assert_eq!(admissions.check(&withdrawal, ORIGIN), floor);
    // Importing it again under another name changes nothing.
    let again =
        Admission { object: Some(Digest([7; 32])), title: "new@1".to_owned(), ..step(Step::Imported, 1) };
    admissions.take(23, &again, ORIGIN).unwrap();
    let promotion = approved(Admission { step: Step::Promoted, ..again }, 2, 0);
    assert_eq!(admissions.check(&promotion, ORIGIN), floor);
    assert!(admissions.objection("coder", Digest([201; 32])).unwrap().contains("withdrew"));
}

#[test]
fn what_has_no_weights_never_serves() {
    let mut admissions = Admissions::default();
    let evidence = Admission { weights: None, ..step(Step::Imported, 1) };
    admissions.take(1, &evidence, ORIGIN).unwrap();
    let promotion = approved(Admission { step: Step::Promoted, ..evidence }, 2, 0);
    assert_eq!(admissions.check(&promotion, ORIGIN), Err(AdmissionError::NoWeights("coder@1".to_owned())));
    // An upstream engine has no object: the administrator answers for it.
    let upstream = Admission { object: None, weights: None, ..deployed(3) };
    admissions.take(2, &upstream, ORIGIN).unwrap();
    assert_eq!(admissions.current("coder").unwrap().object, None);
}
