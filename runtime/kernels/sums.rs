//! The order of sums of products: a function of the shape that is summed over, and nothing else.
//!
//! Terms are counted row-major over the axes that are summed over. Up to [`LEAF`] terms are one chain of fused
//! multiply-adds, begun at +0. More are halved along the first axis that is longer than one, the longer half first, and
//! the sums of the halves are added. So the sum over a half is made by the same rule as a sum over an axis of that
//! length: whoever has half of the terms can add them up alone, and what comes out is what the whole sum is made of.

/// The most terms of a chain.
pub const LEAF: usize = 256;

/// The most axes that are told apart.
pub const AXES: usize = 4;

/// The sizes of the axes that are summed over, outermost first; 1 for those that are not there.
pub type Axes = [u64; AXES];

/// These sizes as [`Axes`]; where there are more, the innermost count as one.
pub fn axes(sizes: &[usize]) -> Axes {
    let mut found = [1; AXES];
    for (at, size) in sizes.iter().filter(|size| **size != 1).enumerate() {
        found[at.min(AXES - 1)] *= *size as u64;
    }
    found
}

/// Number of terms.
pub fn terms(axes: &Axes) -> usize {
    axes.iter().product::<u64>() as usize
}

/// Which axis a sum is halved along, and the length of the first half; `None` for a chain.
pub fn halves(axes: &[u64]) -> Option<(usize, u64)> {
    if axes.iter().product::<u64>() <= LEAF as u64 {
        return None;
    }
    let axis = axes.iter().position(|size| *size > 1)?;
    Some((axis, axes[axis].div_ceil(2)))
}

/// A chain of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// One past its last term; it begins where the one before ends.
    pub end: usize,
    /// How many sums to its left it is then joined with, the nearest first: each time two halves become one.
    pub joins: usize,
}

/// The chains of a sum from left to right; one that may be empty at least.
pub fn leaves(axes: &Axes) -> Vec<Leaf> {
    let mut found = Vec::with_capacity(terms(axes) / (LEAF / 2) + 1);
    collect(*axes, 0, &mut found);
    found
}

fn collect(axes: Axes, joins: usize, found: &mut Vec<Leaf>) {
    let Some((axis, first)) = halves(&axes) else {
        let start = found.last().map_or(0, |leaf| leaf.end);
        found.push(Leaf { end: start + terms(&axes), joins });
        return;
    };
    let (mut left, mut right) = (axes, axes);
    left[axis] = first;
    right[axis] = axes[axis] - first;
    collect(left, 0, found);
    collect(right, joins + 1, found);
}

/// The most sums that wait at once for their other half, of those that end in a chain of their own.
pub fn depth(leaves: &[Leaf]) -> usize {
    let (mut waiting, mut most) = (0, 0);
    for leaf in leaves {
        waiting = waiting + 1 - leaf.joins;
        most = most.max(waiting);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_sums_are_chains() {
        for axes in [[0, 1, 1, 1], [1, 1, 1, 1], [256, 1, 1, 1], [2, 128, 1, 1]] {
            assert_eq!(leaves(&axes), [Leaf { end: terms(&axes), joins: 0 }]);
        }
    }

    #[test]
    fn halves_are_sums_of_their_own() {
        for axes in [[257, 1, 1, 1], [1000, 1, 1, 1], [5, 5, 32, 1], [64, 14, 14, 1], [3, 1000, 7, 2]] {
            let (axis, first) = halves(&axes).unwrap();
            let (mut left, mut right) = (axes, axes);
            left[axis] = first;
            right[axis] -= first;
            let mut expected = leaves(&left);
            let middle = terms(&left);
            expected.extend(leaves(&right).iter().map(|leaf| Leaf { end: middle + leaf.end, ..*leaf }));
            expected.last_mut().unwrap().joins += 1;
            assert_eq!(leaves(&axes), expected);
        }
    }

    #[test]
    fn every_term_is_in_one_chain_and_every_chain_is_joined() {
        for axes in [[777, 1, 1, 1], [12, 13, 14, 15], [1, 1, 1, 100_000]] {
            let found = leaves(&axes);
            assert_eq!(found.last().unwrap().end, terms(&axes));
            let lengths = found.windows(2).map(|pair| pair[1].end - pair[0].end);
            assert!(lengths.into_iter().all(|length| length <= LEAF));
            assert_eq!(found.iter().map(|leaf| leaf.joins).sum::<usize>(), found.len() - 1);
        }
    }
}
