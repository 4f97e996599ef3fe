//! Runs a graph compiled.

use strata::graph::Graph;
use strata::lower::{LowerOptions, layout, lower, races};
use strata::reference::{Array, Environment, step};
use strata_runtime::session::{Session, SessionError};
use strata_runtime::{DType, Tensor};

/// A tensor of `dtype` with these numbers.
pub fn tensor(array: &Array, dtype: DType) -> Tensor {
    let bytes: Vec<u8> = array.data.iter().flat_map(|x| bytes_of(dtype, *x)).collect();
    Tensor::from_bytes(dtype, &array.shape, &bytes).expect("an array fills its shape")
}

fn bytes_of(dtype: DType, x: f64) -> Vec<u8> {
    match dtype {
        DType::F32 => (x as f32).to_ne_bytes().to_vec(),
        DType::F64 => x.to_ne_bytes().to_vec(),
        DType::I32 => (x as i32).to_ne_bytes().to_vec(),
        DType::I64 => (x as i64).to_ne_bytes().to_vec(),
        DType::U8 | DType::Bool => vec![x as u8],
        DType::Bf16 => half::bf16::from_f64(x).to_ne_bytes().to_vec(),
        DType::F16 => half::f16::from_f64(x).to_ne_bytes().to_vec(),
    }
}

const WHOLE: &str = "chunks have as many bytes as an element";

/// The numbers of a tensor.
pub fn array(tensor: &Tensor) -> Array {
    let bytes = tensor.bytes();
    let word = |at: &[u8]| match tensor.dtype() {
        DType::F32 => f64::from(f32::from_ne_bytes(at.try_into().expect(WHOLE))),
        DType::F64 => f64::from_ne_bytes(at.try_into().expect(WHOLE)),
        DType::I32 => f64::from(i32::from_ne_bytes(at.try_into().expect(WHOLE))),
        DType::I64 => i64::from_ne_bytes(at.try_into().expect(WHOLE)) as f64,
        DType::U8 | DType::Bool => f64::from(at[0]),
        DType::Bf16 => half::bf16::from_ne_bytes(at.try_into().expect(WHOLE)).to_f64(),
        DType::F16 => half::f16::from_ne_bytes(at.try_into().expect(WHOLE)).to_f64(),
    };
    let data = bytes.chunks_exact(tensor.dtype().bytes()).map(word).collect();
    Array::new(tensor.shape(), data)
}

/// What a step leaves: outputs by name, then all variables by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub tensors: Vec<(String, Tensor)>,
}

/// One step of `graph`, compiled.
pub fn run(graph: &Graph, environment: &Environment, options: &LowerOptions, threads: usize) -> Outcome {
    try_run(graph, environment, options, threads).expect("the inputs fit")
}

/// One step of `graph`, compiled, which may find something wrong with its numbers.
pub fn try_run(
    graph: &Graph,
    environment: &Environment,
    options: &LowerOptions,
    threads: usize,
) -> Result<Outcome, SessionError> {
    let layout = layout(&graph.variables);
    let plan = lower(graph, &layout, options);
    races::verify(&plan);
    let mut session = Session::new(layout, threads).expect("threads can be had");
    for (variable, value) in graph.variables.iter().zip(&environment.variables) {
        session.set(&variable.name, &tensor(value, variable.ty.dtype)).expect("the value fits");
    }
    let inputs: Vec<Tensor> =
        graph.inputs.iter().zip(&environment.inputs).map(|(i, x)| tensor(x, i.ty.dtype)).collect();
    let inputs: Vec<(&str, &Tensor)> = graph.inputs.iter().map(|i| i.name.as_str()).zip(&inputs).collect();
    let executable = session.load(plan).expect("the plan was made here");
    let outputs = session.run(&executable, environment.seed, environment.step, &inputs);
    let outputs = outputs?;
    let names = executable.plan.outputs.iter().map(|p| p.name.clone());
    let mut tensors: Vec<(String, Tensor)> = names.zip(outputs).collect();
    for variable in graph.variables.iter() {
        tensors.push((variable.name.clone(), session.get(&variable.name).expect("it is there")));
    }
    Ok(Outcome { tensors })
}

/// What the step should leave.
pub fn expected(graph: &Graph, environment: &Environment) -> Vec<(String, Array)> {
    let (mut outputs, updates) = step(graph, environment);
    for (i, variable) in graph.variables.iter().enumerate() {
        let update = graph.updates.iter().position(|u| u.variable.0 as usize == i);
        let value = update.map_or(&environment.variables[i], |at| &updates[at]);
        outputs.push((variable.name.clone(), value.clone()));
    }
    outputs
}

/// Compares with the reference: within `tolerance` of the larger magnitude of the tensor, integers exactly.
pub fn agree(what: &str, outcome: &Outcome, expected: &[(String, Array)], tolerance: f64) {
    assert_eq!(outcome.tensors.len(), expected.len());
    for ((name, tensor), (_, wanted)) in outcome.tensors.iter().zip(expected) {
        let got = array(tensor);
        assert_eq!(got.shape, wanted.shape, "{what}: `{name}` has another shape");
        let scale = wanted.data.iter().filter(|x| x.is_finite()).fold(1.0f64, |most, x| most.max(x.abs()));
        for (i, (a, b)) in got.data.iter().zip(&wanted.data).enumerate() {
            let near = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * scale;
            assert!(near, "{what}: `{name}`[{i}] is {a}, should be {b}\n{got:?}\n{wanted:?}");
        }
    }
}
