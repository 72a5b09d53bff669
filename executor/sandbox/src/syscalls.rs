//! What of the kernel a program has no use for, and others have used to get out: refused by a filter of system calls.

use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
use seccompiler::sock_filter;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Calls that are refused, whatever their arguments.
const REFUSED: &[i64] = &[
    // More processors than were given.
    libc::SYS_sched_setaffinity,
    // Other processes.
    libc::SYS_pidfd_getfd,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Keys, which have no namespace.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Parts of the kernel that are large, and seldom wanted.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_vhangup,
    libc::SYS_acct,
    // The machine itself.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
];

/// Calls that are not there, upon which libraries do without: `clone3`, which makes namespaces by arguments that no filter can see,
/// and those that make memory that belongs to no process, so that nobody counts it.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
];

/// Calls that may concern the process itself alone, by the argument that names another one: who watches it runs as the same user.
const OF_OTHERS: &[(i64, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
];

/// Shared memory without a file: its owner can let go of it such that nobody counts it, and have it all the same.
const UNCOUNTED: u64 = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u64;

/// Flags of `clone` for namespaces.
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Families of sockets within this machine's memory.
const LOCAL: &[i32] = &[libc::AF_UNIX];
/// Those that a network namespace cuts off, so that they do no harm. Others, as `AF_VSOCK`, pass by namespaces.
const CUT_OFF: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Refuses such calls to this process and all that it starts. Sockets that could reach a network are there only where it has
/// one of its own, with nobody in it.
pub(crate) fn refuse(has_own_network: bool) -> Result<(), seccompiler::Error> {
    #[cfg(target_arch = "x86_64")]
    apply_filter(&second_numbers())?;
    apply_filter(&filter(refused(has_own_network)?, libc::EPERM)?)?;
    apply_filter(&filter(ABSENT.iter().map(|call| (*call, Vec::new())).collect(), libc::ENOSYS)?)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn refused(has_own_network: bool) -> Result<Rules, BackendError> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let has = |flag: &i32| rule(0, SeccompCmpOp::MaskedEq(*flag as u64), *flag as u64);
    rules.insert(libc::SYS_clone, NAMESPACES.iter().map(has).collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_mmap, vec![rule(3, SeccompCmpOp::MaskedEq(UNCOUNTED), UNCOUNTED)?]);
    for (call, argument) in OF_OTHERS {
        rules.insert(*call, vec![rule(*argument, SeccompCmpOp::Ne, 0)?]);
    }
    let families = if has_own_network { CUT_OFF } else { LOCAL };
    let is_other = |family: &i32| condition(0, SeccompCmpOp::Ne, *family as u64);
    let other = SeccompRule::new(families.iter().map(is_other).collect::<Result<_, _>>()?)?;
    rules.insert(libc::SYS_socket, vec![other]);
    Ok(rules)
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(argument, operator, value)?])
}

/// About the lower half of an argument, which is all that the kernel takes of these.
fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

/// Has the calls that the rules speak of fail.
fn filter(rules: Rules, error: i32) -> Result<BpfProgram, BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(error as u32), arch)?.try_into()
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
