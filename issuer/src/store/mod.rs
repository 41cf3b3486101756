//! Where users, sessions, roles and sealed keys are kept: two adapters behind the same ports.
