//! A stretch of one axis.

use super::{Op, Problem, Rules, shape};
use crate::types::Type;

/// What is true of `slice`.
pub const RULES: Rules = Rules { name: "slice", infer };

fn infer(op: &Op, args: &[&Type]) -> Result<Type, Problem> {
    let Op::Slice { axis, start, end } = op else { unreachable!("the table of rules pairs them") };
    let [x] = shape::operands(args)?;
    shape::has_axis(args, 0, *axis)?;
    let mut result = x.clone();
    let size = &x.axes[*axis].size;
    if let (Some(start), Some(end)) = (start.known(), end.known())
        && (start > end || size.known().is_some_and(|size| end > size))
    {
        let of = size.known().map_or("a free size".into(), |n| n.to_string());
        return Err(Problem::Other(format!("{start}..{end} is not within an axis of {of}")));
    }
    result.axes[*axis].size = end.sub(start);
    Ok(result)
}
