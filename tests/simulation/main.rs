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
#![expect(clippy::disallowed_methods, reason = "tests")]

mod carrier;
mod laws;
mod life;
mod world;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Lives one quarter of the seeds; the quarters run beside each other.
fn live(quarter: u64) {
    let all = number("KAKITOME_SEEDS").unwrap_or(500);
    let seeds: Vec<u64> = match number("KAKITOME_SEED") {
        Some(seed) => vec![seed],
        None => (1..=all).filter(|seed| seed % 4 == quarter).collect(),
    };
    let mut total = life::Told::default();
    for seed in &seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        total.add(&runtime.block_on(life::live(*seed)));
    }
    println!("{} lives: {total:?}", seeds.len());
    let lives = seeds.len() as u64;
    assert!(total.jobs > lives, "jobs were taken: {total:?}");
    assert!(lives < 50 || total.duplicates > lives, "jobs came twice: {total:?}");
    assert!(lives < 50 || total.crashes > lives / 2, "processes died: {total:?}");
    assert!(lives < 50 || total.ambiguous > 0, "replies were lost: {total:?}");
}

macro_rules! quarters {
    ($($name:ident $quarter:literal)*) => {$(
        #[test]
        fn $name() {
            live($quarter);
        }
    )*};
}

quarters! {
    the_laws_hold_in_every_first_life 1
    the_laws_hold_in_every_second_life 2
    the_laws_hold_in_every_third_life 3
    the_laws_hold_in_every_fourth_life 0
}
