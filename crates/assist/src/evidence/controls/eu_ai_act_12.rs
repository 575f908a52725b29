//! Regulation (EU) 2024/1689, Articles 12 and 19.

use super::{Control, Framework};

pub(super) const FRAMEWORK: Framework = Framework {
    name: "eu-ai-act-12",
    title: "Regulation (EU) 2024/1689 (AI Act), Article 12 record-keeping and Article 19 logs",
    preface: "These articles bind high-risk AI systems. Cloister is a code assistant; whether a use of it is high-risk \
              is the deployer's to say, and nothing here says that it is.",
    controls: &[
        Control {
            id: "Article 12(1)",
            title: "Automatic recording of events over the lifetime",
            shows: "Events are recorded by the system itself, from the log's first leaf on; it answers nothing that it \
                    cannot record.",
            kinds: &["intent", "result", "refusal", "administration"],
            not: "the time before the log began.",
        },
        Control {
            id: "Article 12(2)(a)",
            title: "Situations that may result in a risk, or a substantial modification",
            shows: "Changes of what serves are recorded, and each request names the digests of weights, template and \
                    engine; failed requests, replays that differ and failed probes are among the gaps in report.html.",
            kinds: &["administration", "intent", "replay", "posture"],
            not: "what a risk to health, safety or fundamental rights is: the provider's risk management says so.",
        },
        Control {
            id: "Article 12(2)(b)",
            title: "Post-market monitoring",
            shows: "What persons did with answers and what checkers said of them.",
            kinds: &["decision", "check"],
            not: "the provider's monitoring plan (Article 72).",
        },
        Control {
            id: "Article 12(2)(c)",
            title: "Monitoring of operation by the deployer",
            shows: "Who used it, when, with which model and outcome.",
            kinds: &["intent", "result", "login"],
            not: "that the deployer monitors (Article 26(5)).",
        },
        Control {
            id: "Article 12(3)",
            title: "Logs of remote biometric identification",
            shows: "",
            kinds: &[],
            not: "this does not apply: Cloister identifies nobody by biometrics. Beginning and end of each use, which \
                  (3)(a) asks of such systems, are the times of `intent` and `result`.",
        },
        Control {
            id: "Article 19(1)",
            title: "Keeping of automatically generated logs",
            shows: "Leaves cannot be removed without failing verification.",
            kinds: &["intent", "result"],
            not: "that the log will be kept for the period required, at least six months.",
        },
    ],
};
