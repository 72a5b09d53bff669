//! Arrow arrays as flat nodes and buffers: the form in which columns cross the component boundary.
