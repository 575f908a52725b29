//! NIST SP 800-53 Revision 5.

use super::{Control, Framework};

pub(super) const FRAMEWORK: Framework = Framework {
    name: "nist-800-53",
    title: "NIST SP 800-53 Rev. 5",
    preface: "The ledger is evidence of what Cloister did, for the controls below. It is not an assessment: \
              organisation-defined parameters, reviews and everything outside Cloister are the site's to show.",
    controls: &[
        Control {
            id: "AC-3",
            title: "Access Enforcement",
            shows: "Each request was decided before it was answered: an `intent` names the person, the labels and the \
                    digest of the policy that allowed it; a `refusal` names the reason.",
            kinds: &["intent", "refusal"],
            not: "that the policy is the one that the site approved; compare its digest.",
        },
        Control {
            id: "AC-5",
            title: "Separation of Duties",
            shows: "Each administrative act names its actor. A model is promoted, rolled back or withdrawn, and a body \
                    erased, only with signatures of two persons, which are in the leaf.",
            kinds: &["administration", "model", "erasure"],
            not: "a division of duties for other acts: the owner of the data directory alone may administer.",
        },
        Control {
            id: "AC-6",
            title: "Least Privilege",
            shows: "Administration is by the owner of the data directory only, and probes from inside the jails show \
                    what the processes cannot do.",
            kinds: &["administration", "posture"],
            not: "privileges of accounts on the machine.",
        },
        Control {
            id: "AU-2",
            title: "Event Logging",
            shows: "These events are logged: the start of the service, credentials shown, requests before they are \
                    answered, streamed pieces, ends of requests, refusals, decisions of persons about answers, checks, \
                    administration, recoveries, replays, probes.",
            kinds: &[
                "start",
                "login",
                "intent",
                "block",
                "result",
                "refusal",
                "decision",
                "check",
                "administration",
            ],
            not: "that the site chose and reviews the types of events (AU-2 c to e).",
        },
        Control {
            id: "AU-3",
            title: "Content of Audit Records",
            shows: "Each leaf has what (its kind), when (milliseconds, UTC), where (the surface and deployment), the \
                    source (the credential), the outcome, and the identity. What was asked and answered is committed \
                    to, and lies encrypted beside it.",
            kinds: &["intent", "result", "login", "refusal", "administration"],
            not: "addresses of clients: they come over a local socket or loopback.",
        },
        Control {
            id: "AU-4",
            title: "Audit Log Storage Capacity",
            shows: "",
            kinds: &[],
            not: "the capacity allotted to the log. By design nothing is answered once the free space of its disk is \
                  below the configured reserve; that it was so leaves no leaf, for none can be written.",
        },
        Control {
            id: "AU-5",
            title: "Response to Audit Logging Process Failures",
            shows: "An answer leaves only when its leaf is durable, so that a failure of the log shows as requests \
                    without a result, as a `recovered` leaf and as another `start`.",
            kinds: &["start", "recovered", "result"],
            not: "that personnel were alerted (AU-5 a).",
        },
        Control {
            id: "AU-8",
            title: "Time Stamps",
            shows: "Each leaf has the machine's time in milliseconds since 1970, UTC; `start` says whether the kernel's \
                    clock was synchronised then, and with which bound of error.",
            kinds: &["start"],
            not: "to which source of time the machine's clock was synchronised.",
        },
        Control {
            id: "AU-9",
            title: "Protection of Audit Information",
            shows: "Leaves are under one Merkle tree whose root is signed; verification finds a changed, missing or \
                    inserted byte. Texts are encrypted beside them.",
            kinds: &["genesis", "start", "recovered"],
            not: "access to the machine and its keys; and that the whole log was not replaced by an older copy, except \
                  against checkpoints and receipts kept elsewhere.",
        },
        Control {
            id: "AU-10",
            title: "Non-repudiation",
            shows: "Requests and decisions name an authenticated person and their credential, under the log's signature.",
            kinds: &["intent", "decision", "administration"],
            not: "a signature by the person: a bearer token or the kernel's word says who it was.",
        },
        Control {
            id: "AU-11",
            title: "Audit Record Retention",
            shows: "Leaves cannot be removed without failing verification.",
            kinds: &["intent", "result"],
            not: "the period that the organisation requires, and that copies and media are kept.",
        },
        Control {
            id: "AU-12",
            title: "Audit Record Generation",
            shows: "An `intent` is durable before an engine is asked and a `result` before its answer is shown; the \
                    service cannot be told not to log.",
            kinds: &["intent", "result"],
            not: "logging by other components of the system.",
        },
        Control {
            id: "CM-3",
            title: "Configuration Change Control",
            shows: "Changes of users, tokens and deployments are recorded before they are made; each request names the \
                    digests of weights, template, engine and policy that served it.",
            kinds: &["administration", "model", "intent"],
            not: "that changes other than of models were approved beforehand; and changes of the configuration file.",
        },
        Control {
            id: "CM-5",
            title: "Access Restrictions for Change",
            shows: "Changes name who made them, by the kernel's word on the local user.",
            kinds: &["administration"],
            not: "physical access, and what root does to files without Cloister.",
        },
        Control {
            id: "IA-2(12)",
            title: "Acceptance of PIV Credentials",
            shows: "",
            kinds: &[],
            not: "acceptance of PIV credentials: this version takes bearer tokens and the kernel's word on local users. \
                  `login` leaves say which was shown.",
        },
        Control {
            id: "SC-7",
            title: "Boundary Protection",
            shows: "Escapes were tried from inside each jailed process, and their outcome was recorded.",
            kinds: &["posture"],
            not: "the network outside the machine.",
        },
        Control {
            id: "SI-7",
            title: "Software, Firmware, and Information Integrity",
            shows: "A model or engine whose digest is not the pinned one does not serve; each model's leaf says who signed \
                    it outside and which two persons approved it; each request names the digests, and replays compare \
                    recorded answers with new ones.",
            kinds: &["model", "intent", "replay"],
            not: "the operating system and firmware, and what went into the weights before they were signed.",
        },
    ],
};
