//! What of the kernel a program has no use for, and others have used to get out. One list for all that isolate programs: a
//! filter of system calls in a sandbox, a profile of a container engine.

/// A system call, by its name and its number on this kind of machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) number: i64,
}

/// What an argument must be like for a call to be refused. Of each, the kernel takes the lower half alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    /// Not zero.
    Set,
    /// This value.
    Is(u32),
    /// More than this value.
    Above(u32),
    /// Under this mask, this value.
    Masked { mask: u32, value: u32 },
}

impl Test {
    /// All of these bits.
    const fn has(bits: i32) -> Self {
        Self::Masked { mask: bits as u32, value: bits as u32 }
    }
}

/// A call that is refused: always where there are no tests, else where one of them holds of an argument.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) call: Call,
    pub(crate) when: Vec<(u8, Test)>,
    /// What it fails with.
    pub(crate) error: i32,
}

/// The call of a constant of `libc`.
macro_rules! call {
    ($number:ident) => {
        Call { name: stringify!($number).split_at(4).1, number: libc::$number }
    };
}

macro_rules! calls {
    ($($number:ident)*) => { [$(call!($number)),*] };
}

/// Calls that are refused, whatever their arguments.
const ALWAYS: &[Call] = &calls![
    // More processors than were given, and memory near others than those.
    SYS_sched_setaffinity SYS_mbind SYS_get_mempolicy SYS_set_mempolicy SYS_migrate_pages SYS_move_pages
    // Other processes.
    SYS_pidfd_getfd SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_kcmp
    // Namespaces and mounts.
    SYS_unshare SYS_setns SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_move_mount SYS_open_tree SYS_fsopen
    SYS_fsconfig SYS_fsmount SYS_fspick SYS_mount_setattr SYS_quotactl SYS_swapon SYS_swapoff
    // Keys, which have no namespace.
    SYS_add_key SYS_request_key SYS_keyctl
    // Parts of the kernel that are large, and seldom wanted.
    SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
    SYS_name_to_handle_at SYS_open_by_handle_at SYS_fanotify_init SYS_lookup_dcookie SYS_vhangup SYS_acct
    // The machine itself.
    SYS_kexec_load SYS_kexec_file_load SYS_init_module SYS_finit_module SYS_delete_module SYS_reboot SYS_settimeofday
    SYS_clock_settime SYS_clock_adjtime SYS_adjtimex SYS_syslog SYS_sethostname SYS_setdomainname SYS_nfsservctl
];

/// The same, of one kind of machines.
#[cfg(target_arch = "x86_64")]
const ALWAYS_HERE: &[Call] = &calls![SYS_iopl SYS_ioperm SYS_modify_ldt SYS_uselib SYS_ustat SYS_sysfs SYS__sysctl];
#[cfg(not(target_arch = "x86_64"))]
const ALWAYS_HERE: &[Call] = &[];

/// Calls that are not there, upon which libraries do without: `clone3`, which makes namespaces by arguments that no filter can see,
/// and those that make memory that belongs to no process, so that nobody counts it.
const ABSENT: &[Call] =
    &calls![SYS_clone3 SYS_memfd_create SYS_memfd_secret SYS_shmget SYS_semget SYS_msgget SYS_mq_open];

/// Calls that may concern the process itself alone, by the argument that names another one: who watches it runs as the same user.
const OF_OTHERS: &[(Call, u8)] = &[
    (call!(SYS_prlimit64), 0),
    (call!(SYS_setpriority), 1),
    (call!(SYS_sched_setscheduler), 0),
    (call!(SYS_sched_setparam), 0),
    (call!(SYS_sched_setattr), 0),
];

/// Shared memory without a file: its owner can let go of it such that nobody counts it, and have it all the same.
const UNCOUNTED: i32 = libc::MAP_SHARED | libc::MAP_ANONYMOUS;

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

/// Kinds of execution that take protection away.
const PERSONALITIES: &[i32] = &[libc::ADDR_NO_RANDOMIZE, libc::MMAP_PAGE_ZERO, libc::READ_IMPLIES_EXEC];
/// The bit that a question for the kind of execution has, and no kind.
const QUESTION: u32 = 1 << 31;

/// Families of sockets within this machine's memory.
const LOCAL: &[i32] = &[libc::AF_UNIX];
/// Those that a network namespace cuts off, so that they do no harm. Others, as `AF_VSOCK`, pass by namespaces.
const CUT_OFF: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// All that is refused. Sockets that could reach a network are there only where a program has one of its own, with nobody in it.
pub(crate) fn refusals(has_own_network: bool) -> Vec<Refusal> {
    let always = ALWAYS.iter().chain(ALWAYS_HERE).map(|call| refusal(*call, Vec::new(), libc::EPERM));
    let absent = ABSENT.iter().map(|call| refusal(*call, Vec::new(), libc::ENOSYS));
    let of_others = OF_OTHERS.iter().map(|(call, argument)| refusal(*call, vec![(*argument, Test::Set)], libc::EPERM));
    let namespaces = NAMESPACES.iter().map(|flag| (0, Test::has(*flag)));
    let kinds = PERSONALITIES.iter().map(|kind| *kind as u32);
    let kinds = kinds.map(|kind| (0, Test::Masked { mask: kind | QUESTION, value: kind }));
    let some = [
        refusal(call!(SYS_clone), namespaces.collect(), libc::EPERM),
        refusal(call!(SYS_mmap), vec![(3, Test::has(UNCOUNTED))], libc::EPERM),
        refusal(call!(SYS_personality), kinds.collect(), libc::EPERM),
        refusal(call!(SYS_socket), other_families(if has_own_network { CUT_OFF } else { LOCAL }), libc::EPERM),
    ];
    always.chain(absent).chain(of_others).chain(some).collect()
}

fn refusal(call: Call, when: Vec<(u8, Test)>, error: i32) -> Refusal {
    Refusal { call, when, error }
}

/// All families of sockets but these. Each is a test of its own: an engine's profile can't ask for none of several values.
fn other_families(allowed: &[i32]) -> Vec<(u8, Test)> {
    let last = allowed.iter().copied().max().unwrap_or(-1);
    let between = (0..last).filter(|family| !allowed.contains(family)).map(|family| Test::Is(family as u32));
    between.chain([Test::Above(last as u32)]).map(|test| (0, test)).collect()
}
