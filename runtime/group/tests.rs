//! Workers that stall, fail, panic or never come back.

use super::*;
use crate::channels::Stalled;
use crate::faults::BadIndex;
use crate::plan::Way;

const BRIEF: Patience = Patience { deadline: Duration::from_millis(100), grace: Duration::from_millis(200) };
/// Long beyond what a test may take: nobody waits so long where waits end at once.
const LONG: Patience = Patience { deadline: Duration::from_secs(600), grace: Duration::from_secs(600) };

fn group(names: &[&str], patience: Patience) -> Group {
    let device = |name: &&str| Device { name: (*name).to_owned(), layout: Layout::default() };
    let mut group = Group::new(names.iter().map(device).collect(), Vec::new(), 2).unwrap();
    group.set_patience(patience);
    group
}

/// Channels of four bytes, each with the number 70 more than its own as its origin.
fn channels(group: &Group, ends: &[(usize, usize)]) -> (Vec<Channel>, Arc<Channels>) {
    let channel = |(i, (from, to)): (usize, &(usize, usize))| Channel {
        from: *from,
        to: *to,
        bytes: 4,
        origin: 70 + i as u32,
    };
    let links: Vec<Channel> = ends.iter().enumerate().map(channel).collect();
    let channels = Arc::new(Channels::new(&links, group.waiting));
    (links, channels)
}

type Does<T> = Box<dyn FnOnce(&Links) -> Result<T, SessionError> + Send>;

/// Has each device do something with its ends of the channels.
fn run<T: Send + 'static>(
    group: &mut Group,
    links: &[Channel],
    channels: &Arc<Channels>,
    each: Vec<Does<T>>,
) -> Result<Vec<T>, GroupError> {
    let deadline = group.patience.deadline;
    let parts = each.into_iter().enumerate().map(|(device, each)| -> Part<T> {
        let ends = Links { channels: Arc::clone(channels), device, deadline };
        Box::new(move |_| each(&ends))
    });
    let parts = parts.collect();
    group.together(channels, links, parts)
}

fn receive(links: &Links, channel: usize) -> Result<u32, SessionError> {
    let mut bytes = [0; 4];
    links.receive(channel, &mut bytes).map_err(|_| SessionError::Left)?;
    Ok(u32::from_ne_bytes(bytes))
}

fn send(links: &Links, channel: usize, number: u32) -> Result<(), SessionError> {
    links.send(channel, &number.to_ne_bytes()).map_err(|_| SessionError::Left)
}

fn ended(result: Result<Vec<u32>, GroupError>) -> Ended {
    match result {
        Err(GroupError::Ended(ended)) => *ended,
        other => panic!("{other:?}"),
    }
}

/// A group that cannot be used any more says why.
fn is_broken(group: &mut Group, links: &[Channel], channels: &Arc<Channels>, why: &str) {
    let devices = group.members.len();
    let idle = (0..devices).map(|_| -> Does<u32> { Box::new(|_: &Links| Ok(0)) });
    match run(group, links, channels, idle.collect()) {
        Err(GroupError::Broken(since)) => assert_eq!(since, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sender_may_be_one_step_ahead_and_no_more() {
    let mut group = group(&["a", "b"], LONG);
    let (links, channels) = channels(&group, &[(0, 1), (1, 0)]);
    for first in [0, 1000] {
        let one = move |links: &Links| {
            (0..1000).try_for_each(|i| send(links, 0, first + i))?;
            receive(links, 1)
        };
        let two = move |links: &Links| {
            let mut sum = 0;
            for i in 0..1000 {
                assert_eq!(receive(links, 0)?, first + i);
                sum += i;
            }
            send(links, 1, sum)?;
            Ok(sum)
        };
        let found = run(&mut group, &links, &channels, vec![Box::new(one), Box::new(two)]).unwrap();
        assert_eq!(found, [499_500, 499_500]);
    }
    assert_eq!(channels.sent(), [8000, 8]);
}

#[test]
fn a_stall_ends_with_who_waited_for_what_and_how_long() {
    for (names, stalls) in [(&["a", "b"][..], 1), (&["a", "b", "c", "d", "e"][..], 3)] {
        let mut group = group(names, BRIEF);
        let (links, channels) = channels(&group, &[(0, 1), (0, 3), (0, 1)][..]);
        let each = (0..names.len()).map(|device| -> Does<u32> {
            match device == stalls {
                true => Box::new(move |links| receive(links, stalls / 2)),
                false => Box::new(|_| Ok(0)),
            }
        });
        let began = Instant::now();
        let found = ended(run(&mut group, &links, &channels, each.collect()));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(found.lost.is_empty());
        let text = found.to_string();
        let Cause::Stalled { device, other, stalled } = found.cause else { panic!("{text}") };
        assert_eq!((&*device, &*other), (names[stalls], "a"));
        let Stalled { waited, .. } = stalled;
        let (channel, origin) = (stalls / 2, 70 + stalls as u32 / 2);
        let wanted = Stalled { device: stalls, way: Way::Receive, channel, origin, waited };
        assert_eq!(stalled, wanted);
        assert!(waited >= BRIEF.deadline);
        is_broken(&mut group, &links, &channels, &text);
    }
}

#[test]
fn a_send_that_nobody_takes_stalls_too() {
    let mut group = group(&["a", "b"], BRIEF);
    let (links, channels) = channels(&group, &[(0, 1)]);
    let twice = |links: &Links| {
        send(links, 0, 1)?;
        send(links, 0, 2)?;
        Ok(0)
    };
    let found = ended(run(&mut group, &links, &channels, vec![Box::new(twice), Box::new(|_| Ok(0))]));
    let Cause::Stalled { device, other, stalled } = found.cause else { panic!("{found}") };
    assert_eq!((&*device, &*other, stalled.way), ("a", "b", Way::Send));
}

#[test]
fn a_panic_ends_the_waiting_of_all_at_once() {
    let mut group = group(&["a", "b", "c"], LONG);
    let (links, channels) = channels(&group, &[(1, 0), (1, 2)]);
    let began = Instant::now();
    let each: Vec<Does<u32>> = vec![
        Box::new(|links| receive(links, 0)),
        Box::new(|_| panic!("this device had enough")),
        Box::new(|links| receive(links, 1)),
    ];
    let found = ended(run(&mut group, &links, &channels, each));
    assert!(began.elapsed() < Duration::from_secs(60));
    let text = found.to_string();
    assert_eq!(text, "device `b` failed: thread 0 panicked: this device had enough");
    assert!(matches!(&found.cause, Cause::Failed { device, .. } if &**device == "b"));
    is_broken(&mut group, &links, &channels, &text);
}

/// Others fail only after the first, since they wait for it.
#[test]
fn the_first_cause_is_told() {
    let mut group = group(&["a", "b"], LONG);
    let (links, channels) = channels(&group, &[(1, 0)]);
    let each: Vec<Does<u32>> = vec![
        Box::new(|links| Ok(receive(links, 0).expect("nothing came"))),
        Box::new(|_| Err(SessionError::Missing("x".into()))),
    ];
    let found = ended(run(&mut group, &links, &channels, each));
    assert_eq!(found.to_string(), "device `b` failed: the input `x` is missing");
}

#[test]
fn a_worker_that_does_not_come_back_is_left_behind() {
    let mut group = group(&["a", "b"], BRIEF);
    let (links, channels) = channels(&group, &[(0, 1)]);
    let each: Vec<Does<u32>> = vec![
        Box::new(|_| {
            loop {
                std::thread::park();
            }
        }),
        Box::new(|links| receive(links, 0)),
    ];
    let began = Instant::now();
    let found = ended(run(&mut group, &links, &channels, each));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(matches!(&found.cause, Cause::Stalled { device, .. } if &**device == "b"));
    assert_eq!(found.lost.iter().map(|name| &**name).collect::<Vec<_>>(), ["a"]);
    assert!(found.to_string().ends_with("; device `a` did not come back"), "{found}");
    is_broken(&mut group, &links, &channels, &found.to_string());
}

#[test]
fn a_silence_that_nobody_waits_for_ends_as_well() {
    let mut group = group(&["a", "b"], BRIEF);
    let (links, channels) = channels(&group, &[]);
    let each: Vec<Does<u32>> = vec![
        Box::new(|_| Ok(0)),
        Box::new(|_| {
            loop {
                std::thread::park();
            }
        }),
    ];
    let found = ended(run(&mut group, &links, &channels, each));
    assert!(matches!(&found.cause, Cause::Silent { device, .. } if &**device == "b"));
    assert_eq!(found.lost.len(), 1);
}

#[test]
fn a_position_outside_leaves_the_group_as_it_was() {
    let mut group = group(&["a", "b"], LONG);
    let (links, channels) = channels(&group, &[(0, 1)]);
    let bad = BadIndex { origin: 7, at: vec![0], found: 9, size: 5 };
    for _ in 0..3 {
        let bad = bad.clone();
        let each: Vec<Does<u32>> = vec![
            Box::new(move |links| {
                send(links, 0, 3)?;
                Err(SessionError::Index(bad))
            }),
            Box::new(|links| receive(links, 0)),
        ];
        match run(&mut group, &links, &channels, each) {
            Err(GroupError::Index { device, bad }) => assert_eq!((&*device, bad.found), ("a", 9)),
            other => panic!("{other:?}"),
        }
    }
    let each: Vec<Does<u32>> =
        vec![Box::new(|links| send(links, 0, 3).map(|()| 1)), Box::new(|links| receive(links, 0))];
    assert_eq!(run(&mut group, &links, &channels, each).unwrap(), [1, 3]);
}

#[test]
fn threads_are_dealt_out_and_every_device_has_one() {
    assert_eq!(shares(8, 3), [2, 3, 3]);
    assert_eq!(shares(2, 5), [1, 1, 1, 1, 1]);
    assert_eq!(shares(3, 1), [3]);
}
