//! Canonical columns: fixed-row batches, compacted, digested independently of layout.
