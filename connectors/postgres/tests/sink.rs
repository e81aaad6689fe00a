//! The sink on a real Postgres.

#[path = "sink/bad_input.rs"]
mod bad_input;
#[path = "sink/changes.rs"]
mod changes;
#[path = "sink/evolution.rs"]
mod evolution;
#[path = "sink/exactly_once.rs"]
mod exactly_once;
#[path = "sink/place.rs"]
mod place;
#[path = "sink/round_trip.rs"]
mod round_trip;
#[path = "sink/settings.rs"]
mod settings;
#[path = "sink/values.rs"]
mod values;
