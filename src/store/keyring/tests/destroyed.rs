//! Keys that are gone, on both databases.

use super::*;

on_both! {
    a_destroyed_key_stays_destroyed
    a_key_that_never_was_can_be_destroyed_too
    another_ring_stops_serving_within_a_minute
    a_crash_between_the_steps_is_made_good
    who_gives_up_a_destruction_leaves_nothing_open;
}

async fn a_destroyed_key_stays_destroyed(office: Office) {
    let (acme, ring, second) = (tenant("acme"), office.ring().await, office.ring().await);
    ring.day_key(&acme, Service::Mail, TODAY).await.unwrap();
    let gone = ring.destroy_day(&acme, Service::Mail, TODAY).await.unwrap();
    assert_eq!(gone.at, office.clock.now(), "destroyed now");
    office.wait(5);
    let again = ring.destroy_day(&acme, Service::Mail, TODAY).await.unwrap();
    assert_eq!(again, gone, "twice is once");
    for ring in [&ring, &second, &office.ring().await] {
        let made = ring.day_key(&acme, Service::Mail, TODAY).await;
        assert!(matches!(made, Err(KeyError::Destroyed)), "never made again");
        let read = ring.existing_day_key(&acme, Service::Mail, TODAY).await;
        assert!(matches!(read, Err(KeyError::Destroyed)), "nor read");
    }
    assert!(second.day_key(&acme, Service::Postal, TODAY).await.is_ok(), "its neighbour lives");

    ring.mail_key(9).await.unwrap();
    ring.destroy_mail_hour(9).await.unwrap();
    assert!(matches!(ring.mail_key(9).await, Err(KeyError::Destroyed)), "mail keys too");
    ring.access_key(&acme, 5).await.unwrap();
    ring.destroy_access_month(&acme, 5).await.unwrap();
    assert!(matches!(ring.access_key(&acme, 5).await, Err(KeyError::Destroyed)), "access keys");
    ring.evidence_key(&acme, 2019).await.unwrap();
    ring.destroy_evidence_year(&acme, 2019).await.unwrap();
    assert!(matches!(ring.evidence_key(&acme, 2019).await, Err(KeyError::Destroyed)), "evidence");
}

async fn a_key_that_never_was_can_be_destroyed_too(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring().await);
    ring.destroy_day(&acme, Service::Mail, TODAY - 1).await.unwrap();
    let made = ring.day_key(&acme, Service::Mail, TODAY - 1).await;
    assert!(matches!(made, Err(KeyError::Destroyed)), "and is not made afterwards");
}

async fn another_ring_stops_serving_within_a_minute(office: Office) {
    let (acme, ring, second) = (tenant("acme"), office.ring().await, office.ring().await);
    second.day_key(&acme, Service::Mail, TODAY).await.unwrap();
    second.day_key(&acme, Service::Mail, TODAY + 30).await.unwrap();
    ring.destroy_day(&acme, Service::Mail, TODAY).await.unwrap();
    office.wait(61);
    let served = second.day_key(&acme, Service::Mail, TODAY).await;
    assert!(matches!(served, Err(KeyError::Destroyed)), "a past day is looked at again");
    second.day_key(&acme, Service::Mail, TODAY + 30).await.unwrap();
    second.close().await;
    office.wait(59);
    let served = second.day_key(&acme, Service::Mail, TODAY + 30).await;
    assert!(served.is_ok(), "for a minute a key is served from memory alone");
    office.wait(2);
    let later = second.day_key(&acme, Service::Mail, TODAY + 30).await;
    assert!(matches!(later, Err(KeyError::Store(_))), "and no longer");
}

async fn a_crash_between_the_steps_is_made_good(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring().await);
    ring.day_key(&acme, Service::Mail, TODAY).await.unwrap();
    // The process dies after the first step.
    ring.0.db.condemn(&[day("acme", TODAY)], 1).await.unwrap();
    ring.close().await;
    let ring = office.ring().await;
    let served = ring.day_key(&acme, Service::Mail, TODAY).await;
    assert!(matches!(served, Err(KeyError::Destroyed)), "condemned keys are not served");
    let left = ring.undestroyed_days_before(TODAY + 1, 10).await.unwrap();
    assert_eq!(left, [(acme.clone(), Service::Mail, TODAY)], "but not called destroyed either");
    // ... and again, after the second.
    ring.0.db.settle().await.unwrap();
    let left = ring.undestroyed_days_before(TODAY + 1, 10).await.unwrap();
    assert_eq!(left.len(), 1, "still on the list");
    ring.destroy_days(&left).await.unwrap();
    let left = ring.undestroyed_days_before(TODAY + 1, 10).await.unwrap();
    assert!(left.is_empty(), "now it is destroyed");
}

/// As when a process stops in the middle: what it had begun on a connection does
/// not live on in it.
async fn who_gives_up_a_destruction_leaves_nothing_open(office: Office) {
    let (acme, ring) = (tenant("acme"), office.ring().await);
    for patience in 1..40 {
        let today = TODAY + patience;
        ring.day_key(&acme, Service::Mail, today).await.unwrap();
        let mut gone = Box::pin(ring.destroy_day(&acme, Service::Mail, today));
        for _ in 0..patience {
            if futures::poll!(&mut gone).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    for patience in 1..40 {
        let gone = ring.destroy_day(&acme, Service::Mail, TODAY + patience).await;
        assert!(gone.is_ok(), "after {patience}: {gone:?}");
    }
    let second = office.ring().await;
    let left = second.undestroyed_days_before(TODAY + 100, 100).await.unwrap();
    assert_eq!(left, [], "and everybody sees it");
}
