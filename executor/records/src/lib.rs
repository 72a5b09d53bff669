//! Records of logs whose format has a schema of its own, and the registries that keep these.
