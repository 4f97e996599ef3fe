//! The one IR: values and the operators that compute them, every size known. The only file whose types petgraph shapes.
//!
//! A graph only grows: `Graph::add` infers the type and returns the existing value where an equal one is there,
//! so no ill-shaped graph can exist and common subexpressions vanish. Ids grow along edges: their order is a
//! topological order. Passes read an old graph and build a new one (`rebuild`).

use std::collections::HashMap;
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::model::{Input, Variable};
use crate::ops::{Channel, Op, Problem, Scalar, VariableId, rules};
use crate::types::Type;

/// A value of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// Where a value comes from: an index into `Model::origins`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OriginId(pub u32);

/// One value: what computes it, its type, and the text it comes from.
#[derive(Clone, Debug)]
pub struct Node {
    /// What computes it.
    pub op: Op,
    /// Its type, every size known.
    pub ty: Type,
    /// The text it comes from.
    pub origin: OriginId,
}

/// What a program hands back.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// `loss`, `metric/accuracy`, or a binding's name.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

/// A variable's value after the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The variable.
    pub variable: VariableId,
    /// Its value once everything has read the old one.
    pub value: ValueId,
}

/// A value that goes to another device.
#[derive(Clone, Debug, PartialEq)]
pub struct Send {
    /// By which channel.
    pub channel: Channel,
    /// The value.
    pub value: ValueId,
}

/// Values, what is wanted of them, and the tables that leaves refer to.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Edges run from operand to user; their weight is the operand's position.
    nodes: DiGraph<Node, u16>,
    interned: HashMap<(Op, Vec<ValueId>), ValueId>,
    /// What `Op::Input` refers to; types bound.
    pub inputs: Arc<[Input]>,
    /// What `Op::Variable` refers to; types bound.
    pub variables: Arc<[Variable]>,
    /// What the program hands back.
    pub outputs: Vec<Output>,
    /// What the program changes.
    pub updates: Vec<Update>,
    /// What other devices get, in the order in which it is sent.
    pub sends: Vec<Send>,
}

impl Graph {
    /// No values yet.
    pub fn new(inputs: Arc<[Input]>, variables: Arc<[Variable]>) -> Graph {
        Graph {
            nodes: DiGraph::new(),
            interned: HashMap::new(),
            inputs,
            variables,
            outputs: Vec::new(),
            updates: Vec::new(),
            sends: Vec::new(),
        }
    }

    /// The value `op(args)`: the one that is there, or a new one.
    ///
    /// # Panics
    /// If the shapes do not fit the operator: the checker has excluded that, so it is our mistake.
    pub fn add(&mut self, op: Op, args: &[ValueId], origin: OriginId) -> ValueId {
        let key = (op, args.to_vec());
        if let Some(found) = self.interned.get(&key) {
            return *found;
        }
        let ty = self.infer(&key.0, args).unwrap_or_else(|problem| {
            let types: Vec<String> = args.iter().map(|a| self.ty(*a).to_string()).collect();
            panic!("{:?} of {} reached the graph ill-shaped: {problem}", key.0, types.join(" and "))
        });
        let node = self.nodes.add_node(Node { op: key.0.clone(), ty, origin });
        for (port, arg) in args.iter().enumerate() {
            self.nodes.add_edge(NodeIndex::new(arg.0 as usize), node, port as u16);
        }
        let value = ValueId(node.index() as u32);
        self.interned.insert(key, value);
        value
    }

    /// A number everywhere in a tensor of type `ty`.
    pub fn filled(&mut self, number: f64, ty: &Type, origin: OriginId) -> ValueId {
        let constant = self.add(Op::Constant(Scalar::new(number), ty.dtype), &[], origin);
        if ty.rank() == 0 {
            return constant;
        }
        self.add(Op::Broadcast { axes: ty.axes.clone(), from: Vec::new() }, &[constant], origin)
    }

    /// The number that every element of a value is, where that is plain to see.
    pub fn constant(&self, value: ValueId) -> Option<f64> {
        if let Op::Constant(number, _) = self.op(value) {
            return Some(number.get());
        }
        if let Op::Broadcast { .. } = self.op(value) {
            return self.constant(self.args(value)[0]);
        }
        None
    }

    /// What leaves the program: outputs, variables' new values, what is sent.
    pub fn wanted(&self) -> impl Iterator<Item = ValueId> {
        let outputs = self.outputs.iter().map(|o| o.value);
        outputs.chain(self.updates.iter().map(|u| u.value)).chain(self.sends.iter().map(|s| s.value))
    }

    /// Which values are needed for what leaves the program: one flag a value.
    pub fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        self.wanted().for_each(|value| needed[value.0 as usize] = true);
        for value in self.values().rev() {
            if needed[value.0 as usize] {
                self.args(value).into_iter().for_each(|arg| needed[arg.0 as usize] = true);
            }
        }
        needed
    }

    /// The type of `op(args)`; that of a leaf may stand in a table.
    ///
    /// Unlike `Op::infer` it does not refuse what is well defined but cannot be meant, such as a window larger
    /// than a free axis that turned out short, which gives no windows.
    ///
    /// # Errors
    /// Why the operands do not fit.
    pub fn infer(&self, op: &Op, args: &[ValueId]) -> Result<Type, Problem> {
        if let Op::Input(i) = op {
            return Ok(self.inputs[i.0 as usize].ty.clone());
        }
        if let Op::Variable(v) | Op::Gradient(v) = op {
            return Ok(self.variables[v.0 as usize].ty.clone());
        }
        let types: Vec<&Type> = args.iter().map(|a| self.ty(*a)).collect();
        (rules(op).infer)(op, &types)
    }

    /// The node of a value.
    pub fn node(&self, value: ValueId) -> &Node {
        &self.nodes[NodeIndex::new(value.0 as usize)]
    }

    /// The operator of a value.
    pub fn op(&self, value: ValueId) -> &Op {
        &self.node(value).op
    }

    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> &Type {
        &self.node(value).ty
    }

    /// The operands of a value, in order.
    pub fn args(&self, value: ValueId) -> Vec<ValueId> {
        let incoming =
            self.nodes.edges_directed(NodeIndex::new(value.0 as usize), petgraph::Direction::Incoming);
        let mut args: Vec<(u16, ValueId)> =
            incoming.map(|e| (*e.weight(), ValueId(e.source().index() as u32))).collect();
        args.sort_unstable();
        args.into_iter().map(|(_, value)| value).collect()
    }

    /// Who uses a value; once per use, in order of their ids.
    pub fn users(&self, value: ValueId) -> Vec<ValueId> {
        let outgoing =
            self.nodes.edges_directed(NodeIndex::new(value.0 as usize), petgraph::Direction::Outgoing);
        let mut users: Vec<ValueId> = outgoing.map(|e| ValueId(e.target().index() as u32)).collect();
        users.sort_unstable();
        users
    }

    /// Every value, operands before users.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = ValueId> + use<> {
        (0..self.nodes.node_count() as u32).map(ValueId)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.nodes.node_count()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.nodes.node_count() == 0
    }
}

/// The graph anew, without what nothing needs. `rule` sees each node with its new operands and may put another
/// value in its place, of the same sizes and dtype; `None` keeps the node.
pub fn rebuild(old: &Graph, mut rule: impl FnMut(&mut Graph, &Node, &[ValueId]) -> Option<ValueId>) -> Graph {
    let mut new = Graph::new(old.inputs.clone(), old.variables.clone());
    let needed = old.needed();
    let mut becomes: Vec<Option<ValueId>> = vec![None; old.len()];
    let get = |becomes: &[Option<ValueId>], value: ValueId| {
        becomes[value.0 as usize].expect("ids are in topological order, and what is needed is rebuilt")
    };
    for value in old.values().filter(|value| needed[value.0 as usize]) {
        let node = old.node(value);
        let args: Vec<ValueId> = old.args(value).into_iter().map(|arg| get(&becomes, arg)).collect();
        let mut found = match rule(&mut new, node, &args) {
            Some(other) => other,
            None => new.add(node.op.clone(), &args, node.origin),
        };
        if new.ty(found).axes != node.ty.axes {
            // The other value bears other names.
            found = new.add(Op::Reshape { axes: node.ty.axes.clone() }, &[found], node.origin);
        }
        debug_assert_eq!(*new.ty(found), node.ty, "a rule must keep the type");
        becomes[value.0 as usize] = Some(found);
    }
    let output = |o: &Output| Output { name: o.name.clone(), value: get(&becomes, o.value) };
    let update = |u: &Update| Update { variable: u.variable, value: get(&becomes, u.value) };
    new.outputs = old.outputs.iter().map(output).collect();
    new.updates = old.updates.iter().map(update).collect();
    let send = |s: &Send| Send { channel: s.channel, value: get(&becomes, s.value) };
    new.sends = old.sends.iter().map(send).collect();
    new
}
