//! The source on a real Postgres.

mod source {
    mod bad_input;
    mod behaviour;
    mod every_type;
    mod late;
    mod offsets;
    mod server;
    mod tables;
}
