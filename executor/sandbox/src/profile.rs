//! The profile by which a container engine refuses what a sandbox does.
//!
//! It takes the place of the engine's own: an engine knows one at a time, and its own lets through what a sandbox does not
//! (`ptrace`, `AF_VSOCK`). Calls by other numbers than this machine's usual ones end the program: the profile names one architecture.

use serde_json::{Value, json};

use crate::refused::{Refusal, Test, refusals};

/// The profile, as Docker's and Podman's engines read it.
pub fn seccomp_profile() -> String {
    let architecture = format!("SCMP_ARCH_{}", std::env::consts::ARCH.to_uppercase());
    let calls: Vec<Value> = refusals(true).iter().flat_map(rules).collect();
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [architecture], "syscalls": calls}).to_string()
}

/// A rule for each test, since one holds where all of its conditions do.
fn rules(Refusal { call, when, error }: &Refusal) -> Vec<Value> {
    let rule =
        |args: Vec<Value>| json!({"names": [call.name], "action": "SCMP_ACT_ERRNO", "errnoRet": error, "args": args});
    match when.as_slice() {
        [] => vec![rule(Vec::new())],
        tests => tests.iter().map(|(argument, test)| rule(vec![condition(*argument, *test)])).collect(),
    }
}

/// Engines compare whole arguments. What a program puts into the upper half makes a value another one: then `Is` does not hold,
/// but `Above` and `Set` do, and masks are of the lower half.
fn condition(index: u8, test: Test) -> Value {
    match test {
        Test::Set => json!({"index": index, "value": 0, "op": "SCMP_CMP_NE"}),
        Test::Is(value) => json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"}),
        Test::Above(value) => json!({"index": index, "value": value, "op": "SCMP_CMP_GT"}),
        Test::Masked { mask, value } => {
            json!({"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"})
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_refuses_all_that_a_sandbox_does() {
        let profile: Value = serde_json::from_str(&seccomp_profile()).unwrap();
        let rules = profile["syscalls"].as_array().unwrap();
        for refusal in refusals(true) {
            let name = refusal.call.name;
            let own: Vec<&Value> = rules.iter().filter(|rule| rule["names"][0] == name).collect();
            assert_eq!(own.len(), refusal.when.len().max(1), "{name}");
            assert!(own.iter().all(|rule| rule["errnoRet"] == refusal.error), "{name}");
            assert!(
                own.iter().all(|rule| rule["args"].as_array().unwrap().len() == refusal.when.len().min(1)),
                "{name}"
            );
        }
        let names: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["names"][0].as_str()).collect();
        assert!(
            ["ptrace", "socket", "unshare", "_sysctl", "clone3"].iter().all(|name| names.contains(name)),
            "{names:?}"
        );
    }

    #[test]
    fn every_family_of_sockets_is_refused_but_those_that_are_cut_off() {
        let refusals = refusals(true);
        let socket = refusals.iter().find(|refusal| refusal.call.name == "socket").unwrap();
        let is_refused = |family: u32| {
            socket.when.iter().any(|(_, test)| match test {
                Test::Is(value) => family == *value,
                Test::Above(value) => family > *value,
                Test::Set | Test::Masked { .. } => false,
            })
        };
        let allowed: Vec<u32> = (0..100).filter(|family| !is_refused(*family)).collect();
        let expected = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(|family| family as u32);
        assert_eq!(allowed, expected);
    }
}
