//! What the kernel lets the helper do in its own namespaces, and the program no more.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What mounting takes, and giving up for good.
const KEPT: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::SETPCAP);

/// Has the programs that this process starts keep what they need to mount, as they would by themselves for root alone.
pub(crate) fn keep() -> io::Result<()> {
    set_capabilities(None, CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: KEPT })?;
    KEPT.iter().try_for_each(|capability| Ok(configure_capability_in_ambient_set(capability, true)?))
}

/// Gives up every privilege, and every way to more.
pub(crate) fn give_up() -> io::Result<()> {
    let none = CapabilitySet::empty();
    clear_ambient_capability_set()?;
    // All that the kernel knows. Without privileges there is nothing to remove, and none to be had by what follows.
    let all = (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number));
    let _ = all.map(remove_capability_from_bounding_set).take_while(Result::is_ok).count();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(set_no_new_privs(true)?)
}
