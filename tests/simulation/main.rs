//! The whole office in one thread, on a hand clock and a seed.
//!
//! Each seed is a life of an office: jobs arrive, some twice, carriers defer,
//! refuse, lose replies; the process dies between any two things it does to the
//! outside, and another one takes over; clocks move on. One tick of one step
//! runs at a time, chosen by the seed. At the end the faults stop, the office
//! comes to rest, and the laws are checked: nothing lost, nothing twice, every
//! change in the log, everything dead on its day.
//!
//! A failure prints its seed; `KAKITOME_SEED=n` replays it alone, and
//! `KAKITOME_SEEDS=n` says how many lives are lived (500 otherwise).
#![expect(clippy::disallowed_methods, missing_docs, reason = "tests")]

mod carrier;
mod laws;
mod life;
mod world;

#[test]
fn the_laws_hold_in_every_life() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("KAKITOME_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("KAKITOME_SEEDS").unwrap_or(500) + 1,
    };
    let mut total = life::Told::default();
    let lives = seeds.end - seeds.start;
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(life::live(seed));
        total.add(&told);
    }
    println!("{lives} lives: {total:?}");
    assert!(total.jobs > lives, "jobs were taken: {total:?}");
    assert!(lives < 50 || total.crashes > lives / 2, "processes died: {total:?}");
    assert!(lives < 50 || total.ambiguous > 0, "replies were lost: {total:?}");
}
