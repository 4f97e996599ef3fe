//! The text form of a checked model: its inputs, then a table of regions with what they give and how many
//! parameters they hold, then totals; what `check` and `--emit model` print.

use strata_runtime::log::grouped;

use crate::model::{Model, RegionId, RegionKind, VariableKind};
use crate::types::Type;

/// One line of the table.
struct Row {
    name: String,
    layer: String,
    result: String,
    parameters: String,
}

impl Model {
    /// The text form.
    pub fn to_text(&self) -> String {
        let mut text = format!("model {}\n", self.name);
        for input in self.inputs.iter().filter(|input| !input.is_length()) {
            text += &format!("  input {}: {}\n", input.name, input.ty);
        }
        let own = elements_by_region(self);
        let mut rows = Vec::new();
        self.rows(RegionId(0), 0, &own, &mut rows);
        text += &table(&rows);
        text += &self.totals();
        text
    }

    fn rows(&self, parent: RegionId, depth: usize, own: &[u64], rows: &mut Vec<Row>) {
        for (at, region) in self.regions.iter().enumerate() {
            if region.parent != Some(parent) || region.kind == RegionKind::Optimizer {
                continue;
            }
            let id = RegionId(at as u32);
            let held = self.held(id, own);
            let results: Vec<String> =
                region.results.iter().map(|id| self.values[id.0 as usize].ty.to_string()).collect();
            rows.push(Row {
                name: format!("{}{}", "  ".repeat(depth), region.name),
                layer: region.layer.clone().unwrap_or_else(|| {
                    if region.kind == RegionKind::Group { "group".into() } else { String::new() }
                }),
                result: results.join(", "),
                parameters: if held > 0 { grouped(held) } else { String::new() },
            });
            // The library's insides are of no interest here; groups are.
            if region.kind == RegionKind::Group || self.has_user_layers(id) {
                self.rows(id, depth + 1, own, rows);
            }
        }
    }

    /// Whether a region holds others that have parameters of their own.
    fn has_user_layers(&self, id: RegionId) -> bool {
        let inside =
            |region: &crate::model::Region| region.parent == Some(id) && region.kind == RegionKind::Layer;
        self.regions.iter().filter(|region| inside(region)).count() > 1
    }

    /// Parameters of a region and all within it.
    fn held(&self, id: RegionId, own: &[u64]) -> u64 {
        let mut total = own[id.0 as usize];
        // Regions follow those that they are part of.
        let mut within = vec![false; self.regions.len()];
        within[id.0 as usize] = true;
        for at in id.0 as usize + 1..self.regions.len() {
            if self.regions[at].parent.is_some_and(|parent| within[parent.0 as usize]) {
                within[at] = true;
                total += own[at];
            }
        }
        total
    }

    fn totals(&self) -> String {
        let mut text = String::new();
        if let Some(loss) = self.loss {
            text += &format!("  loss {}\n", self.values[loss.0 as usize].ty);
        }
        for metric in &self.metrics {
            text += &format!("  metric {}\n", metric.name);
        }
        let of = |kind: VariableKind| self.variables.iter().filter(move |v| v.kind == kind);
        let elements = |kind| of(kind).map(|v| elements(&v.ty)).sum::<u64>();
        let bytes = |kind| of(kind).map(|v| elements_bytes(&v.ty)).sum::<u64>();
        for (kind, name) in [
            (VariableKind::Param, "parameters"),
            (VariableKind::State, "elements of state"),
            (VariableKind::Const, "constants"),
        ] {
            let n = elements(kind);
            if n > 0 || kind == VariableKind::Param {
                text += &format!(
                    "  {} {name} in {} tensors, {}\n",
                    grouped(n),
                    of(kind).count(),
                    size(bytes(kind))
                );
            }
        }
        text
    }
}

/// Parameters that belong to each region itself.
fn elements_by_region(model: &Model) -> Vec<u64> {
    let mut own = vec![0; model.regions.len()];
    for variable in model.variables.iter().filter(|v| v.kind == VariableKind::Param) {
        own[variable.region.0 as usize] += elements(&variable.ty);
    }
    own
}

fn elements(ty: &Type) -> u64 {
    ty.axes.iter().map(|axis| axis.size.known().unwrap_or(1)).product()
}

fn elements_bytes(ty: &Type) -> u64 {
    elements(ty) * ty.dtype.bytes() as u64
}

/// Columns as wide as their widest cell.
fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = Row {
        name: "part".into(),
        layer: "layer".into(),
        result: "result".into(),
        parameters: "parameters".into(),
    };
    let all = || std::iter::once(&head).chain(rows);
    let width = |cell: fn(&Row) -> &str| all().map(|row| cell(row).chars().count()).max().unwrap_or(0);
    let (name, layer) = (width(|row| &row.name), width(|row| &row.layer));
    let (result, parameters) = (width(|row| &row.result), width(|row| &row.parameters));
    let mut text = String::new();
    for row in all() {
        let line = format!(
            "  {:name$}  {:layer$}  {:result$}  {:>parameters$}",
            row.name, row.layer, row.result, row.parameters
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// `1.5 MiB`
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}
