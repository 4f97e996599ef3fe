//! Proof that no device of a group waits for ever.
//!
//! Within a step a device does one thing after the other, and a receive comes after the send of its channel. If these
//! two orders together are free of circles, every wait ends; a send that waits for its channel to be emptied waits for
//! the step before, which only makes the order longer.

use std::collections::HashMap;

use petgraph::algo::{is_cyclic_directed, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};
use strata_runtime::plan::{Plan, Step, Way};
use strata_runtime::program::{Channel, check_channels};

/// A transfer: which device's, and its end of which channel.
type End = (usize, Way, usize);

/// Checks that each channel has one sender and one receiver of its size, that no transfer is in a loop, and that no
/// devices wait for each other in a circle.
///
/// # Errors
/// What is wrong, in words; of a circle, the transfers in it.
pub fn verify(plans: &[Plan], channels: &[Channel]) -> Result<(), String> {
    check_channels(plans, channels)?;
    for (device, plan) in plans.iter().enumerate() {
        let loops =
            plan.steps.iter().any(|step| matches!(step, Step::Loop(turns) if has_transfer(&turns.steps)));
        if loops {
            return Err(format!("device {device} sends or receives within a loop"));
        }
    }
    let ends: Vec<Vec<End>> = plans.iter().enumerate().map(|(device, plan)| ends(device, plan)).collect();
    circle(&ends).map_or(Ok(()), |circle| {
        let text =
            |(device, way, channel): &End| format!("device {device} to {} by channel {channel}", way.name());
        let circle: Vec<String> = circle.iter().map(text).collect();
        Err(format!("these wait for each other: {}", circle.join(", ")))
    })
}

fn has_transfer(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Call(call) => matches!(call.kernel, strata_runtime::plan::Kernel::Transfer { .. }),
        Step::Loop(turns) => has_transfer(&turns.steps),
        Step::Barrier => false,
    })
}

fn ends(device: usize, plan: &Plan) -> Vec<End> {
    plan.transfers().iter().map(|transfer| (device, transfer.way, transfer.channel)).collect()
}

/// Transfers that wait for each other, if there are such. `ends`: those of each device, in its order.
fn circle(ends: &[Vec<End>]) -> Option<Vec<End>> {
    let mut order: DiGraph<End, ()> = DiGraph::new();
    let mut nodes: HashMap<(Way, usize), NodeIndex> = HashMap::new();
    for device in ends {
        let mut before: Option<NodeIndex> = None;
        for end in device {
            let node = order.add_node(*end);
            nodes.insert((end.1, end.2), node);
            if let Some(before) = before.replace(node) {
                order.add_edge(before, node, ());
            }
        }
    }
    for ((way, channel), node) in &nodes {
        if let (Way::Send, Some(receive)) = (way, nodes.get(&(Way::Receive, *channel))) {
            order.add_edge(*node, *receive, ());
        }
    }
    if !is_cyclic_directed(&order) {
        return None;
    }
    let circles = tarjan_scc(&order);
    let mut circle = circles.into_iter().find(|nodes| nodes.len() > 1)?;
    circle.sort_unstable();
    Some(circle.into_iter().map(|node| order[node]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(device: usize, channel: usize) -> End {
        (device, Way::Receive, channel)
    }

    fn send(device: usize, channel: usize) -> End {
        (device, Way::Send, channel)
    }

    #[test]
    fn devices_in_one_order_never_wait_for_ever() {
        let ping = vec![send(0, 0), receive(0, 1), send(0, 2)];
        let pong = vec![receive(1, 0), send(1, 1), receive(1, 2)];
        assert_eq!(circle(&[ping, pong]), None);
        assert_eq!(circle(&[vec![], vec![]]), None);
    }

    #[test]
    fn a_circle_is_found_with_all_that_are_in_it() {
        let one = vec![send(0, 3), receive(0, 1), send(0, 0)];
        let two = vec![receive(1, 0), send(1, 2)];
        let three = vec![receive(2, 3), receive(2, 2), send(2, 1)];
        let found = circle(&[one, two, three]).unwrap();
        let wanted = [receive(0, 1), send(0, 0), receive(1, 0), send(1, 2), receive(2, 2), send(2, 1)];
        assert_eq!(found, wanted);
    }
}
