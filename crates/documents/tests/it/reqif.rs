//! ReqIF.

use documents::Format;
use insta::assert_snapshot;

use crate::{make, read};

#[test]
fn requirements_under_their_chapters() {
    let shown = read(Format::ReqIf, make::REQIF.as_bytes());
    assert_snapshot!(shown, @r#"
    title Valve requirements
    [requirement r1] Valves > Opening
    Opening time
    The valve shall open in 20 ms.
    Always.
    State: Accepted
    ReqIF.ForeignID: 17
    [requirement r2]
    Loose
    "#);
    let archive = make::archive(&[("valves.reqif", make::REQIF), ("picture.png", "")]);
    assert_eq!(read(Format::ReqIf, &archive), shown);
}
