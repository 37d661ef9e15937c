//! Days that mean something: the day a document dies, the days Japan rests,
//! the day a letter is posted.

pub mod cutoff;
pub mod durations;
pub mod era;
pub mod holidays;
pub mod retention;
pub mod working_days;
