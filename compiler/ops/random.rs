//! Uniform random numbers, each a function of seed, stream, step and element index.

use super::{Array, Cut, Need, Op, Problem, Rules, lift, shape};
use crate::cost::{self, Cost};
use crate::types::{DType, Type};
use strata_runtime::kernels::random::Draw;

/// What is true of random numbers.
pub const RULES: Rules = Rules {
    name: "random",
    page: include_str!("../../specs/ops/random.md"),
    infer,
    grad: super::no_gradient,
    cuts,
    cost,
    lift: lift::turn_by_turn,
    eval,
};

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Random { axes, .. } = op else { unreachable!("the table of rules pairs them") };
    let [..] = shape::operands::<2>(args)?;
    for (arg, ty) in args.iter().enumerate() {
        shape::rank(args, arg, 0)?;
        if ty.dtype != DType::I64 {
            return Err(Problem::Dtype { arg, expected: "i64".into() });
        }
    }
    Ok(Type::new(DType::F32, axes.clone()))
}

fn cuts(_op: &Op, _args: &[&Type], result: &Type) -> Vec<Cut> {
    (0..result.rank()).map(|axis| Cut::along(axis, result, vec![Need::Whole; 2])).collect()
}

/// Ten rounds of the generator give four numbers: about 15 operations each.
fn cost(_op: &Op, args: &[&Type], result: &Type) -> Cost {
    Cost::streaming(15 * cost::elements(result), args, result)
}

fn eval(op: &Op, args: &[&Array], result: &Type) -> Array {
    let Op::Random { stream, .. } = op else { unreachable!("the table of rules pairs them") };
    let [seed, step] = [0, 1].map(|i| args[i].data[0] as i64 as u64);
    let draw = Draw::new(seed, *stream, step);
    let dims = result.dims();
    let count = dims.iter().product::<usize>() as u64;
    Array::new(&dims, (0..count).map(|index| f64::from(draw.uniform(index))).collect())
}
