//! What the shape rules share: counting operands, comparing sizes and names, asking for a dtype.

use super::Problem;
use crate::types::{Axis, DType, Size, Type};

/// The operands, if there are `N`.
pub(super) fn operands<'a, const N: usize>(args: &[&'a Type]) -> Result<[&'a Type; N], Problem> {
    let count = || Problem::Other(format!("takes {N} operands, not {}", args.len()));
    args.try_into().map_err(|_| count())
}

/// That operand `arg` has `expected` axes.
pub(super) fn rank(args: &[&Type], arg: usize, expected: usize) -> Result<(), Problem> {
    if args[arg].rank() == expected { Ok(()) } else { Err(Problem::Rank { arg, expected }) }
}

/// That `axis` is an axis of operand `arg`.
pub(super) fn has_axis(args: &[&Type], arg: usize, axis: usize) -> Result<(), Problem> {
    if axis < args[arg].rank() { Ok(()) } else { Err(Problem::Rank { arg, expected: axis + 1 }) }
}

/// That operand `arg` is of floats.
pub(super) fn float(args: &[&Type], arg: usize) -> Result<(), Problem> {
    dtype(args[arg].dtype.is_float(), arg, "a float")
}

/// That operand `arg` is of numbers.
pub(super) fn number(args: &[&Type], arg: usize) -> Result<(), Problem> {
    dtype(args[arg].dtype != DType::Bool, arg, "a number")
}

/// That operand `arg` is of truth values.
pub(super) fn truth(args: &[&Type], arg: usize) -> Result<(), Problem> {
    dtype(args[arg].dtype == DType::Bool, arg, "bool")
}

/// That operand `arg` has the dtype of operand `like`.
pub(super) fn like(args: &[&Type], arg: usize, like: usize) -> Result<(), Problem> {
    let expected = format!("{} like operand {like}", args[like].dtype);
    dtype(args[arg].dtype == args[like].dtype, arg, &expected)
}

fn dtype(holds: bool, arg: usize, expected: &str) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(Problem::Dtype { arg, expected: expected.into() }) }
}

/// That two axes, each (operand, axis), have one size.
pub(super) fn same_size(args: &[&Type], left: (usize, usize), right: (usize, usize)) -> Result<(), Problem> {
    let [a, b] = [left, right].map(|(arg, axis)| &args[arg].axes[axis]);
    if a.size == b.size { Ok(()) } else { Err(Problem::Sizes { left, right }) }
}

/// The axis that two axes, each (operand, axis), are together: of one size, and with the name that either has.
pub(super) fn merge(args: &[&Type], left: (usize, usize), right: (usize, usize)) -> Result<Axis, Problem> {
    same_size(args, left, right)?;
    let [a, b] = [left, right].map(|(arg, axis)| &args[arg].axes[axis]);
    if a.name.is_some() && b.name.is_some() && a.name != b.name {
        return Err(Problem::Names { left, right });
    }
    let name = a.name.clone().or_else(|| b.name.clone());
    Ok(Axis { size: a.size.clone(), name, ragged: a.ragged || b.ragged })
}

/// The axes that operands `left` and `right` have in common, position by position.
pub(super) fn merge_all(args: &[&Type], left: usize, right: usize) -> Result<Vec<Axis>, Problem> {
    rank(args, right, args[left].rank())?;
    (0..args[left].rank()).map(|i| merge(args, (left, i), (right, i))).collect()
}

/// A size as a product: the known factor, and the others in order. Two products are equal where these are.
pub(crate) fn product<'a>(sizes: impl IntoIterator<Item = &'a Size>) -> (u64, Vec<Size>) {
    let mut factors = Factors { known: 1, rest: Vec::new() };
    sizes.into_iter().for_each(|size| factors.multiply(size));
    factors.rest.sort_unstable();
    if factors.known == 0 {
        factors.rest.clear();
    }
    (factors.known, factors.rest)
}

struct Factors {
    known: u64,
    rest: Vec<Size>,
}

impl Factors {
    fn multiply(&mut self, size: &Size) {
        match size {
            Size::Known(n) => self.known = self.known.saturating_mul(*n),
            Size::Expr(e) if e.op == crate::types::SizeOp::Mul => {
                self.multiply(&e.left);
                self.multiply(&e.right);
            }
            Size::Free(_) | Size::Expr(_) => self.rest.push(size.clone()),
        }
    }
}

/// More elements than any machine of ours holds; keeps later products within 64 bits.
const MOST_ELEMENTS: u64 = 1 << 48;

/// That the number of elements is one that can be counted.
pub(super) fn countable(ty: &Type) -> Result<(), Problem> {
    let mut elements: u64 = 1;
    for axis in &ty.axes {
        // An axis of size 0 hides no other: each factor alone must be countable too.
        elements = elements.saturating_mul(axis.size.known().unwrap_or(1).max(1));
    }
    if elements <= MOST_ELEMENTS {
        return Ok(());
    }
    Err(Problem::Other(format!("{ty} has more than 2^48 elements")))
}
