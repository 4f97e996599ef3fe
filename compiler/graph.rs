//! The one IR: values and the operators that compute them, every size known. The only file that imports petgraph.
//!
//! A graph only grows: `Graph::add` infers the type and returns the existing value where an equal one is there,
//! so no ill-shaped graph can exist and common subexpressions vanish. Ids grow along edges: their order is a
//! topological order. Passes read an old graph and build a new one (`rebuild`).

use std::collections::HashMap;
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::model::{Input, Variable};
use crate::ops::{Op, VariableId, rules};
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
        let types: Vec<&Type> = args.iter().map(|a| self.ty(*a)).collect();
        let ty = match self.leaf_type(&key.0) {
            Some(ty) => ty,
            // Not `Op::infer`, which also refuses what is well defined but cannot be meant, such as a
            // window larger than a free axis that turned out short: that gives no windows.
            None => (rules(&key.0).infer)(&key.0, &types).unwrap_or_else(|problem| {
                panic!("{:?} of {types:?} reached the graph ill-shaped: {problem}", key.0)
            }),
        };
        let node = self.nodes.add_node(Node { op: key.0.clone(), ty, origin });
        for (port, arg) in args.iter().enumerate() {
            self.nodes.add_edge(NodeIndex::new(arg.0 as usize), node, port as u16);
        }
        let value = ValueId(node.index() as u32);
        self.interned.insert(key, value);
        value
    }

    /// The types that stand in tables; all others follow from the operands.
    fn leaf_type(&self, op: &Op) -> Option<Type> {
        if let Op::Input(i) = op {
            return Some(self.inputs[i.0 as usize].ty.clone());
        }
        if let Op::Variable(v) | Op::Gradient(v) = op {
            return Some(self.variables[v.0 as usize].ty.clone());
        }
        None
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
