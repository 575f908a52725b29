//! NIST SP 800-171 Revision 2.

use super::{Control, Framework};

pub(super) const FRAMEWORK: Framework = Framework {
    name: "nist-800-171",
    title: "NIST SP 800-171 Rev. 2",
    preface: "The ledger is evidence of what Cloister did, for the requirements below; others of the families 3.1 and \
              3.3 concern what Cloister has no part in.",
    controls: &[
        Control {
            id: "3.1.1",
            title: "Limit system access to authorized users",
            shows: "Credentials that were shown, accepted or refused; each request names a person who is known.",
            kinds: &["login", "intent"],
            not: "accounts of the operating system, and that users were authorised by the organisation.",
        },
        Control {
            id: "3.1.2",
            title: "Limit access to permitted transactions and functions",
            shows: "Each request was decided before it was answered; refusals name the reason.",
            kinds: &["intent", "refusal"],
            not: "that the policy is the one that the organisation approved.",
        },
        Control {
            id: "3.1.3",
            title: "Control the flow of CUI",
            shows: "Each request names the labels of what went into its answer, and caches are kept apart by person and \
                    labels.",
            kinds: &["intent"],
            not: "that text which persons type is labelled correctly.",
        },
        Control {
            id: "3.1.4",
            title: "Separate the duties of individuals",
            shows: "",
            kinds: &[],
            not: "a division of duties: the owner of the data directory alone administers.",
        },
        Control {
            id: "3.1.5",
            title: "Employ least privilege",
            shows: "Administration is by the owner of the data directory only; each act names its actor.",
            kinds: &["administration"],
            not: "privileges of accounts on the machine.",
        },
        Control {
            id: "3.1.7",
            title: "Prevent non-privileged users from executing privileged functions, and log their execution",
            shows: "Privileged functions are recorded before they take effect; attempts by others are refused logins on \
                    the surface `admin`.",
            kinds: &["administration", "login"],
            not: "privileged functions of the operating system.",
        },
        Control {
            id: "3.1.8",
            title: "Limit unsuccessful logon attempts",
            shows: "Refused credentials are counted each second.",
            kinds: &["login"],
            not: "a limit of attempts: a token has 256 random bits, and none is locked out.",
        },
        Control {
            id: "3.3.1",
            title: "Create and retain audit logs",
            shows: "Requests, answers and administration are recorded before they take effect; leaves cannot be removed \
                    without failing verification.",
            kinds: &["intent", "result", "administration"],
            not: "the period that the organisation requires.",
        },
        Control {
            id: "3.3.2",
            title: "Trace actions to individual users",
            shows: "Requests, decisions and administration name the person and the credential.",
            kinds: &["intent", "decision", "administration"],
            not: "that a token was used by its person only.",
        },
        Control {
            id: "3.3.3",
            title: "Review and update logged events",
            shows: "",
            kinds: &[],
            not: "reviews by the organisation.",
        },
        Control {
            id: "3.3.4",
            title: "Alert on audit logging failure",
            shows: "A failure of the log shows as requests without a result, as `recovered` and as another `start`.",
            kinds: &["start", "recovered", "result"],
            not: "that somebody was alerted: `GET /health` and the metrics state it, for the site's monitoring to take.",
        },
        Control {
            id: "3.3.5",
            title: "Correlate audit review, analysis and reporting",
            shows: "",
            kinds: &[],
            not: "the organisation's processes. Each leaf has a number and a hash that reports can cite.",
        },
        Control {
            id: "3.3.6",
            title: "Provide audit record reduction and report generation",
            shows: "This pack is such a report; that it was made is an `administration` leaf.",
            kinds: &["administration"],
            not: "",
        },
        Control {
            id: "3.3.7",
            title: "Compare and synchronise clocks with an authoritative source",
            shows: "`start` says whether the kernel's clock was synchronised then, and with which bound of error.",
            kinds: &["start"],
            not: "which source it was.",
        },
        Control {
            id: "3.3.8",
            title: "Protect audit information and tools",
            shows: "Verification finds a changed, missing or inserted byte; texts are encrypted.",
            kinds: &["genesis", "start", "recovered"],
            not: "access to the machine and its keys.",
        },
        Control {
            id: "3.3.9",
            title: "Limit management of audit logging to a subset of privileged users",
            shows: "Logging cannot be turned off; only the owner of the data directory administers.",
            kinds: &["administration"],
            not: "who has root on the machine.",
        },
    ],
};
