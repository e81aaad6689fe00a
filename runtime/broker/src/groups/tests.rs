//! The state machine of a group, told the time.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::Instant;

use super::state::{JoinReply, Joined, Joining, Phase, Rules, State, Who};

fn group() -> State {
    State::new(Rules {
        session_ms: 500..=60_000,
        initial_delay: Duration::ZERO,
        max_members: 3,
    })
}

fn joining(member_id: &str, instance: Option<&str>) -> Joining {
    Joining {
        member_id: member_id.to_owned(),
        instance: instance.map(str::to_owned),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_ms: 10_000,
        rebalance_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![
            ("range".into(), Bytes::from_static(b"r")),
            ("sticky".into(), Bytes::from_static(b"s")),
        ],
        id_first: false,
    }
}

fn answered(mut receiver: Receiver<JoinReply>) -> JoinReply {
    receiver.try_recv().expect("answered")
}

fn joined(receiver: Receiver<JoinReply>) -> (String, Joined) {
    let reply = answered(receiver);
    (reply.member_id, reply.outcome.expect("joined"))
}

fn refused(receiver: Receiver<JoinReply>) -> ResponseError {
    answered(receiver).outcome.expect_err("refused")
}

fn who(member_id: &str, generation: i32) -> Who<'_> {
    Who {
        member_id,
        instance: None,
        generation,
    }
}

/// A stable group of one.
fn stable_one(now: Instant) -> (State, String) {
    let mut group = group();
    let (id, first) = joined(group.join(joining("", None), now));
    assert_eq!(
        (first.generation, first.leader.as_str(), first.members.len()),
        (1, id.as_str(), 1)
    );
    let mut sync = group
        .sync(
            &who(&id, 1),
            vec![(id.clone(), Bytes::from_static(b"all"))],
            now,
        )
        .expect("taken");
    assert_eq!(
        sync.try_recv().expect("answered"),
        Ok(Bytes::from_static(b"all"))
    );
    assert_eq!(group.phase, Phase::Stable);
    (group, id)
}

/// A stable group of two: the leader and a follower.
fn stable_two(now: Instant) -> (State, String, String) {
    let (mut group, a) = stable_one(now);
    let mut second = group.join(joining("", None), now);
    assert_eq!(
        second.try_recv(),
        Err(TryRecvError::Empty),
        "the first member has not joined again yet"
    );
    assert_eq!(
        group.heartbeat(&who(&a, 1), now),
        Err(ResponseError::RebalanceInProgress)
    );
    let (_, again) = joined(group.join(joining(&a, None), now));
    let (b, told) = joined(second);
    assert_eq!(
        (
            again.generation,
            again.members.len(),
            told.generation,
            told.members.len()
        ),
        (2, 2, 2, 0)
    );
    assert_eq!(told.leader, a);
    let mut waiting = group.sync(&who(&b, 2), Vec::new(), now).expect("taken");
    assert_eq!(waiting.try_recv(), Err(TryRecvError::Empty));
    drop(
        group
            .sync(
                &who(&a, 2),
                vec![
                    (a.clone(), Bytes::from_static(b"1")),
                    (b.clone(), Bytes::from_static(b"2")),
                ],
                now,
            )
            .expect("taken"),
    );
    assert_eq!(
        waiting.try_recv().expect("answered"),
        Ok(Bytes::from_static(b"2"))
    );
    (group, a, b)
}

#[test]
fn a_second_member_starts_a_second_generation() {
    stable_two(Instant::now());
}

#[test]
fn a_silent_member_is_evicted_and_its_generation_ends() {
    let now = Instant::now();
    let (mut group, a, b) = stable_two(now);
    let later = now + Duration::from_secs(9);
    assert_eq!(group.heartbeat(&who(&a, 2), later), Ok(()));
    assert!(
        group
            .next_deadline()
            .is_some_and(|at| at <= now + Duration::from_secs(10))
    );
    group.expire(now + Duration::from_secs(11));
    assert_eq!((group.phase, group.members.len()), (Phase::Preparing, 1));
    assert_eq!(
        group.heartbeat(&who(&b, 2), later),
        Err(ResponseError::UnknownMemberId)
    );
    let (_, alone) = joined(group.join(joining(&a, None), later));
    assert_eq!((alone.generation, alone.members.len()), (3, 1));
}

#[test]
fn the_last_member_to_leave_empties_the_group() {
    let now = Instant::now();
    let (mut group, a) = stable_one(now);
    group.leave(&a, now).expect("a member");
    assert_eq!((group.phase, group.generation), (Phase::Empty, 2));
    assert_eq!(group.next_deadline(), None);
    assert_eq!(group.leave(&a, now), Err(ResponseError::UnknownMemberId));
}

#[test]
fn whoever_does_not_join_in_time_is_out() {
    let now = Instant::now();
    let (mut group, _a, b) = stable_two(now);
    let mut third = group.join(joining("", None), now);
    drop(group.join(joining(&b, None), now));
    for second in (0..60).step_by(5) {
        group
            .heartbeat(&who(&_a, 2), now + Duration::from_secs(second))
            .expect_err("told to join");
    }
    assert_eq!(third.try_recv(), Err(TryRecvError::Empty));
    group.expire(now + Duration::from_secs(60));
    let (_, told) = joined(third);
    assert_eq!((told.generation, told.leader), (3, b));
}

#[test]
fn commits_of_an_older_generation_or_a_stranger_are_refused() {
    let now = Instant::now();
    let (mut group, a, _b) = stable_two(now);
    assert_eq!(group.may_commit(&who(&a, 2), false, now), Ok(()));
    assert_eq!(
        group.may_commit(&who(&a, 1), false, now),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        group.may_commit(&who("stranger", 2), false, now),
        Err(ResponseError::UnknownMemberId)
    );
    assert_eq!(
        group.may_commit(&who("", -1), false, now),
        Err(ResponseError::UnknownMemberId)
    );
    // A transactional producer that claims no membership is not checked, as in Kafka.
    assert_eq!(group.may_commit(&who("", -1), true, now), Ok(()));
    drop(group.join(joining("", None), now));
    assert_eq!(
        group.may_commit(&who(&a, 2), false, now),
        Ok(()),
        "the last commits before joining again"
    );
}

#[test]
fn another_protocol_type_is_inconsistent() {
    let now = Instant::now();
    let (mut group, _) = stable_one(now);
    let other = Joining {
        protocol_type: "connect".into(),
        ..joining("", None)
    };
    assert_eq!(
        refused(group.join(other, now)),
        ResponseError::InconsistentGroupProtocol
    );
    let unknown = Joining {
        protocols: vec![("nobody".into(), Bytes::new())],
        ..joining("", None)
    };
    assert_eq!(
        refused(group.join(unknown, now)),
        ResponseError::InconsistentGroupProtocol
    );
    let none = Joining {
        protocols: Vec::new(),
        ..joining("", None)
    };
    assert_eq!(
        refused(super::tests::group().join(none, now)),
        ResponseError::InconsistentGroupProtocol
    );
}

#[test]
fn limits_on_sessions_and_members_hold() {
    let now = Instant::now();
    let mut group = group();
    let short = Joining {
        session_ms: 499,
        ..joining("", None)
    };
    assert_eq!(
        refused(group.join(short, now)),
        ResponseError::InvalidSessionTimeout
    );
    for _ in 0..3 {
        drop(group.join(joining("", None), now));
    }
    assert_eq!(
        refused(group.join(joining("", None), now)),
        ResponseError::GroupMaxSizeReached
    );
}

#[test]
fn a_promised_id_is_waited_for_but_not_for_ever() {
    let now = Instant::now();
    let mut group = group();
    let first = answered(group.join(
        Joining {
            id_first: true,
            ..joining("", None)
        },
        now,
    ));
    assert_eq!(first.outcome, Err(ResponseError::MemberIdRequired));
    let mut second = group.join(joining("", None), now);
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    group.expire(now + Duration::from_secs(10));
    joined(second);
    assert_eq!(
        refused(group.join(joining(&first.member_id, None), now)),
        ResponseError::UnknownMemberId
    );
}

#[test]
fn a_static_member_returns_to_its_place() {
    let now = Instant::now();
    let mut group = group();
    let (a, _) = joined(group.join(joining("", Some("i-a")), now));
    drop(
        group
            .sync(
                &who(&a, 1),
                vec![(a.clone(), Bytes::from_static(b"all"))],
                now,
            )
            .expect("taken"),
    );
    let (again, told) = joined(group.join(joining("", Some("i-a")), now));
    assert_ne!(again, a);
    assert_eq!(
        (told.generation, told.leader.as_str(), group.phase),
        (1, a.as_str(), Phase::Stable)
    );
    let mut sync = group.sync(&who(&again, 1), Vec::new(), now).expect("taken");
    assert_eq!(
        sync.try_recv().expect("answered"),
        Ok(Bytes::from_static(b"all"))
    );
    let zombie = Who {
        instance: Some("i-a"),
        ..who(&a, 1)
    };
    assert_eq!(
        group.heartbeat(&zombie, now),
        Err(ResponseError::FencedInstanceId)
    );
    assert_eq!(
        refused(group.join(joining(&a, Some("i-a")), now)),
        ResponseError::FencedInstanceId
    );
}

#[test]
fn a_follower_that_joins_again_unchanged_disturbs_nobody() {
    let now = Instant::now();
    let (mut group, a, b) = stable_two(now);
    let (_, told) = joined(group.join(joining(&b, None), now));
    assert_eq!((told.generation, group.phase), (2, Phase::Stable));
    let (changed, mut leader) = (
        Joining {
            protocols: vec![("range".into(), Bytes::from_static(b"new"))],
            ..joining(&b, None)
        },
        joining(&a, None),
    );
    drop(group.join(changed, now));
    assert_eq!(group.phase, Phase::Preparing);
    leader.protocols.truncate(1);
    let (_, told) = joined(group.join(leader, now));
    assert_eq!((told.generation, told.protocol.as_str()), (3, "range"));
}

#[test]
fn a_leader_that_never_assigns_is_evicted() {
    let now = Instant::now();
    let mut group = group();
    let (a, _) = joined(group.join(
        Joining {
            session_ms: 50_000,
            rebalance_ms: 20_000,
            ..joining("", None)
        },
        now,
    ));
    group.expire(now + Duration::from_secs(20));
    assert_eq!((group.phase, group.members.len()), (Phase::Empty, 0));
    assert_eq!(
        group.heartbeat(&who(&a, 1), now),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn an_initial_delay_gathers_members() {
    let now = Instant::now();
    let mut group = State::new(Rules {
        session_ms: 500..=60_000,
        initial_delay: Duration::from_secs(3),
        max_members: 3,
    });
    let mut a = group.join(joining("", None), now);
    let mut b = group.join(joining("", None), now);
    group.expire(now + Duration::from_secs(2));
    assert_eq!(
        (a.try_recv(), b.try_recv()),
        (Err(TryRecvError::Empty), Err(TryRecvError::Empty))
    );
    group.expire(now + Duration::from_secs(3));
    assert_eq!((joined(a).1.generation, joined(b).1.generation), (1, 1));
}

#[test]
fn a_subscription_names_its_topics() {
    let now = Instant::now();
    let mut group = group();
    let subscription = Bytes::from_static(&[0, 1, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c', 0xff]);
    drop(group.join(
        Joining {
            protocols: vec![("range".into(), subscription)],
            ..joining("", None)
        },
        now,
    ));
    assert!(group.subscribes("a") && group.subscribes("bc"));
    assert!(!group.subscribes("b") && !group.subscribes(""));
}
