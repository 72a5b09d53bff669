//! The filter of system calls.

use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
use seccompiler::sock_filter;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use crate::refused::{Refusal, Test, refusals};

/// Refuses what no program has a use for to this process and all that it starts.
pub(crate) fn refuse(has_own_network: bool) -> Result<(), seccompiler::Error> {
    #[cfg(target_arch = "x86_64")]
    apply_filter(&second_numbers())?;
    let mut by_error: BTreeMap<i32, Vec<Refusal>> = BTreeMap::new();
    for refusal in refusals(has_own_network) {
        by_error.entry(refusal.error).or_default().push(refusal);
    }
    by_error.into_iter().try_for_each(|(error, refusals)| apply_filter(&filter(&refusals, error)?))
}

/// Has these calls fail.
fn filter(refusals: &[Refusal], error: i32) -> Result<BpfProgram, BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for Refusal { call, when, .. } in refusals {
        let of_call = rules.entry(call.number).or_default();
        for (argument, test) in when {
            of_call.push(SeccompRule::new(vec![condition(*argument, *test)?])?);
        }
    }
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(error as u32), arch)?.try_into()
}

fn condition(argument: u8, test: Test) -> Result<SeccompCondition, BackendError> {
    let (operator, value) = match test {
        Test::Set => (SeccompCmpOp::Ne, 0),
        Test::Is(value) => (SeccompCmpOp::Eq, value),
        Test::Above(value) => (SeccompCmpOp::Gt, value),
        Test::Masked { mask, value } => (SeccompCmpOp::MaskedEq(mask.into()), value),
    };
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())
}

/// Has all calls fail by the numbers that 64-bit programs with short pointers have on x86-64: rules know the usual ones.
#[cfg(target_arch = "x86_64")]
fn second_numbers() -> BpfProgram {
    const FIRST: u32 = 0x4000_0000;
    let step = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    vec![
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, FIRST),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
