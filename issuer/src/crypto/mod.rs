//! What is secret: the key ring, the password pool, and the tokens signed and minted with the ring's keys.
