//! The opinions of GCC and of Clang.

use crate::c::check::{CLANG, GCC, clang, gcc, plan};
use crate::check::{Checker, Plan, Unit};

pub(super) use crate::c::check::accepts_switch;

pub(super) const CHECKERS: &[Checker] = &[gcc("g++", "g++", plan_gcc), clang(plan_clang)];

fn plan_gcc(unit: &Unit<'_>) -> Option<Plan> {
    Some(plan(unit, "g++", &GCC, "c++"))
}

fn plan_clang(unit: &Unit<'_>) -> Option<Plan> {
    Some(plan(unit, "clang", &CLANG, "c++"))
}
