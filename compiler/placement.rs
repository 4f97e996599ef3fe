//! What a spec says of devices, checked: which there are, and which part of a model runs where.

use std::fmt;

use strata_grammar::Span;

use crate::types::DType;

/// A logical device: an index into `Placement::devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u32);

/// A device of a spec. It is logical: what it is carried out by is decided where the program runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// As it was declared: `gpu[3]`, `gpu` where there is no count, `worker[0]/gpu[3]` where there are several machines.
    pub name: String,
    /// `gpu`
    pub kind: String,
    /// Which machine it belongs to, counted from 0.
    pub machine: u32,
    /// Bytes that it can hold, where the spec says so.
    pub memory: Option<u64>,
    /// Floating-point operations a second, where the spec says so.
    pub rate: Option<f64>,
    /// Bytes a second between it and its memory, where the spec says so.
    pub bandwidth: Option<f64>,
    /// Its declaration.
    pub span: Span,
}

/// What it takes to move bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bytes a second.
    pub bandwidth: Option<f64>,
    /// Seconds until the first byte is there.
    pub latency: Option<f64>,
    /// Its declaration.
    pub span: Span,
}

/// A line of `place`: an index into `Placement::parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(pub u32);

/// A named part of a model and where it runs: on one device, or split over a grid of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// As it is written, indices resolved: `encoder[2]`.
    pub name: String,
    /// The devices of the grid, the last axis fastest; one if it is not split.
    pub devices: Vec<DeviceId>,
    /// By which axes of tensors the grid's axes split, and over how many devices each; none if it is not split. The
    /// counts' product is the number of devices.
    pub axes: Vec<(String, u32)>,
    /// The name in the line of `place`.
    pub span: Span,
}

/// Machines that need not be there: a `cluster` of a spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// All its devices, in order of declaration; at least one.
    pub devices: Vec<Device>,
    /// Between devices of one machine.
    pub within: Option<Link>,
    /// Between machines.
    pub between: Option<Link>,
    /// The whole item.
    pub span: Span,
}

/// What travels between devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wire {
    /// What an `f32` becomes on the way.
    pub dtype: DType,
    /// Whether it is rounded up or down by chance, so that the mean stays.
    pub stochastic: bool,
    /// Its line.
    pub span: Span,
}

/// Where the parts of one model run. Where there are no parts, all of it runs on the first device.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The model's name.
    pub model: String,
    /// All devices of one copy, in order of declaration; at least one.
    pub devices: Vec<Device>,
    /// Between devices of one machine.
    pub within: Option<Link>,
    /// Between machines.
    pub between: Option<Link>,
    /// The lines of `place`, families resolved.
    pub parts: Vec<Part>,
    /// By origin of the model: which part its text belongs to, the innermost where one stands in another. Origins
    /// behind the end, such as those of an optimizer, belong to none. A leaf that several parts read (a constant, a
    /// parameter) has the origin of the first of them.
    pub of: Vec<Option<PartId>>,
    /// What travels, where it is not what is computed.
    pub wire: Option<Wire>,
    /// Whether sums over devices may be taken in any order.
    pub any_order: bool,
    /// The `place` item, or `devices` where nothing is placed.
    pub span: Span,
}

impl Placement {
    /// The text form: devices, links, parts.
    pub fn to_text(&self) -> String {
        let mut text = format!("place {}\n", self.model);
        for device in &self.devices {
            text += &format!("  {device}\n");
        }
        for (name, link) in [("within machine", self.within), ("between machines", self.between)] {
            text += &link.map_or(String::new(), |link| format!("  link {name}: {link}\n"));
        }
        for part in &self.parts {
            let devices: Vec<&str> = part.devices.iter().map(|id| self.device(*id).name.as_str()).collect();
            let axes: Vec<String> =
                part.axes.iter().map(|(axis, count)| format!("{axis} / {count}")).collect();
            let by = if axes.is_empty() { String::new() } else { format!(" by {}", axes.join(", ")) };
            text += &format!("  {} on {}{by}\n", part.name, devices.join(", "));
        }
        if let Some(wire) = self.wire {
            text += &format!("  wire {}{}\n", wire.dtype, if wire.stochastic { " stochastic" } else { "" });
        }
        if self.any_order {
            text += "  sum any order\n";
        }
        text
    }

    /// A device of it.
    pub fn device(&self, id: DeviceId) -> &Device {
        &self.devices[id.0 as usize]
    }
}

/// Its name, its machine and what is known of it.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: machine {}", self.name, self.machine)?;
        if let Some(bytes) = self.memory {
            write!(f, ", {bytes} B")?;
        }
        if let Some(rate) = self.rate {
            write!(f, ", {rate:e} FLOP/s")?;
        }
        self.bandwidth.map_or(Ok(()), |rate| write!(f, ", {rate:e} B/s"))
    }
}

/// Bytes a second, then seconds.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bandwidth = self.bandwidth.map(|rate| format!("{rate:e} B/s"));
        let latency = self.latency.map(|time| format!("{time:e} s"));
        let said: Vec<String> = bandwidth.into_iter().chain(latency).collect();
        f.write_str(&said.join(", "))
    }
}

/// A placement that uses several devices: without one, everything runs on one.
pub fn several(placement: Option<&Placement>) -> Option<&Placement> {
    placement.filter(|placement| placement.devices.len() > 1)
}
