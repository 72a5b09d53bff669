//! Databases, as readers and writers of tables see them.
