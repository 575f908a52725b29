//! RTCA DO-330 / EUROCAE ED-215.

use super::{Control, Framework};

pub(super) const FRAMEWORK: Framework = Framework {
    name: "do-330",
    title: "RTCA DO-330 / EUROCAE ED-215, software tool qualification considerations",
    preface: "No qualification is claimed. Cloister is a development tool whose output is source text like any that a \
              person types: all of it is verified downstream, by the reviews and tests that the project's plans \
              require, and no process is eliminated, reduced or automated on the strength of it. Nor may its checks \
              stand in for that verification. What follows helps to show that premise; it is no tool qualification data.",
    controls: &[
        Control {
            id: "Premise",
            title: "Output is verified downstream",
            shows: "Which answers persons took over, into which file, and what checkers said of them.",
            kinds: &["decision", "check"],
            not: "the downstream verification itself, and that editors reported each decision. An answer that was \
                  copied by hand has no decision.",
        },
        Control {
            id: "Identification",
            title: "Tool version, configuration and environment",
            shows: "Each request names the digests of engine, weights and template, the CPU's features, and all that \
                    determines the answer.",
            kinds: &["intent", "start"],
            not: "the operating system and the hardware beyond the CPU's features.",
        },
        Control {
            id: "Repeatability",
            title: "The same input gives the same output",
            shows: "Recorded requests were run again and their bytes compared.",
            kinds: &["replay"],
            not: "that an answer is right, and answers that were not replayed.",
        },
        Control {
            id: "Qualification",
            title: "Tool qualification level, plan, requirements and accomplishment summary",
            shows: "",
            kinds: &[],
            not: "none is claimed at any level.",
        },
    ],
};
