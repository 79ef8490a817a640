//! The functions of imbed on a Ballista cluster.
