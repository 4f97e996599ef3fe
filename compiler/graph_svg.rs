//! A picture of a graph: values in layers, operands above their users, coloured by the layer or group that they
//! belong to. Constants stand in the box of their user; parameters and inputs have boxes with a heavy border.

use std::collections::HashMap;
use std::fmt::Write;

use crate::graph::{Graph, ValueId};
use crate::graph_text::{Attributes, sizes};
use crate::model::{Model, RegionId, RegionKind};
use crate::ops::Op;

/// Colours of regions, in turn: light, so that black text reads well on them.
const COLOURS: [&str; 12] = [
    "#cfe3f7", "#fde0c2", "#d3ecd0", "#f6cfd0", "#e2d6f0", "#e8dac9", "#f9d9ec", "#e0e0e0", "#eef0b8",
    "#c9eef2", "#ffe9a8", "#d5d9f5",
];
/// Height of a box, and from one layer to the next.
const BOX: f64 = 34.0;
const LAYER: f64 = 66.0;
/// Between neighbouring boxes, and around the picture.
const GAP: f64 = 18.0;
const MARGIN: f64 = 24.0;
/// Of a letter of the small font; boxes need not fit exactly.
const LETTER: f64 = 6.4;
/// Passes over all layers; the order hardly changes after so many (by trial).
const SWEEPS: usize = 12;

/// The graph as SVG, in the colours of the model's parts, optimizers as one.
pub fn svg(graph: &Graph, model: &Model) -> String {
    coloured(graph, &|value| {
        let origin = model.origins.get(graph.node(value).origin.0 as usize);
        origin.map_or(String::new(), |origin| outermost(model, origin.region))
    })
}

/// The same with a colour for each name that `name` gives values; those without a name are left pale.
pub fn coloured(graph: &Graph, name: &dyn Fn(ValueId) -> String) -> String {
    let drawing = Drawing::of(graph);
    let (regions, colours) = regions(name, &drawing);
    let width = drawing.nodes.iter().map(|n| n.x + n.width / 2.0).fold(300.0, f64::max) + MARGIN;
    let legend = legend(&regions, width);
    let top = legend.1;
    let height = top + drawing.layers.len() as f64 * LAYER + MARGIN;
    let mut out = String::new();
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" font-family="Helvetica, Arial, sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#ffffff"/>"##
    );
    out += &legend.0;
    for path in drawing.paths(top) {
        let _ = writeln!(out, r##"<path d="{path}" fill="none" stroke="#8a8f98" stroke-width="1"/>"##);
    }
    for node in drawing.nodes.iter() {
        if let Some(value) = node.value {
            draw_box(&mut out, graph, node, value, top, colours[&value]);
        }
    }
    out += "</svg>\n";
    out
}

/// What is drawn: a box for a value, or a bend of a long edge.
struct Node {
    value: Option<ValueId>,
    label: String,
    layer: usize,
    x: f64,
    width: f64,
}

struct Drawing {
    nodes: Vec<Node>,
    /// Nodes of each layer, from left to right.
    layers: Vec<Vec<usize>>,
    /// From a layer to the next.
    edges: Vec<(usize, usize)>,
}

impl Drawing {
    fn of(graph: &Graph) -> Drawing {
        let needed = graph.needed();
        let shown: Vec<ValueId> = graph
            .values()
            .filter(|value| needed[value.0 as usize] && graph.constant(*value).is_none())
            .collect();
        let depth = depths(graph, &shown);
        let mut drawing = Drawing { nodes: Vec::new(), layers: Vec::new(), edges: Vec::new() };
        let mut place: HashMap<ValueId, usize> = HashMap::new();
        for value in &shown {
            let label = label(graph, *value);
            let letters = label.chars().count().max(sizes(&graph.ty(*value).axes).chars().count() + 5);
            let width = letters as f64 * LETTER + 14.0;
            let node = Node { value: Some(*value), label, layer: depth[value], x: 0.0, width };
            place.insert(*value, drawing.node(node));
        }
        for value in &shown {
            let mut args = graph.args(*value);
            args.dedup();
            for arg in args.iter().filter(|arg| place.contains_key(arg)) {
                drawing.edge(place[arg], place[value]);
            }
        }
        drawing.order();
        drawing.spread();
        drawing
    }

    fn node(&mut self, node: Node) -> usize {
        let id = self.nodes.len();
        if self.layers.len() <= node.layer {
            self.layers.resize(node.layer + 1, Vec::new());
        }
        self.layers[node.layer].push(id);
        self.nodes.push(node);
        id
    }

    /// An edge, with a bend in every layer that it crosses.
    fn edge(&mut self, from: usize, to: usize) {
        let mut last = from;
        for layer in self.nodes[from].layer + 1..self.nodes[to].layer {
            let bend = self.node(Node { value: None, label: String::new(), layer, x: 0.0, width: 2.0 });
            self.edges.push((last, bend));
            last = bend;
        }
        self.edges.push((last, to));
    }

    fn neighbours(&self) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
        let (mut above, mut below) = (vec![Vec::new(); self.nodes.len()], vec![Vec::new(); self.nodes.len()]);
        for (from, to) in &self.edges {
            below[*from].push(*to);
            above[*to].push(*from);
        }
        (above, below)
    }

    /// Puts each layer in the order of the means of its neighbours' places, down and up in turn.
    fn order(&mut self) {
        let (above, below) = self.neighbours();
        let mut rank: Vec<f64> = vec![0.0; self.nodes.len()];
        let count = self.layers.len();
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            for step in 0..count {
                let layer = if down { step } else { count - 1 - step };
                let near = if down { &above } else { &below };
                let mean = |id: usize| {
                    let near = &near[id];
                    if near.is_empty() {
                        rank[id]
                    } else {
                        near.iter().map(|n| rank[*n]).sum::<f64>() / near.len() as f64
                    }
                };
                let mut keyed: Vec<(f64, usize)> =
                    self.layers[layer].iter().map(|id| (mean(*id), *id)).collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.layers[layer] = keyed.into_iter().map(|(_, id)| id).collect();
                let length = self.layers[layer].len() as f64;
                for (i, id) in self.layers[layer].iter().enumerate() {
                    // Places relative to the middle, so that short and long layers compare.
                    rank[*id] = i as f64 - length / 2.0;
                }
            }
        }
    }

    /// Gives every node its place: as near to its neighbours as the nodes beside it allow.
    fn spread(&mut self) {
        let (above, below) = self.neighbours();
        for layer in &self.layers {
            let mut x = 0.0;
            for id in layer {
                self.nodes[*id].x = x + self.nodes[*id].width / 2.0;
                x += self.nodes[*id].width + GAP;
            }
        }
        let count = self.layers.len();
        for sweep in 0..2 * SWEEPS {
            for step in 0..count {
                let layer = if sweep % 2 == 0 { step } else { count - 1 - step };
                let wish = |id: usize| {
                    let near = || above[id].iter().chain(&below[id]);
                    let number = near().count();
                    if number == 0 {
                        return self.nodes[id].x;
                    }
                    near().map(|n| self.nodes[*n].x).sum::<f64>() / number as f64
                };
                let wishes: Vec<f64> = self.layers[layer].iter().map(|id| wish(*id)).collect();
                let widths: Vec<f64> = self.layers[layer].iter().map(|id| self.nodes[*id].width).collect();
                for (id, x) in self.layers[layer].iter().zip(apart(&wishes, &widths)) {
                    self.nodes[*id].x = x;
                }
            }
        }
        let left = self.nodes.iter().map(|n| n.x - n.width / 2.0).fold(f64::INFINITY, f64::min);
        self.nodes.iter_mut().for_each(|n| n.x += MARGIN - left);
    }

    /// Every edge as one curve through its bends.
    fn paths(&self, top: f64) -> Vec<String> {
        let (_, below) = self.neighbours();
        let y = |id: usize| top + self.nodes[id].layer as f64 * LAYER;
        let mut paths = Vec::new();
        for (id, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.value.is_some()) {
            for first in &below[id] {
                let mut path = format!("M{:.1} {:.1}", node.x, y(id) + BOX);
                let (mut x, mut from, mut at) = (node.x, y(id) + BOX, *first);
                loop {
                    let (to_x, to, half) = (self.nodes[at].x, y(at), (y(at) - from) / 2.0);
                    let _ = write!(
                        path,
                        "C{x:.1} {:.1} {to_x:.1} {:.1} {to_x:.1} {to:.1}",
                        from + half,
                        to - half
                    );
                    if self.nodes[at].value.is_some() {
                        break;
                    }
                    let _ = write!(path, "V{:.1}", to + BOX);
                    (x, from) = (to_x, to + BOX);
                    at = below[at][0];
                }
                paths.push(path);
            }
        }
        paths
    }
}

/// The layer of each value: one below its lowest operand, or just above its first user where that makes no more
/// long edges.
fn depths(graph: &Graph, shown: &[ValueId]) -> HashMap<ValueId, usize> {
    let mut depth: HashMap<ValueId, usize> = HashMap::new();
    for value in shown {
        let above = graph.args(*value).into_iter().filter_map(|arg| depth.get(&arg)).max();
        let layer = above.map_or(0, |above| above + 1);
        depth.insert(*value, layer);
    }
    for value in shown.iter().rev() {
        let users: Vec<usize> =
            graph.users(*value).iter().filter_map(|user| depth.get(user).copied()).collect();
        let operands = graph.args(*value).iter().filter(|arg| depth.contains_key(arg)).count();
        if let Some(first) = users.iter().min()
            && operands <= users.len()
        {
            depth.insert(*value, first - 1);
        }
    }
    depth
}

/// Places as near to the wishes as can be, in order and apart.
fn apart(wishes: &[f64], widths: &[f64]) -> Vec<f64> {
    let distance = |i: usize| (widths[i - 1] + widths[i]) / 2.0 + GAP;
    let mut right = wishes.to_vec();
    for i in 1..right.len() {
        right[i] = right[i].max(right[i - 1] + distance(i));
    }
    let mut left = wishes.to_vec();
    for i in (1..left.len()).rev() {
        left[i - 1] = left[i - 1].min(left[i] - distance(i));
    }
    // Pushing only right and pushing only left are both apart, so their mean is.
    right.iter().zip(&left).map(|(a, b)| (a + b) / 2.0).collect()
}

/// What stands in a value's box: the operator, the constants it takes, its attributes.
fn label(graph: &Graph, value: ValueId) -> String {
    let op = graph.op(value);
    let mut text = if matches!(op, Op::Input(_) | Op::Variable(_)) {
        graph.expression(value)
    } else if let Op::Random { .. } = op {
        op.name().to_string()
    } else {
        format!("{}{}", op.name(), Attributes(op))
    };
    for number in graph.args(value).into_iter().filter_map(|arg| graph.constant(arg)) {
        // Six digits are enough to recognise a number by.
        let short = format!("{number:.6}");
        let short = short.trim_end_matches('0').trim_end_matches('.').to_string();
        let _ =
            write!(text, " {}", if short == "0" && number != 0.0 { format!("{number:e}") } else { short });
    }
    text
}

/// The names that are told apart, and the colour of each value.
fn regions(
    name: &dyn Fn(ValueId) -> String,
    drawing: &Drawing,
) -> (Vec<(String, &'static str)>, HashMap<ValueId, &'static str>) {
    let mut found: Vec<(String, &'static str)> = Vec::new();
    let mut colours = HashMap::new();
    for value in drawing.nodes.iter().filter_map(|node| node.value) {
        let name = name(value);
        let at = found.iter().position(|(n, _)| *n == name).unwrap_or_else(|| {
            let colour = if name.is_empty() { "#f7f7f7" } else { COLOURS[found.len() % COLOURS.len()] };
            found.push((name, colour));
            found.len() - 1
        });
        colours.insert(value, found[at].1);
    }
    found.retain(|(name, _)| !name.is_empty());
    (found, colours)
}

/// The name of the part of the model that a region lies in; empty for the model itself.
fn outermost(model: &Model, mut region: RegionId) -> String {
    while let Some(found) = model.regions.get(region.0 as usize) {
        match (found.kind, found.parent) {
            (RegionKind::Model, _) => return String::new(),
            (RegionKind::Optimizer, _) => return "optimizer".into(),
            (RegionKind::Layer | RegionKind::Group, Some(parent)) if parent.0 > 0 => region = parent,
            (RegionKind::Layer | RegionKind::Group, _) => return found.name.clone(),
        }
    }
    String::new()
}

/// Names beside their colours, and how far down they reach.
fn legend(regions: &[(String, &'static str)], width: f64) -> (String, f64) {
    let (mut out, mut x, mut y) = (String::new(), MARGIN, MARGIN);
    for (name, colour) in regions {
        let wide = name.chars().count() as f64 * LETTER + 36.0;
        if x + wide > width && x > MARGIN {
            (x, y) = (MARGIN, y + 20.0);
        }
        let _ = writeln!(
            out,
            r##"<rect x="{x:.1}" y="{y:.1}" width="14" height="14" rx="3" fill="{colour}" stroke="#8a8f98"/><text x="{:.1}" y="{:.1}">{}</text>"##,
            x + 19.0,
            y + 11.0,
            escaped(name)
        );
        x += wide;
    }
    (out, y + if regions.is_empty() { 0.0 } else { 40.0 })
}

fn draw_box(out: &mut String, graph: &Graph, node: &Node, value: ValueId, top: f64, colour: &str) {
    let (x, y) = (node.x - node.width / 2.0, top + node.layer as f64 * LAYER);
    let ty = graph.ty(value);
    let leaf = matches!(graph.op(value), Op::Input(_) | Op::Variable(_));
    let given = graph.outputs.iter().filter(|o| o.value == value).map(|o| o.name.clone());
    let kept = graph.updates.iter().filter(|u| u.value == value);
    let kept = kept.map(|u| format!("new {}", graph.variables[u.variable.0 as usize].name));
    let ends: Vec<String> = given.chain(kept).collect();
    let border = if leaf || !ends.is_empty() { 2.0 } else { 0.8 };
    let _ = writeln!(
        out,
        r##"<g><title>{}</title><rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{BOX}" rx="5" fill="{colour}" stroke="#4a4f57" stroke-width="{border}"/><text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text><text x="{:.1}" y="{:.1}" text-anchor="middle" font-size="9" fill="#555b64">{} {}</text>"##,
        escaped(&graph.line(value)),
        node.width,
        node.x,
        y + 14.0,
        escaped(&node.label),
        node.x,
        y + 27.0,
        ty.dtype,
        sizes(&ty.axes)
    );
    if !ends.is_empty() {
        let _ = writeln!(
            out,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="middle" font-weight="bold" font-size="10">{}</text>"##,
            node.x,
            y + BOX + 11.0,
            escaped(&ends.join(", "))
        );
    }
    out.push_str("</g>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
