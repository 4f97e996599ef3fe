//! What it costs that there are several devices: a step that does nothing, by a session and by groups, and tensors from
//! one device to another.
//!
//! `cargo run --release -p strata-runtime --example handover`

use std::sync::Arc;
use std::time::{Duration, Instant};

use strata_runtime::channels::{Channels, Links};
use strata_runtime::group::{Device, Group};
use strata_runtime::kernels::table;
use strata_runtime::plan::{Layout, Plan, VERSION};
use strata_runtime::program::{Channel, Program};
use strata_runtime::session::Session;
use strata_runtime::threads::{Waiting, settle};

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 15;

fn main() {
    let session = {
        let mut session = Session::new(Layout::default(), 1).expect("no thread is needed");
        let executable = session.load(idle()).expect("the plan is sound");
        seconds(20_000, move || {
            session.run(&executable, 0, 0, &[]).expect("nothing can go wrong");
        })
    };
    println!("a step that does nothing: {:8.3} us by a session", session * 1e6);
    for devices in [1, 2] {
        let device = |i: usize| Device { name: format!("d{i}"), layout: Layout::default() };
        let mut group =
            Group::new((0..devices).map(device).collect(), Vec::new(), devices).expect("threads start");
        let program = Program {
            plans: vec![idle(); devices],
            channels: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            variables: Vec::new(),
        };
        let loaded = group.load(program).expect("the program is sound");
        let step = seconds(20_000, || {
            group.run(&loaded, 0, 0, &[]).expect("nothing can go wrong");
        });
        println!("                          {:8.3} us by a group of {devices}", step * 1e6);
    }
    for bytes in [4, 4 << 10, 1 << 20, 64 << 20] {
        let each = hand_over(bytes, if bytes > 1 << 16 { 10 } else { 20_000 });
        let speed = bytes as f64 / each * 1e-9;
        println!("{bytes:9} bytes handed over: {:10.3} us, {speed:7.3} GB/s", each * 1e6);
    }
}

/// A plan whose program returns at once.
fn idle() -> Plan {
    Plan {
        version: VERSION,
        table: table::VERSION,
        layout: Layout::default(),
        buffers: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        steps: Vec::new(),
        data: Vec::new(),
        scratch: 0,
        live: 0,
        local: 0,
        // `ret`
        code: vec![0xc3],
        functions: Vec::new(),
        entry: 0,
    }
}

/// Median seconds of one call.
fn seconds(calls: usize, mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            (0..calls).for_each(|_| call());
            began.elapsed().as_secs_f64() / calls as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// Median seconds from one device to another: half of there and back.
fn hand_over(bytes: usize, turns: usize) -> f64 {
    let channel = |from, to| Channel { from, to, bytes, origin: 0 };
    let channels = Arc::new(Channels::new(&[channel(0, 1), channel(1, 0)], Waiting::among(2)));
    let links = |device| Links { channels: Arc::clone(&channels), device, deadline: Duration::from_secs(60) };
    let (here, there) = (links(0), links(1));
    let answers = std::thread::spawn(move || {
        settle(1, 2);
        let mut tensor = vec![1; bytes];
        for _ in 0..turns * ROUNDS {
            there.receive(0, &mut tensor).expect("it is sent");
            there.send(1, &tensor).expect("it is taken");
        }
    });
    let asks = std::thread::spawn(move || {
        settle(0, 2);
        let mut tensor = vec![0; bytes];
        seconds(turns, || {
            here.send(0, &tensor).expect("it is taken");
            here.receive(1, &mut tensor).expect("it is sent");
        })
    });
    let there_and_back = asks.join().expect("it ends");
    answers.join().expect("it ends");
    there_and_back / 2.0
}
