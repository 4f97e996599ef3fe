//! The body of a model or layer, elaborated with its parameters bound.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use strata_grammar::ast::{Definition, Train};
use strata_grammar::{Code, Diagnostic, Span};

use super::build::{Builder, LossCall, tensors};
use super::call::Naming;
use super::scope::Scope;
use super::value::{Bound, Value};
use super::{Checker, name_of};
use crate::model::{Model, Region, RegionId, RegionKind};
use crate::types::{Axis, DType};

/// One body that is being elaborated.
#[derive(Clone, Debug)]
pub(super) struct Frame<'a> {
    pub(super) definition: &'a Definition,
    pub(super) is_model: bool,
    pub(super) scope: Scope<'a>,
    /// Full name of the region: what variables' names begin with.
    pub(super) path: String,
    pub(super) region: RegionId,
    /// What the statement at hand binds: names the layers it calls.
    pub(super) binding: Option<String>,
    /// What counts the turns of the innermost loop.
    pub(super) turn: Option<String>,
    /// How often each name of a layer was taken.
    pub(super) counters: HashMap<String, u32>,
    /// `as` names and where they stand.
    pub(super) as_names: HashMap<String, Span>,
    /// Groups that were opened.
    pub(super) groups: HashMap<String, RegionId>,
    /// Names that nothing binds and nothing is spelled like, which was said at their first use.
    pub(super) unbound: HashSet<String>,
    /// What `..` in the signature stands for.
    pub(super) rest: Option<Rest>,
    /// What `float`, `int` and `tensor` in the signature stand for.
    pub(super) dtypes: HashMap<&'static str, DType>,
    pub(super) returned: Option<Value<'a>>,
    /// Whether it is a use of a shared layer.
    pub(super) shared: bool,
    /// Whether gradients stop at its parameters.
    pub(super) frozen: bool,
    /// The call that led here.
    pub(super) call: Option<Span>,
    /// What the inputs are, where it is the body of a model that is called as a layer.
    pub(super) given: Option<HashMap<String, Value<'a>>>,
    /// What was bound last; the value of a group.
    pub(super) last_bound: Option<Value<'a>>,
    /// The values of groups.
    pub(super) parts: BTreeMap<String, Value<'a>>,
    /// How many recurrences of this body are being elaborated, one in the other.
    pub(super) scans: usize,
}

/// A model that was elaborated.
#[derive(Debug)]
pub(super) struct Elaborated {
    pub(super) model: Model,
    pub(super) losses: Vec<LossCall>,
    /// What was named in its body.
    pub(super) named: Vec<String>,
    /// Whether every parameter is known and all of it could be made sense of.
    pub(super) sound: bool,
}

/// What `..` in a signature stands for, and where that was said.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    pub(super) axes: Vec<Axis>,
    pub(super) span: Span,
    pub(super) whose: String,
}

impl<'a> Frame<'a> {
    pub(super) fn new(definition: &'a Definition, path: String, region: RegionId) -> Frame<'a> {
        Frame {
            definition,
            is_model: false,
            scope: Scope::default(),
            path,
            region,
            binding: None,
            turn: None,
            counters: HashMap::new(),
            as_names: HashMap::new(),
            groups: HashMap::new(),
            unbound: HashSet::new(),
            rest: None,
            dtypes: HashMap::new(),
            returned: None,
            shared: false,
            frozen: false,
            call: None,
            given: None,
            last_bound: None,
            parts: BTreeMap::new(),
            scans: 0,
        }
    }
}

/// The names of a path, one inside the other.
pub(super) fn join(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_string(),
        (path, "") => path.to_string(),
        (path, name) => format!("{path}/{name}"),
    }
}

impl<'a> Checker<'a> {
    /// The body that is being elaborated.
    pub(super) fn frame(&mut self) -> &mut Frame<'a> {
        self.frames.last_mut().expect("statements and expressions stand in a body")
    }

    /// Whether the text being elaborated is the library's.
    pub(super) fn in_library(&self) -> bool {
        self.frames.last().is_some_and(|frame| self.loaded.in_library(frame.definition.span))
    }

    /// Whether a part of its text could not be read, which was said: a line that seems to lack may be there.
    pub(super) fn is_broken(&self, definition: &Definition) -> bool {
        let whole = definition.span;
        let within =
            |span: Span| span.file == whole.file && whole.start <= span.start && span.end <= whole.end;
        self.loaded.diagnostics.iter().any(|found| within(found.primary.span))
    }

    /// Elaborates a model; for a `train` block with its arguments and its optimizer.
    pub(super) fn elaborate_model(
        &mut self,
        definition: &'a Definition,
        train: Option<&'a Train>,
    ) -> Elaborated {
        let before = self.errors();
        self.begin_model(definition);
        let args = train.map_or(&[][..], |train| train.args.as_slice());
        let call = train.and_then(|train| train.model.as_ref()).map(|name| name.span);
        let complete = self.bind_model_parameters(definition, args, call, train);
        self.block(&definition.body);
        if self.errors() == before {
            self.decoders();
        }
        self.check_unread();
        if self.errors() == before {
            self.check_patterns();
        }
        if let Some(train) = train {
            self.optimize(train, complete);
        }
        self.check_turns_over();
        self.build.model.weight = self.weight_of_loss();
        if self.errors() == before {
            self.files_of_weights(definition, train);
        }
        self.frames.pop();
        self.stopped = false;
        let builder = std::mem::replace(&mut self.build, Builder::new(""));
        let (losses, named) = (builder.losses.clone(), builder.named.clone());
        let sound = complete && self.errors() == before && !self.is_broken(definition);
        let mut model = builder.model;
        model.regions[0].results = model.loss.into_iter().collect();
        Elaborated { model, losses, named, sound }
    }

    /// An empty model and the frame of its body.
    fn begin_model(&mut self, definition: &'a Definition) {
        self.build = Builder::new(name_of(definition));
        self.pending = Vec::new();
        self.steps = 0;
        self.stopped = false;
        self.user_call = None;
        let region = self.build.region(Region {
            name: String::new(),
            kind: RegionKind::Model,
            layer: None,
            parent: None,
            span: definition.name.as_ref().map_or(definition.span, |name| name.span),
            results: Vec::new(),
        });
        let mut frame = Frame::new(definition, String::new(), region);
        frame.is_model = true;
        self.frames.push(frame);
    }

    /// Says which declared parameters nothing reads.
    fn check_unread(&mut self) {
        let unread: Vec<(String, Span)> = self
            .pending
            .iter()
            .filter(|p| !p.read && !self.loaded.in_library(p.span) && !self.build.has_variable(&p.path))
            .map(|p| (p.path.clone(), p.span))
            .collect();
        if self.stopped || self.errors() > 0 {
            // What could not be made sense of may have read it.
            self.notes.doubts += unread.len();
            return;
        }
        for (path, span) in unread {
            let name = path.rsplit('/').next().unwrap_or(&path).to_string();
            if !name.starts_with('_') {
                let message = format!("nothing reads `{name}`, so it is left out");
                let found = Diagnostic::warning(Code::UnusedName, span, message)
                    .help(format!("use `{name}`, or take this line out"));
                self.report(found);
            }
        }
    }

    /// Elaborates a layer's body for one call. `args` has one entry a parameter.
    pub(super) fn instantiate(
        &mut self,
        definition: &'a Definition,
        captured: Option<Rc<Scope<'a>>>,
        args: Vec<Option<Bound<'a>>>,
        naming: Naming,
        span: Span,
    ) -> Value<'a> {
        let active = self.frames.iter().any(|frame| std::ptr::eq(frame.definition, definition));
        if active {
            let name = name_of(definition);
            let found = Diagnostic::error(Code::RecursiveLayer, span, format!("`{name}` calls itself"))
                .label(definition.name.as_ref().map_or(definition.span, |n| n.span), "the layer")
                .help("use another layer inside, and repeat it with `for i in 0..n { … }`");
            self.report(found);
            return Value::Unknown;
        }
        if !self.step(span) || !self.enter(span) {
            return Value::Unknown;
        }
        let name = name_of(definition).to_string();
        let (names, at) = naming.own.map_or((Vec::new(), span), |(own, at)| (vec![own], at));
        let outer = self.begin_section(names, at);
        let region = self.begin_region(naming.path.clone(), RegionKind::Layer, Some(name.clone()), span);
        let library_call = self.user_call;
        if self.loaded.in_library(definition.span) && !self.in_library() {
            self.user_call = Some(span);
        }
        let mut frame = Frame::new(definition, naming.path, region);
        frame.scope.parent = captured;
        frame.shared = naming.shared;
        frame.frozen = naming.frozen;
        frame.call = Some(span);
        self.frames.push(frame);
        let fits = self.bind_parameters(definition, args, span);
        if fits {
            self.elaborated.insert(definition.span);
            self.block(&definition.body);
        }
        if fits && self.loaded.in_library(definition.span) {
            self.note_loss(&name, span);
        }
        let frame = self.frames.pop().expect("pushed above");
        let result = match frame.returned {
            Some(value) => value,
            None if fits && !self.stopped => {
                if !self.is_broken(definition) {
                    self.returns_nothing(definition);
                }
                Value::Unknown
            }
            None => Value::Unknown,
        };
        self.user_call = library_call;
        self.end_section(outer);
        self.build.model.regions[region.0 as usize].results = tensors(&result);
        self.leave();
        let shown = if self.in_library() { String::new() } else { name };
        if !shown.is_empty() {
            self.hint(span, shown, &result, Some(region));
        }
        result
    }

    fn returns_nothing(&mut self, definition: &'a Definition) {
        let name = name_of(definition);
        let at = definition.name.as_ref().map_or(definition.span, |n| n.span);
        let found = Diagnostic::error(Code::IncompleteModel, at, format!("layer `{name}` returns nothing"))
            .help("end its body with `return …`");
        self.report(found);
    }

    /// Remembers which input is a label, and of how many classes.
    fn note_loss(&mut self, name: &str, span: Span) {
        if name != "cross_entropy" {
            return;
        }
        let scope = &self.frame().scope;
        let value = |name: &str| scope.names.get(name).map(|binding| binding.value.clone());
        if let (Some(Value::Tensor(logits)), Some(Value::Tensor(label))) = (value("logits"), value("label")) {
            let span = self.users_text(span);
            self.build.losses.push(super::build::LossCall { logits, label, span });
        }
    }

    /// Checks the names in a layer that nothing calls: everything it is given is unknown.
    pub(super) fn check_unused_layer(&mut self, definition: &'a Definition) {
        self.begin_model(definition);
        self.frame().is_model = false;
        self.bind_unknown(definition);
        self.block(&definition.body);
        let returned = self.frames.pop().and_then(|frame| frame.returned).is_some();
        if !returned && !self.stopped && !self.is_broken(definition) {
            self.returns_nothing(definition);
        }
        self.build = Builder::new("");
        self.stopped = false;
    }
}

impl Builder {
    fn has_variable(&self, path: &str) -> bool {
        self.find_variable(path).is_some()
    }
}
