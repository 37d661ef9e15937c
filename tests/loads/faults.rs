//! Processes, broker and database die in the middle of the work.

use std::time::Duration;

use kakitome::entropy::Entropy;

use crate::{
    place::{CONNECTIONS, Place},
    size,
};

/// A random number of milliseconds below `most`.
fn some_time(most: u64) -> Duration {
    let random = u64::from_be_bytes(Entropy::from_os().unwrap().array().unwrap());
    Duration::from_millis(random % most)
}

#[test]
fn a_worker_is_killed_again_and_again() {
    let jobs = size(400, 7_200);
    let kills = size(3, 8);
    let mut place = Place::new();
    let mut process = place.serve();
    let again = jobs / 9;
    let clients = [place.publish_mails(jobs, "kill"), place.publish_mails(again, "kill")];
    for kill in 1..=kills {
        place.until_taken(jobs * kill / (kills + 2));
        std::thread::sleep(some_time(300));
        process.kill();
        process = place.serve();
    }
    for client in clients {
        client.done();
    }
    let told = place.inspect(jobs);
    println!("{jobs} jobs, {again} twice, {kills} kills: {told:?}");
    let most = kills * usize::try_from(CONNECTIONS).unwrap();
    assert!(told.ambiguous.len() <= most, "one per connection and kill: {told:?}");
    assert_eq!(told.at("dispatched") + told.ambiguous.len(), jobs, "nothing is lost: {told:?}");
    assert!(!process.log().contains("ERROR"), "{}", process.log());
    process.stop();
}

#[test]
fn broker_and_database_are_restarted_in_mid_flow() {
    let jobs = size(1_000, 6_000);
    let mut place = Place::new();
    // Little is in memory, most is in the queue and on the books.
    place.config.work.in_flight = 48;
    place.config.work.in_flight_per_tenant = 48;
    place.write_config();
    // The first process makes the queues.
    place.serve().stop();
    place.publish_mails(jobs, "restart").done();
    place.broker.settle();
    let first = place.serve();
    place.until_taken(jobs / 10);
    first.stop();
    let taken = place.taken().len();
    assert!(taken < jobs / 2, "it was ended in the middle, not after {taken} of {jobs}");
    let second = place.serve();
    place.until_taken(jobs / 2);
    place.broker.kill();
    place.broker.up();
    place.until_taken(jobs * 3 / 5);
    place.postgres.kill();
    std::thread::sleep(some_time(2_000));
    place.postgres.up();
    let told = place.inspect(jobs);
    println!("{jobs} jobs, broker and database killed, one process drained: {told:?}");
    assert_eq!(told.at("dispatched"), jobs, "no process died, so nothing is unknown: {told:?}");
    second.stop();
}
