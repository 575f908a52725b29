use insta::assert_snapshot;

fn shown(text: &str) -> String {
    languages::tokens(text)
        .map(|token| format!("{}@{}:{}-{}", token.text, token.position, token.offset_from, token.offset_to))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn words_come_with_their_parts() {
    assert_snapshot!(shown("Read_Sensor_Value := 16#FF#;"), @"read_sensor_value@0:0-17 read@0:0-4 sensor@0:5-11 value@0:12-17 16@1:21-23 ff@2:24-26");
    assert_snapshot!(shown("parseHTTPHeader(i, x2, __init__, a_b)"), @"parsehttpheader@0:0-15 parse@0:0-5 http@0:5-9 header@0:9-15 i@1:16-17 x2@2:19-21 __init__@3:23-31 init@3:25-29 a_b@4:33-36");
    assert_snapshot!(shown("Größe_Ändern ÄrgerMut"), @"größe_ändern@0:0-15 größe@0:0-7 ändern@0:8-15 ärgermut@1:16-25 ärger@1:16-22 mut@1:22-25");
    let long = "x".repeat(65);
    assert_snapshot!(shown(&format!("{long} ___ yes")), @"yes@0:70-73");
}
