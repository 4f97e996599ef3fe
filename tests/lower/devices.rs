//! Programs over several devices: the same bits as on one, whoever has what; and what goes wrong ends.

use std::time::{Duration, Instant};

use strata::graph::{Graph, OriginId, Output, Send, Update, ValueId};
use strata::graph_of;
use strata::lower::{LowerOptions, layout, lower, waits};
use strata::machine::Machine;
use strata::model::Input;
use strata::ops::{Binary, Channel, InputId, Op, VariableId};
use strata::reference::Array;
use strata::types::{Axis, DType, Type};
use strata_grammar::Span;
use strata_runtime::Tensor;
use strata_runtime::group::{Cause, Device, Group, GroupError, Patience};
use strata_runtime::plan::{Kernel, Place, Step, Way};
use strata_runtime::program::{self, Piece, Program, Whole};
use strata_runtime::queue::{Batch, Cursor};
use strata_runtime::session::{Session, SessionError};
use strata_runtime::train::{Machine as _, Phase, Turn};
use strata_tests::primitives::variable;
use strata_tests::random::Choices;
use strata_tests::random_graph::{RandomGraph, random_graph};
use strata_tests::trial::model;

use crate::machine::tensor;
use crate::scatter::{Running, floats, scatter};

const HERE: OriginId = OriginId(9);

fn ty(dtype: DType, sizes: &[u64]) -> Type {
    Type::new(dtype, sizes.iter().map(|size| Axis::sized(*size)).collect())
}

fn input(name: &str, ty: Type) -> Input {
    Input { name: name.into(), ty, span: Span::default() }
}

/// A graph with an input `x` and a variable `w`, both of this type.
fn graph(ty: &Type) -> (Graph, ValueId, ValueId) {
    let mut graph = Graph::new([input("x", ty.clone())].into(), [variable("w", ty)].into());
    let x = graph.add(Op::Input(InputId(0)), &[], HERE);
    let w = graph.add(Op::Variable(VariableId(0)), &[], HERE);
    (graph, x, w)
}

fn plus(graph: &mut Graph, x: ValueId, number: f64) -> ValueId {
    let ty = graph.ty(x).clone();
    let number = graph.filled(number, &ty, HERE);
    graph.add(Op::Binary(Binary::Add), &[x, number], HERE)
}

fn output(graph: &mut Graph, name: &str, value: ValueId) {
    graph.outputs.push(Output { name: name.into(), value });
}

/// Some steps of a random graph: the outputs of each, and the variables behind the last.
fn steps(random: &RandomGraph, running: &mut Running) -> Vec<Tensor> {
    let RandomGraph { graph, environment, .. } = random;
    for (variable, value) in graph.variables.iter().zip(&environment.variables) {
        running.group.set(&variable.name, &tensor(value, variable.ty.dtype)).expect("it fits");
    }
    let inputs: Vec<Tensor> =
        graph.inputs.iter().zip(&environment.inputs).map(|(i, x)| tensor(x, i.ty.dtype)).collect();
    let inputs: Vec<(&str, &Tensor)> = graph.inputs.iter().map(|i| i.name.as_str()).zip(&inputs).collect();
    let mut found = Vec::new();
    for step in 0..3 {
        found.extend(running.step(step, &inputs).expect("the inputs fit"));
    }
    found.extend(
        graph.variables.iter().map(|variable| running.group.get(&variable.name).expect("it is there")),
    );
    found
}

fn bits(tensors: &[Tensor]) -> Vec<&[u8]> {
    tensors.iter().map(Tensor::bytes).collect()
}

#[test]
fn random_graphs_have_the_same_bits_on_any_devices() {
    let mut channels = 0;
    for (dtype, seeds) in [(DType::F32, 0..60), (DType::F16, 60..70)] {
        for seed in seeds {
            let random = random_graph(seed, 12, dtype);
            let one = steps(&random, &mut Running::new(&random.graph, 1, 1, |_| 0));
            for (devices, threads) in [(2, 2), (3, 1), (2, 4)] {
                let mut choices = Choices::new(seed + 1000);
                let all: Vec<usize> = (0..devices).collect();
                let mut running = Running::new(&random.graph, devices, threads, |_| choices.pick(&all));
                let several = steps(&random, &mut running);
                assert_eq!(bits(&one), bits(&several), "graph {seed} of {dtype} on {devices} devices");
                for (channel, sent) in running.loaded.sent() {
                    assert_eq!(sent, 3 * channel.bytes as u64, "graph {seed}");
                    channels += 1;
                }
            }
        }
    }
    assert!(channels > 1000, "{channels}");
}

/// Without devices a group does what a session does.
#[test]
fn one_device_is_a_session() {
    let random = random_graph(3, 12, DType::F32);
    let layout = layout(&random.graph.variables);
    let plan = lower(&random.graph, &layout, &LowerOptions::default());
    let mut session = Session::new(layout, 1).unwrap();
    for (variable, value) in random.graph.variables.iter().zip(&random.environment.variables) {
        session.set(&variable.name, &tensor(value, variable.ty.dtype)).unwrap();
    }
    let (graph, environment) = (&random.graph, &random.environment);
    let inputs: Vec<Tensor> =
        graph.inputs.iter().zip(&environment.inputs).map(|(i, x)| tensor(x, i.ty.dtype)).collect();
    let inputs: Vec<(&str, &Tensor)> = graph.inputs.iter().map(|i| i.name.as_str()).zip(&inputs).collect();
    let executable = session.load(plan).unwrap();
    let mut found = Vec::new();
    for step in 0..3 {
        found.extend(session.run(&executable, 5, step, &inputs).unwrap());
    }
    found.extend(graph.variables.iter().map(|variable| session.get(&variable.name).unwrap()));
    let one = steps(&random, &mut Running::new(&random.graph, 1, 1, |_| 0));
    assert_eq!(bits(&one), bits(&found));
}

/// x goes there and back four times.
fn ping_pong(sizes: &[u64]) -> Graph {
    let (mut graph, x, w) = graph(&ty(DType::F32, sizes));
    let mut value = graph.add(Op::Binary(Binary::Add), &[x, w], HERE);
    for turn in 0..8 {
        value = plus(&mut graph, value, f64::from(turn));
        value = graph.add(Op::Binary(Binary::Max), &[value, x], HERE);
        output(&mut graph, &format!("y{turn}"), value);
    }
    graph.updates.push(Update { variable: VariableId(0), value });
    graph
}

/// Each `max` of the ping-pong on the next device, in turn.
fn in_turn(graph: &Graph, devices: usize) -> impl FnMut(ValueId) -> usize + '_ {
    let mut turn = 0;
    move |value| {
        turn += usize::from(*graph.op(value) == Op::Binary(Binary::Max));
        turn % devices
    }
}

#[test]
fn devices_answer_each_other_within_a_step_for_many_steps() {
    let graph = ping_pong(&[3, 5]);
    let mut one = Running::new(&graph, 1, 1, |_| 0);
    let mut two = Running::new(&graph, 2, 2, in_turn(&graph, 2));
    assert!(two.loaded.sent().count() >= 8);
    for step in 0..500 {
        let x = floats(&[3, 5], step as f32 * 0.25 - 20.0);
        let (a, b) = (one.step(step, &[("x", &x)]).unwrap(), two.step(step, &[("x", &x)]).unwrap());
        assert_eq!(a, b, "step {step}");
    }
    assert_eq!(one.group.get("w").unwrap(), two.group.get("w").unwrap());
    assert!(two.loaded.sent().all(|(_, sent)| sent == 500 * 60));
}

#[test]
fn more_devices_than_cores_take_their_turns() {
    let graph = ping_pong(&[4]);
    let mut one = Running::new(&graph, 1, 1, |_| 0);
    let mut eight = Running::new(&graph, 8, 2, in_turn(&graph, 8));
    let began = Instant::now();
    for step in 0..100 {
        let x = floats(&[4], step as f32);
        let (a, b) = (one.step(step, &[("x", &x)]).unwrap(), eight.step(step, &[("x", &x)]).unwrap());
        assert_eq!(a, b, "step {step}");
    }
    // Hundredths of a second on an idle machine; a wait that slept for its deadline would take a minute.
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn tensors_without_elements_go_from_device_to_device() {
    let graph = ping_pong(&[0, 3]);
    let mut two = Running::new(&graph, 2, 2, in_turn(&graph, 2));
    let x = Tensor::zeros(DType::F32, &[0, 3]);
    for step in 0..3 {
        let outputs = two.step(step, &[("x", &x)]).unwrap();
        assert!(outputs.iter().all(|y| y.shape() == [0, 3]));
    }
    assert!(two.loaded.sent().count() >= 8);
}

/// A variable is sent as it was before the step, though it is changed in place.
#[test]
fn a_variable_is_sent_before_it_is_updated() {
    let (mut graph, x, w) = graph(&ty(DType::F32, &[1000]));
    let there = graph.add(Op::Binary(Binary::Mul), &[w, x], HERE);
    let new = plus(&mut graph, w, 1.0);
    graph.updates.push(Update { variable: VariableId(0), value: new });
    output(&mut graph, "y", there);
    let scattered = scatter(&graph, 2, |value| usize::from(value == there));
    assert_eq!(scattered.channels.len(), 1);
    let program = scattered.program(&LowerOptions::default());
    let calls: Vec<_> =
        program.plans[0].all_steps().into_iter().filter(|step| **step != Step::Barrier).collect();
    let [Step::Call(send), Step::Call(update)] = calls[..] else { panic!("{}", program.plans[0]) };
    assert!(matches!(send.kernel, Kernel::Transfer { way: Way::Send, channel: 0, .. }));
    let places = update.accesses.iter().map(|a| program.plans[0].buffer(a.buffer).place);
    assert!(places.eq([Place::Variable(0); 2]), "the update is not in place:\n{}", program.plans[0]);
    let mut group = scattered.group(4);
    let loaded = group.load(program).unwrap();
    let x = floats(&[1000], 1.0);
    for step in 0..50 {
        let y = group.run(&loaded, 0, step, &[("x", &x)]).unwrap();
        let wanted: Vec<f32> = x.as_f32().unwrap().iter().map(|x| x * step as f32).collect();
        assert_eq!(y[0].as_f32().unwrap(), wanted, "step {step}");
    }
}

/// What can be sent is sent first, and what is received is waited for last.
#[test]
fn others_wait_as_little_as_can_be() {
    let (mut graph, x, w) = graph(&ty(DType::F32, &[64]));
    // By ids and by memory the work would come first.
    let mine = plus(&mut graph, w, 2.0);
    let asked = plus(&mut graph, x, 1.0);
    let there = graph.add(Op::Binary(Binary::Mul), &[asked, x], HERE);
    let both = graph.add(Op::Binary(Binary::Add), &[there, mine], HERE);
    for (name, value) in [("mine", mine), ("both", both)] {
        output(&mut graph, name, value);
    }
    let scattered = scatter(&graph, 2, |value| usize::from(value == there));
    let program = scattered.program(&LowerOptions::default());
    let ways: Vec<Option<Way>> = program.plans[0]
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Call(call) => Some(match call.kernel {
                Kernel::Transfer { way, .. } => Some(way),
                Kernel::Loop { .. } | Kernel::Table { .. } => None,
            }),
            Step::Barrier | Step::Loop(_) => None,
        })
        .collect();
    let send = ways.iter().position(|way| *way == Some(Way::Send)).unwrap();
    let receive = ways.iter().position(|way| *way == Some(Way::Receive)).unwrap();
    assert!(send < receive && receive == ways.len() - 2, "{}", program.plans[0]);
}

/// A leaf needs no copy to be sent, and what only looks at memory differently goes as what it looks at.
#[test]
fn leaves_and_their_views_are_sent_from_where_they_lie() {
    let (mut graph, x, w) = graph(&ty(DType::F32, &[2, 3]));
    let flat = graph.add(Op::Reshape { axes: ty(DType::F32, &[6]).axes }, &[w], HERE);
    let step = graph.add(Op::Step, &[], HERE);
    for (channel, value) in [(0, x), (1, flat), (2, step)] {
        graph.sends.push(Send { channel: Channel(channel), value });
    }
    let mut other = Graph::new([].into(), [].into());
    for (i, from) in [x, flat, step].into_iter().enumerate() {
        let ty = graph.ty(from);
        let channel = Channel(i as u32);
        let op = Op::Receive { channel, axes: ty.axes.clone(), dtype: ty.dtype };
        let value = other.add(op, &[], HERE);
        output(&mut other, &format!("y{i}"), value);
    }
    let plans =
        [&graph, &other].map(|graph| lower(graph, &layout(&graph.variables), &LowerOptions::default()));
    assert!(plans.iter().all(|plan| plan.transfers().len() == 3 && plan.steps.len() == 3), "{}", plans[0]);
    assert_eq!(plans[0].scratch, 0);
    let channel = |bytes| program::Channel { from: 0, to: 1, bytes, origin: 0 };
    let outputs = [(DType::F32, vec![2, 3]), (DType::F32, vec![6]), (DType::I64, vec![])];
    let outputs = outputs.into_iter().enumerate();
    let outputs = outputs.map(|(i, (dtype, shape))| Whole::on(1, i, &format!("y{i}"), dtype, &shape, 0));
    let variables = vec![Whole::on(0, 0, "w", DType::F32, &[2, 3], 0)];
    let devices = [("a", &graph), ("b", &other)];
    let devices = devices.map(|(name, graph)| Device { name: name.into(), layout: layout(&graph.variables) });
    let mut group = Group::new(devices.into(), variables.clone(), 2).unwrap();
    let program = Program {
        plans: plans.into(),
        channels: vec![channel(24), channel(24), channel(8)],
        inputs: vec![Whole::on(0, 0, "x", DType::F32, &[2, 3], 0)],
        outputs: outputs.collect(),
        variables,
    };
    let loaded = group.load(program).unwrap();
    let (x, w) = (floats(&[2, 3], 1.0), floats(&[2, 3], 10.0));
    group.set("w", &w).unwrap();
    let found = group.run(&loaded, 0, 41, &[("x", &x)]).unwrap();
    assert_eq!((&found[0], found[1].bytes()), (&x, w.bytes()));
    assert_eq!(found[2].bytes(), 41i64.to_ne_bytes());
}

/// Two devices with half the rows of everything each, and a variable that both have.
#[test]
fn parts_are_cut_and_put_together() {
    let half = ty(DType::F32, &[2, 4]);
    let one = ty(DType::F32, &[4]);
    let device = || {
        let inputs = [input("x", half.clone()), input("unread", one.clone())];
        let variables = [variable("w", &half), variable("b", &one)];
        let mut graph = Graph::new(inputs.into(), variables.into());
        let x = graph.add(Op::Input(InputId(0)), &[], HERE);
        let [w, b] = [0, 1].map(|i| graph.add(Op::Variable(VariableId(i)), &[], HERE));
        let b = graph.add(Op::Broadcast { axes: half.axes.clone(), from: vec![1] }, &[b], HERE);
        let y = graph.add(Op::Binary(Binary::Mul), &[x, w], HERE);
        let y = graph.add(Op::Binary(Binary::Add), &[y, b], HERE);
        output(&mut graph, "y", y);
        let new = plus(&mut graph, w, 1.0);
        graph.updates.push(Update { variable: VariableId(0), value: new });
        lower(&graph, &layout(&graph.variables), &LowerOptions::default())
    };
    let plans = vec![device(), device()];
    let piece =
        |device: usize, index, rows: std::ops::Range<usize>| Piece { device, index, part: vec![rows, 0..4] };
    let whole = |name: &str| Whole {
        name: name.into(),
        dtype: DType::F32,
        shape: vec![4, 4],
        origin: 0,
        pieces: vec![piece(0, 0, 0..2), piece(1, 0, 2..4)],
    };
    let all = std::iter::once(0..4).collect::<Vec<_>>();
    let both = |device| Piece { device, index: 1, part: all.clone() };
    let b = Whole {
        name: "b".into(),
        dtype: DType::F32,
        shape: vec![4],
        origin: 0,
        pieces: vec![both(0), both(1)],
    };
    let variables = vec![whole("w"), b];
    let devices = ["a", "b"].map(|name| Device { name: name.into(), layout: plans[0].layout.clone() });
    let mut group = Group::new(devices.into(), variables.clone(), 2).unwrap();
    let mut outputs = vec![whole("y"), whole("upper")];
    outputs[1].pieces.truncate(1);
    outputs[1].shape[0] = 2;
    let program = Program { plans, channels: Vec::new(), inputs: vec![whole("x")], outputs, variables };
    let loaded = group.load(program).unwrap();
    let (x, w, b) = (floats(&[4, 4], 1.0), floats(&[4, 4], -3.0), floats(&[4], 100.0));
    group.set("w", &w).unwrap();
    group.set("b", &b).unwrap();
    assert_eq!((group.get("w").unwrap(), group.get("b").unwrap()), (w.clone(), b.clone()));
    for step in 0..3 {
        let found = group.run(&loaded, 0, step, &[("x", &x)]).unwrap();
        let numbers = |t: &Tensor, i: usize| t.as_f32().unwrap()[i];
        let wanted: Vec<f32> =
            (0..16).map(|i| numbers(&x, i) * (numbers(&w, i) + step as f32) + numbers(&b, i % 4)).collect();
        assert_eq!(found[0].as_f32().unwrap(), wanted);
        assert_eq!(found[1].as_f32().unwrap(), &wanted[..8]);
    }
    // Nothing of the step happens with what does not fit.
    let wrong = [
        group.run(&loaded, 0, 0, &[]),
        group.run(&loaded, 0, 0, &[("x", &w), ("z", &w)]),
        group.run(&loaded, 0, 0, &[("x", &b)]),
    ];
    assert!(matches!(&wrong[0], Err(GroupError::Session(SessionError::Missing(x))) if x == "x"));
    assert!(matches!(&wrong[1], Err(GroupError::Session(SessionError::Unknown(z))) if z == "z"));
    assert!(matches!(&wrong[2], Err(GroupError::Session(SessionError::Mismatch { .. }))));
    let times = group.time(&loaded, 0, 3, &[("x", &x)]).unwrap();
    assert!(times.iter().zip(loaded.plans()).all(|(times, plan)| times.len() == plan.all_steps().len()));
    assert_eq!(group.get("w").unwrap().as_f32().unwrap()[15], 12.0 + 4.0);
}

#[test]
fn a_position_outside_is_told_and_the_group_goes_on() {
    let inputs = [input("x", ty(DType::F32, &[5])), input("at", ty(DType::I32, &[3]))];
    let mut graph = Graph::new(inputs.into(), [].into());
    let [x, at] = [0, 1].map(|i| graph.add(Op::Input(InputId(i)), &[], HERE));
    let x = plus(&mut graph, x, 1.0);
    let picked = graph.add(Op::Gather { axis: 0, batch: 0 }, &[x, at], HERE);
    let after = plus(&mut graph, picked, 1.0);
    output(&mut graph, "y", after);
    let mut two = Running::new(&graph, 2, 2, |value| usize::from(value == picked));
    let (x, good, bad) = (floats(&[5], 0.0), [4, 0, 2], [0, 7, 9]);
    for step in 0..6 {
        let at = if step % 2 == 0 { good } else { bad };
        let at = Tensor::from_i32(&[3], &at).unwrap();
        match two.step(step, &[("x", &x), ("at", &at)]) {
            Ok(found) => assert_eq!((step % 2, found[0].as_f32().unwrap()), (0, &[6.0, 2.0, 4.0][..])),
            Err(GroupError::Index { device, bad }) => {
                assert_eq!((step % 2, &*device, bad.origin), (1, "d1", HERE.0));
                assert_eq!((bad.at, bad.found, bad.size), (vec![1], 7, 5));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// The first device leaves its step at once, so the second waits for what never comes, in a step of several threads.
#[test]
fn a_receive_that_nothing_is_sent_for_ends() {
    let graph = ping_pong(&[64, 64]);
    let scattered = scatter(&graph, 2, in_turn(&graph, 2));
    let mut program = scattered.program(&LowerOptions::default());
    let entry = program.plans[0].entry;
    // `ret`
    program.plans[0].code[entry] = 0xc3;
    let mut group = scattered.group(6);
    group.set_patience(Patience { deadline: Duration::from_millis(200), ..Patience::default() });
    let loaded = group.load(program).unwrap();
    let began = Instant::now();
    let error = group.run(&loaded, 0, 0, &[("x", &floats(&[64, 64], 0.0))]).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let text = error.to_string();
    let GroupError::Ended(ended) = error else { panic!("{text}") };
    assert!(ended.lost.is_empty());
    let Cause::Stalled { device, other, stalled } = ended.cause else { panic!("{text}") };
    assert_eq!((&*device, &*other, stalled.way, stalled.origin), ("d1", "d0", Way::Receive, HERE.0));
    assert!(text.starts_with("device `d1` waited 0."), "{text}");
    let again = group.run(&loaded, 0, 1, &[("x", &floats(&[64, 64], 0.0))]).unwrap_err();
    assert!(matches!(again, GroupError::Broken(since) if since == text));
}

#[test]
fn a_program_in_which_devices_would_wait_for_ever_is_refused() {
    let graph = ping_pong(&[4]);
    let scattered = scatter(&graph, 2, in_turn(&graph, 2));
    let program = scattered.program(&LowerOptions::default());
    let refused = |program: &Program| {
        let refused = scattered.group(2).load(program.clone()).err();
        (waits::verify(&program.plans, &program.channels).err(), refused.map(|e| e.to_string()))
    };
    assert_eq!(refused(&program), (None, None));

    // The first device would wait for the answer before it asks.
    let mut turned = program.clone();
    let steps = &mut turned.plans[0].steps;
    let is = |way: Way| {
        move |step: &Step| {
            let Step::Call(call) = step else { return false };
            matches!(call.kernel, Kernel::Transfer { way: found, .. } if found == way)
        }
    };
    let receive = steps.iter().position(is(Way::Receive)).unwrap();
    let send = steps.iter().position(is(Way::Send)).unwrap();
    assert!(send < receive);
    steps.swap(receive, send);
    let (verified, loaded) = refused(&turned);
    let wanted = "these wait for each other: device 0 to receive by channel 1, device 0 to send by channel 0, \
                  device 1 to receive by channel 0, device 1 to send by channel 1";
    assert_eq!(verified.as_deref(), Some(wanted));
    assert!(loaded.unwrap().ends_with("too late"));

    let mut unsent = program.clone();
    unsent.plans[0].steps.remove(send);
    let (verified, loaded) = refused(&unsent);
    assert!(verified.unwrap().ends_with("is sent by 0 times and received from 1 times"));
    assert!(loaded.is_some());

    let mut short = program.clone();
    short.channels[0].bytes = 8;
    assert!(refused(&short).0.unwrap().ends_with("16 bytes by channel 0 of 8"));

    // What the code is given is not what the plan says.
    let mut damaged = program.clone();
    damaged.plans[0].data[0] = 9;
    assert!(refused(&damaged).0.unwrap().ends_with("its descriptor says something else"));

    let mut others = program;
    others.channels[0].to = 0;
    assert!(refused(&others).0.unwrap().contains("which is device 0's"));
}

#[test]
fn a_plan_that_waits_for_others_does_not_run_alone() {
    let graph = ping_pong(&[4]);
    let scattered = scatter(&graph, 2, in_turn(&graph, 2));
    let plan = scattered.program(&LowerOptions::default()).plans.remove(1);
    let mut session = Session::new(plan.layout.clone(), 1).unwrap();
    let executable = session.load(plan).unwrap();
    let x = tensor(&Array::filled(&[4], 0.0), DType::F32);
    assert!(matches!(session.run(&executable, 0, 0, &[("x", &x)]), Err(SessionError::Alone)));
}

#[test]
fn what_needs_a_later_channel_is_our_mistake() {
    let (mut graph, ..) = graph(&ty(DType::F32, &[2]));
    let receive = Op::Receive { channel: Channel(1), axes: ty(DType::F32, &[2]).axes, dtype: DType::F32 };
    let got = graph.add(receive, &[], HERE);
    let answer = plus(&mut graph, got, 1.0);
    graph.sends.push(Send { channel: Channel(0), value: answer });
    let lowered =
        std::panic::catch_unwind(|| lower(&graph, &layout(&graph.variables), &LowerOptions::default()));
    let said = lowered.unwrap_err();
    let said = said.downcast_ref::<String>().unwrap();
    assert_eq!(said, "what goes by channel 0 waits for channel 1, which has a larger number");
}

/// Variables and values in turn on two devices or three.
fn spread(graph: &Graph, devices: usize) -> impl FnMut(ValueId) -> usize + '_ {
    move |value| {
        let Op::Variable(variable) = graph.op(value) else { return value.0 as usize / 3 % devices };
        variable.0 as usize % devices
    }
}

#[test]
fn a_machine_over_several_devices_is_one_machine() {
    let body = "input x: f32[batch, 6]
        input label: i32[batch]
        h = relu(batch_norm(dense(x, 8)))
        logits = dense(dropout(h, 0.5), 3)
        loss cross_entropy(logits, label)
        metric accuracy(logits, label)";
    let model = model("", body);
    let x = floats(&[5, 6], -12.0);
    let label = Tensor::from_i32(&[5], &[0, 2, 1, 1, 0]).unwrap();
    let tensors = vec![("x".into(), x), ("label".into(), label)];
    let batch = Batch { tensors, examples: 5, epoch: 0, ends_epoch: false, cursor: Cursor::default() };
    let mut runs = Vec::new();
    for devices in [1, 2, 3] {
        let mut machine = if devices == 1 {
            Machine::new(&model, 3, 2).unwrap()
        } else {
            let graph = graph_of(&model, &[1], Phase::Train, &[]);
            let cut = scatter(&graph, devices, spread(&graph, devices));
            let partition = move |graph: &Graph, options: &LowerOptions| {
                Ok(scatter(graph, devices, spread(graph, devices)).program(options))
            };
            Machine::over(&model, 3, 2, cut.devices(), cut.variables.clone(), Box::new(partition)).unwrap()
        };
        let mut found = Vec::new();
        let mut train = machine.compile(Phase::Train, &batch.shapes()).unwrap();
        let mut evaluate = machine.compile(Phase::Evaluate, &batch.shapes()).unwrap();
        for step in 0..4 {
            found.push(machine.run(&mut train, &batch, Turn { step, part: 0 }).unwrap());
            found.push(machine.run(&mut evaluate, &batch, Turn { step, part: 0 }).unwrap());
        }
        let suspect = machine.examine(Phase::Train, &batch, Turn::default()).unwrap();
        assert!(suspect.is_none());
        runs.push((found, machine.read(), train.loaded.sent().count()));
    }
    let [(one, variables, 0), rest @ ..] = &runs[..] else { panic!("one device sends to nobody") };
    assert!(one[0] != one[6], "nothing changes from step to step");
    for (found, read, channels) in rest {
        assert_eq!((found, read), (one, variables));
        assert!(*channels > 3);
    }
}
