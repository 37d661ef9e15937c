//! Keys that replace others, on both databases.

use super::*;

on_both! {
    every_key_survives_a_new_master_key_in_a_process_that_never_stops
    a_rotation_may_die_after_any_batch
    a_key_made_during_a_rotation_is_under_the_new_master_key
    a_process_with_one_of_two_master_keys_is_refused
    only_one_rotation_at_a_time_and_never_back
    after_a_rotation_the_old_master_key_opens_nothing
    a_wrap_belongs_to_its_master_key_s_version
    a_tenants_new_key_is_for_what_is_new
    a_destroyed_service_is_gone_for_ever_and_alone
    the_status_shows_versions_and_their_ages
    replaced_link_keys_are_listed_once_the_new_ones_mint;
}

fn master(byte: u8) -> MasterKey {
    MasterKey::from_bytes(Zeroizing::new(vec![byte; 32])).unwrap()
}

impl Office {
    async fn ring_of(&self, masters: &[u8]) -> Result<KeyRing, KeyError> {
        let masters = masters.iter().map(|byte| master(*byte)).collect();
        let entropy = Entropy::from_os().unwrap();
        KeyRing::open_with(&self.url, masters, self.clock.clone(), entropy).await
    }
}

async fn rotate(ring: &KeyRing, to: u8) -> u64 {
    let rotation = ring.begin_master_rotation(&master(to)).await.unwrap();
    let mut rewrapped = 0;
    loop {
        let some = ring.rewrap_at_most(&rotation, 3).await.unwrap();
        if some == 0 {
            break;
        }
        rewrapped += some;
    }
    ring.end_master_rotation(&rotation).await.unwrap();
    rewrapped
}

/// Some keys of every kind.
async fn all_keys(ring: &KeyRing) -> Vec<[u8; 32]> {
    let acme = tenant("acme");
    let links = ring.link_keys().await.unwrap();
    assert_eq!(links.minting(), 1, "the links' keys can be read");
    let mut keys = vec![*ring.sealing_pair(&acme).await.unwrap().public().0.first_chunk().unwrap()];
    for key in [
        ring.day_key(&acme, Service::Mail, TODAY + 30).await,
        ring.day_key(&acme, Service::Postal, TODAY + 30).await,
        ring.day_key(&tenant("other"), Service::Mail, TODAY + 30).await,
        ring.mail_key(1).await,
        ring.dedupe_key().await,
        ring.outbox_key().await,
        ring.page_key().await,
        ring.verp_key().await,
        ring.factor_key().await,
        ring.index_key(&acme).await,
        ring.evidence_key(&acme, 2026).await,
        ring.access_key(&acme, 2026).await,
    ] {
        keys.push(*key.unwrap().expose());
    }
    keys
}

async fn every_key_survives_a_new_master_key_in_a_process_that_never_stops(office: Office) {
    let serving = office.ring_of(&[7, 8]).await.unwrap();
    let before = all_keys(&serving).await;
    let ring = office.ring_of(&[7, 8]).await.unwrap();
    let rewrapped = rotate(&ring, 8).await;
    assert!(rewrapped > 12, "every key under the master was wrapped anew, {rewrapped}");
    assert_eq!(all_keys(&serving).await, before, "from memory");
    office.wait(61);
    assert_eq!(all_keys(&serving).await, before, "and read again");
    serving.mail_key(99).await.unwrap();
    let early = office.ring_of(&[8, 7]).await.unwrap();
    let late = office.ring_of(&[8]).await.unwrap();
    for ring in [early, late] {
        assert_eq!(all_keys(&ring).await, before, "after a restart, in either order");
        assert!(ring.existing_mail_key(99).await.is_ok(), "with what was made since");
    }
    assert_eq!(rotate(&ring, 8).await, 0, "twice is once");
    let ring = office.ring_of(&[8, 9]).await.unwrap();
    assert_eq!(rotate(&ring, 9).await, rewrapped + 1, "and the next time the same");
    assert_eq!(all_keys(&office.ring_of(&[9]).await.unwrap()).await, before, "the same keys");
}

async fn a_rotation_may_die_after_any_batch(office: Office) {
    let before = all_keys(&office.ring_of(&[7]).await.unwrap()).await;
    for batches in 0..30 {
        // A life that begins, wraps one batch anew, and dies.
        let ring = office.ring_of(&[7, 8]).await.unwrap();
        let rotation = ring.begin_master_rotation(&master(8)).await.unwrap();
        let left = ring.left_to_rewrap(&rotation).await.unwrap();
        let done = ring.rewrap_at_most(&rotation, 2).await.unwrap();
        assert_eq!(ring.left_to_rewrap(&rotation).await.unwrap(), left - done, "it got further");
        ring.close().await;
        let now = all_keys(&office.ring_of(&[8, 7]).await.unwrap()).await;
        assert_eq!(now, before, "everything opens after {batches} batches");
        if done == 0 {
            assert!(batches > 5, "many batches were rehearsed, not {batches}");
            break;
        }
    }
    // It dies between the last two steps of the old key's destruction.
    let ring = office.ring_of(&[7, 8]).await.unwrap();
    ring.0.db.condemn(&[KeyName::of_office(Kind::Probe, 0)], 1).await.unwrap();
    let probes = async |ring: &KeyRing| ring.0.db.live_before(Kind::Probe, 1, 9).await.unwrap();
    assert_eq!(probes(&ring).await.len(), 1, "not called destroyed");
    assert_eq!(rotate(&ring, 8).await, 0, "nothing was left to wrap");
    assert!(probes(&ring).await.is_empty(), "and the end was made good");
    assert_eq!(all_keys(&office.ring_of(&[8]).await.unwrap()).await, before, "with the new key");
}

async fn a_key_made_during_a_rotation_is_under_the_new_master_key(office: Office) {
    let serving = office.ring_of(&[7, 8]).await.unwrap();
    let ring = office.ring_of(&[7, 8]).await.unwrap();
    let rotation = ring.begin_master_rotation(&master(8)).await.unwrap();
    serving.mail_key(5).await.unwrap();
    let row = ring.0.db.find(&KeyName::of_office(Kind::Mail, 5)).await.unwrap().unwrap();
    assert_eq!(row.parent, rotation.to, "at once, in every process");
    // Somebody who looked before the new probe was there, and offers now.
    let late = NewKey { parent: rotation.from, wrapped: &[1; 61], master: rotation.from };
    let name = KeyName::of_office(Kind::Mail, 6);
    ring.0.db.insert(&name, late, 1).await.unwrap();
    assert!(ring.0.db.find(&name).await.unwrap().is_none(), "is refused by the statement itself");
}

async fn a_process_with_one_of_two_master_keys_is_refused(office: Office) {
    let ring = office.ring_of(&[7, 8]).await.unwrap();
    all_keys(&ring).await;
    let rotation = ring.begin_master_rotation(&master(8)).await.unwrap();
    for one in [7, 8] {
        let refused = office.ring_of(&[one]).await.err();
        assert!(matches!(refused, Some(KeyError::MasterMissing)), "{one} alone: {refused:?}");
    }
    let refused = office.ring_of(&[6, 5]).await.err();
    assert!(matches!(refused, Some(KeyError::WrongMaster)), "two wrong ones");
    while ring.rewrap_some(&rotation).await.unwrap() > 0 {}
    ring.end_master_rotation(&rotation).await.unwrap();
    assert!(office.ring_of(&[8]).await.is_ok(), "afterwards the new one is enough");
}

async fn only_one_rotation_at_a_time_and_never_back(office: Office) {
    let ring = office.ring_of(&[7, 8]).await.unwrap();
    let same = ring.begin_master_rotation(&master(7)).await.unwrap();
    assert_eq!((same.from, same.to), (0, 0), "to the key that it has: nothing to do");
    ring.begin_master_rotation(&master(8)).await.unwrap();
    let third = ring.begin_master_rotation(&master(9)).await.err();
    assert!(matches!(third, Some(KeyError::RotatingAlready)), "{third:?}");
    let back = ring.begin_master_rotation(&master(7)).await.err();
    assert!(matches!(back, Some(KeyError::OldMaster)), "{back:?}");
    rotate(&ring, 8).await;
    let gone = office.ring_of(&[7]).await.err();
    assert!(matches!(gone, Some(KeyError::WrongMaster)), "{gone:?}");
}

async fn after_a_rotation_the_old_master_key_opens_nothing(office: Office) {
    let ring = office.ring_of(&[7, 8]).await.unwrap();
    all_keys(&ring).await;
    let mut old = Vec::new();
    for (name, wrapped) in ring.0.db.under_master(0, 100).await.unwrap() {
        assert!(wrap::unwrap_key(&master(7).root(), &place(&name, 0), &wrapped).is_ok(), "before");
        old.push(wrapped);
    }
    assert!(old.len() > 12, "there are keys under the master, {}", old.len());
    rotate(&ring, 8).await;
    assert!(ring.0.db.under_master(0, 100).await.unwrap().is_empty(), "none is left");
    if office.url.starts_with("sqlite:") {
        let left = old.iter().filter(|wrapped| office.files_hold(&wrapped[13..])).count();
        assert_eq!(left, 0, "no file of the store holds an old wrap");
    }
}

async fn a_wrap_belongs_to_its_master_key_s_version(office: Office) {
    let ring = office.ring_of(&[7, 8]).await.unwrap();
    ring.dedupe_key().await.unwrap();
    rotate(&ring, 8).await;
    let name = KeyName::of_office(Kind::Dedupe, 0);
    let wrapped = wrapped(&ring, &name).await;
    let (old, new) = (master(7).root(), master(8).root());
    assert!(wrap::unwrap_key(&new, &place(&name, 1), &wrapped).is_ok(), "version 1");
    assert!(wrap::unwrap_key(&new, &place(&name, 0), &wrapped).is_err(), "and no other");
    assert!(wrap::unwrap_key(&old, &place(&name, 1), &wrapped).is_err(), "nor the old key");
}

async fn a_tenants_new_key_is_for_what_is_new(office: Office) {
    let (acme, ring, second) = (tenant("acme"), office.ring().await, office.ring().await);
    let old = ring.day_key(&acme, Service::Mail, TODAY + 1).await.unwrap();
    let before = wrapped(&ring, &day("acme", TODAY + 1)).await;
    assert_eq!(ring.rotate_tenant_key(&acme, Service::Mail).await.unwrap(), 2, "the next version");
    second.day_key(&acme, Service::Mail, TODAY + 2).await.unwrap();
    second.day_key(&acme, Service::Postal, TODAY + 2).await.unwrap();
    let parent = async |name: KeyName| ring.0.db.find(&name).await.unwrap().unwrap().parent;
    assert_eq!(parent(day("acme", TODAY + 1)).await, 1, "what is there stays");
    assert_eq!(parent(day("acme", TODAY + 2)).await, 2, "what is new is under the new one");
    let postal = KeyName::of_service(Kind::Day, &acme, Service::Postal, TODAY + 2);
    assert_eq!(parent(postal).await, 1, "other services are left alone");
    let read = office.ring().await.day_key(&acme, Service::Mail, TODAY + 1).await.unwrap();
    assert_eq!(read.expose(), old.expose(), "an old day opens");
    assert_eq!(wrapped(&ring, &day("acme", TODAY + 1)).await, before, "and was not rewritten");
    assert_eq!(ring.rotate_tenant_key(&acme, Service::Mail).await.unwrap(), 3, "and again");
}

async fn a_destroyed_service_is_gone_for_ever_and_alone(office: Office) {
    let (acme, ring, second) = (tenant("acme"), office.ring().await, office.ring().await);
    ring.day_key(&acme, Service::Mail, TODAY + 1).await.unwrap();
    ring.rotate_tenant_key(&acme, Service::Mail).await.unwrap();
    ring.day_key(&acme, Service::Mail, TODAY + 2).await.unwrap();
    for number in [TODAY + 1, TODAY + 2] {
        second.day_key(&acme, Service::Mail, number).await.unwrap();
    }
    assert!(!ring.is_tenant_key_condemned(&acme, Service::Mail).await.unwrap(), "not yet");
    office.wait(30);
    // A day key that is looked at late is believed no longer than the key
    // above it.
    second.day_key(&acme, Service::Mail, TODAY + 3).await.unwrap();
    let gone = ring.destroy_tenant_key(&acme, Service::Mail).await.unwrap();
    assert!(ring.is_tenant_key_condemned(&acme, Service::Mail).await.unwrap(), "now");
    office.wait(31);
    assert_eq!(ring.destroy_tenant_key(&acme, Service::Mail).await.unwrap(), gone, "twice is once");
    for ring in [&second, &office.ring().await] {
        for number in [TODAY + 1, TODAY + 2, TODAY + 3, TODAY + 4] {
            let read = ring.day_key(&acme, Service::Mail, number).await;
            assert!(matches!(read, Err(KeyError::Destroyed)), "{number}: within a minute");
        }
        assert!(ring.day_key(&acme, Service::Postal, TODAY + 1).await.is_ok(), "another service");
        assert!(ring.day_key(&tenant("other"), Service::Mail, 1).await.is_ok(), "another tenant");
        assert!(ring.evidence_key(&acme, 2026).await.is_ok(), "and what the law wants kept");
    }
    let again = ring.rotate_tenant_key(&acme, Service::Mail).await;
    assert!(matches!(again, Err(KeyError::Destroyed)), "no new version brings it back");
    ring.destroy_tenant_key(&tenant("never"), Service::Mail).await.unwrap();
    let made = ring.day_key(&tenant("never"), Service::Mail, TODAY).await;
    assert!(matches!(made, Err(KeyError::Destroyed)), "one that never was will never be");
}

async fn the_status_shows_versions_and_their_ages(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring_of(&[7, 8]).await.unwrap());
    ring.day_key(&acme, Service::Mail, TODAY).await.unwrap();
    let start = office.clock.now();
    office.wait(86_400);
    ring.rotate_tenant_key(&acme, Service::Mail).await.unwrap();
    ring.begin_master_rotation(&master(8)).await.unwrap();
    let status = ring.status().await.unwrap();
    let masters: Vec<_> = status.masters.iter().map(|one| (one.number, one.made_at)).collect();
    assert_eq!(masters, [(0, start), (1, office.clock.now())], "two during a rotation");
    let tenants: Vec<_> = status.tenants.iter().map(|one| one.version.number).collect();
    assert_eq!(tenants, [1, 2], "both versions");
    rotate(&ring, 8).await;
    ring.destroy_tenant_key(&acme, Service::Mail).await.unwrap();
    let status = ring.status().await.unwrap();
    assert_eq!(status.masters.len(), 1, "one master key afterwards");
    let dead = status.tenants.iter().filter(|one| one.version.destroyed_at.is_some()).count();
    assert_eq!(dead, 2, "a destroyed service says so");
}

async fn replaced_link_keys_are_listed_once_the_new_ones_mint(office: Office) {
    let ring = office.ring().await;
    ring.link_keys().await.unwrap();
    let new = ring.rotate_link_keys().await.unwrap();
    assert_eq!(new.since, office.clock.now() + TimeDelta::minutes(5), "it mints in five minutes");
    assert!(ring.replaced_link_keys().await.unwrap().is_empty(), "the old pair mints still");
    office.wait(301);
    let replaced = ring.replaced_link_keys().await.unwrap();
    assert_eq!(replaced, [LinkRotation { id: 1, since: new.since }], "then it is replaced");
    ring.destroy_link_keys(1).await.unwrap();
    assert!(ring.replaced_link_keys().await.unwrap().is_empty(), "and destroyed no more listed");
}

#[test]
fn the_list_in_the_statements_is_the_list_of_the_ring() {
    for &kind in Kind::ALL {
        let name = KeyName::of_service(kind, &tenant("acme"), Service::Mail, 1);
        let hangs = matches!(kind, Kind::Day | Kind::Evidence | Kind::Access);
        assert_eq!(parent_of(&name).is_some(), hangs, "{}", kind.word());
        assert_eq!(Kind::parse(kind.word()), Some(kind), "and every word is read");
    }
}
