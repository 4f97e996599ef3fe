//! Items: what stands at the top of a file, and the lines of every block but those of models and layers.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "`Rule` lists every rule; a match names those that can stand there"
)]

use pest::iterators::{Pair, Pairs};

use super::explain::leading_name;
use super::expression::unescape;
use super::{Builder, Parts, Rule, Stretch};
use crate::ast::{
    Data, Definition, DeviceKind, DeviceStatement, Devices, Expr, FamilyRef, Item, Names, NamesKind,
    NamesLine, Parameter, Place, PlaceKind, PlaceStatement, Replicas, ReplicasKind, ReplicasStatement, Sync,
    Text, Train, TrainKind, TrainStatement, Use, Wire,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use crate::spelling::did_you_mean;

/// Words at the head of a line of `train`.
pub(super) const TRAIN_WORDS: &[&str] = &[
    "feed",
    "optimize",
    "evaluate",
    "stop",
    "clip",
    "save",
    "precision",
    "seed",
    "remat",
    "restart",
    "sum",
    "average",
    "accumulate",
    "init",
];

impl Builder<'_> {
    pub(super) fn items(&mut self, stretch: Stretch<'_>, pairs: Pairs<'_, Rule>) -> Vec<Item> {
        pairs.flat_map(|file| Parts::of(&file)).map(|pair| self.item(stretch, &pair)).collect()
    }

    fn item(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Item {
        let span = at.span_of(pair);
        match pair.as_rule() {
            Rule::use_file => self.use_file(at, pair, span),
            Rule::data => self.data(at, pair, span),
            Rule::model => Item::Model(self.definition(at, pair)),
            Rule::layer => Item::Layer(self.definition(at, pair)),
            Rule::devices | Rule::cluster => self.devices(at, pair, span),
            Rule::place => self.place(at, pair, span),
            Rule::replicas => self.replicas(at, pair, span),
            Rule::names => self.names(at, pair, span),
            Rule::train => self.train(at, pair, span),
            _ => self.bad_item(at, pair),
        }
    }

    fn bad_item(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Item {
        let (span, mended) = self.bad(at, pair, Rule::only_item);
        let Some(mended) = mended else { return Item::Bad(span) };
        let item = mended.with(|at, pair| self.item(at, pair));
        item.unwrap_or(Item::Bad(span))
    }

    fn use_file(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, span: Span) -> Item {
        let mut parts = Parts::of(pair);
        parts.maybe(Rule::k_use);
        let string = parts.must();
        Item::Use(Use { path: unescape(string.as_str()), path_span: at.span_of(&string), span })
    }

    fn data(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, span: Span) -> Item {
        let mut parts = Parts::of(pair);
        parts.maybe(Rule::k_data);
        let names = std::iter::from_fn(|| parts.maybe(Rule::name)).map(|name| at.ident(&name)).collect();
        let value = self.expression(at, &parts.must());
        Item::Data(Data { names, value, span })
    }

    /// A `model` or a `layer`, at the top of a file or where it is used.
    pub(super) fn definition(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Definition {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let head = parts.maybe(Rule::model_head).or_else(|| parts.maybe(Rule::layer_head));
        let (name, params) = match head {
            Some(head) => {
                let mut head = Parts::of(&head);
                head.must(); // the keyword
                let name = at.ident(&head.must());
                let params =
                    head.maybe(Rule::parameters).map_or_else(Vec::new, |list| self.parameters(at, &list));
                (Some(name), params)
            }
            None => {
                let _ = self.broken_head(at, pair);
                (None, Vec::new())
            }
        };
        let block = parts.find(|part| part.as_rule() == Rule::block).expect("a definition has a block");
        Definition { doc: self.doc(span), name, params, body: self.block(at, &block), span }
    }

    fn parameters(&mut self, at: Stretch<'_>, list: &Pair<'_, Rule>) -> Vec<Parameter> {
        Parts::of(list).filter_map(|pair| self.parameter(at, &pair)).collect()
    }

    /// A broken parameter keeps its name, if it has one.
    fn parameter(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Option<Parameter> {
        let span = at.span_of(pair);
        if pair.as_rule() == Rule::bad_parameter {
            let (span, _) = self.bad(at, pair, Rule::only_parameter);
            let word = leading_name(pair.as_str())?;
            let name = at.ident_at(pair.as_span().start(), word);
            return Some(Parameter { name, ty: None, default: None, span });
        }
        let mut parts = Parts::of(pair);
        let name = at.ident(&parts.must());
        let ty = parts.maybe(Rule::r#type).map(|ty| self.type_expr(at, &ty));
        let default = parts.maybe(Rule::expression).map(|value| self.expression(at, &value));
        Some(Parameter { name, ty, default, span })
    }

    /// The `///` lines right before an item.
    fn doc(&self, item: Span) -> Option<String> {
        let line_of = |offset: u32| self.source.line_column(offset as usize).line;
        let mut line = line_of(item.start);
        let before = self.comments.partition_point(|comment| comment.span.start < item.start);
        let mut lines = Vec::new();
        for comment in self.comments[..before].iter().rev() {
            let text = self.source.text.get(comment.span.range()).unwrap_or("");
            let Some(doc) = text.strip_prefix("///") else { break };
            if comment.trailing || line_of(comment.span.start) + 1 != line {
                break;
            }
            line -= 1;
            lines.push(doc.strip_prefix(' ').unwrap_or(doc).trim_end());
        }
        lines.reverse();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    // ---- devices -----------------------------------------------------------------------------------------------

    fn devices(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, span: Span) -> Item {
        let mut parts = Parts::of(pair);
        let mut cluster = None;
        if let Some(head) = parts.maybe(Rule::cluster_head) {
            cluster = Parts::of(&head).find(|part| part.as_rule() == Rule::name).map(|name| at.ident(&name));
        } else if !parts.has(Rule::devices_head) {
            let _ = self.broken_head(at, pair);
        }
        let block = parts.find(|part| part.as_rule() == Rule::device_block).expect("devices have a block");
        let (body, block) = self.device_lines(at, &block);
        Item::Devices(Devices { cluster, body, block, span })
    }

    fn device_lines(&mut self, at: Stretch<'_>, block: &Pair<'_, Rule>) -> (Vec<DeviceStatement>, Span) {
        let lines = Parts::of(block).map(|line| self.device_line(at, &line)).collect();
        (lines, at.span_of(block))
    }

    fn device_line(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> DeviceStatement {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let kind = match pair.as_rule() {
            Rule::machine => match parts.maybe(Rule::machine_head) {
                Some(head) => {
                    let name = Parts::of(&head).nth(1).expect("a machine has a name");
                    let name = self.reference(at, &name);
                    let (body, block) = self.device_lines(at, &parts.must());
                    DeviceKind::Machine { name, body, block }
                }
                None => {
                    let _ = self.broken_head(at, pair);
                    DeviceKind::Bad
                }
            },
            Rule::link => {
                parts.maybe(Rule::k_link);
                let within = parts.must().as_rule() == Rule::k_within;
                parts.must(); // machine(s)
                DeviceKind::Link { within, quantities: self.quantities(at, parts.maybe(Rule::quantities)) }
            }
            Rule::device => {
                let name = self.reference(at, &parts.must());
                DeviceKind::Device { name, quantities: self.quantities(at, parts.maybe(Rule::quantities)) }
            }
            _ => {
                let (span, mended) = self.bad(at, pair, Rule::only_device);
                let line = mended.and_then(|mended| mended.with(|at, pair| self.device_line(at, pair)));
                return line.unwrap_or(DeviceStatement { kind: DeviceKind::Bad, span });
            }
        };
        DeviceStatement { kind, span }
    }

    fn quantities(&mut self, at: Stretch<'_>, pair: Option<Pair<'_, Rule>>) -> Vec<Expr> {
        pair.map_or_else(Vec::new, |pair| Parts::of(&pair).map(|one| self.quantity(at, &one)).collect())
    }

    // ---- place -------------------------------------------------------------------------------------------------

    fn place(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, span: Span) -> Item {
        let mut parts = Parts::of(pair);
        let model = match parts.maybe(Rule::place_head) {
            Some(head) => Parts::of(&head).nth(1).map(|name| at.ident(&name)),
            None => {
                let _ = self.broken_head(at, pair);
                None
            }
        };
        let block = parts.find(|part| part.as_rule() == Rule::place_block).expect("place has a block");
        let body = Parts::of(&block).map(|line| self.place_line(at, &line)).collect();
        Item::Place(Place { model, body, block: at.span_of(&block), span })
    }

    fn place_line(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> PlaceStatement {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let kind = match pair.as_rule() {
            Rule::on => {
                let names = self.references(at, &parts.must());
                parts.must(); // on
                PlaceKind::On { parts: names, device: self.reference(at, &parts.must()) }
            }
            Rule::split => {
                let names = self.references(at, &parts.must());
                let devices =
                    parts.find(|part| part.as_rule() == Rule::reference).expect("split names devices");
                let devices = self.reference(at, &devices);
                let axes =
                    parts.filter(|part| part.as_rule() == Rule::name).map(|axis| at.ident(&axis)).collect();
                PlaceKind::Split { parts: names, devices, axes }
            }
            Rule::pipeline => {
                parts.maybe(Rule::k_pipeline);
                let stages = Parts::of(&parts.must()).next().expect("stages are references");
                let names = self.references(at, &stages);
                parts.maybe(Rule::k_over);
                let devices = self.reference(at, &parts.must());
                parts.maybe(Rule::k_microbatches);
                let microbatches = parts.maybe(Rule::expression).map(|count| self.expression(at, &count));
                parts.maybe(Rule::k_schedule);
                let schedule = parts.maybe(Rule::string).map(|name| self.string(at, &name));
                PlaceKind::Pipeline { parts: names, devices, microbatches, schedule }
            }
            Rule::remat => PlaceKind::Remat(self.remat(at, parts)),
            Rule::wire => PlaceKind::Wire(wire(at, parts)),
            Rule::any_order => PlaceKind::SumAnyOrder,
            _ => {
                let (span, mended) = self.bad(at, pair, Rule::only_place);
                let line = mended.and_then(|mended| mended.with(|at, pair| self.place_line(at, pair)));
                return line.unwrap_or(PlaceStatement { kind: PlaceKind::Bad, span });
            }
        };
        PlaceStatement { kind, span }
    }

    fn remat(&mut self, at: Stretch<'_>, mut parts: Parts<'_>) -> Vec<FamilyRef> {
        parts.maybe(Rule::k_remat);
        self.references(at, &parts.must())
    }

    // ---- replicas ----------------------------------------------------------------------------------------------

    fn replicas(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, span: Span) -> Item {
        let mut parts = Parts::of(pair);
        let model = match parts.maybe(Rule::replicas_head) {
            Some(head) => Parts::of(&head).nth(1).map(|name| at.ident(&name)),
            None => {
                let _ = self.broken_head(at, pair);
                None
            }
        };
        let block = parts.find(|part| part.as_rule() == Rule::replicas_block).expect("replicas have a block");
        let body = Parts::of(&block).map(|line| self.replicas_line(at, &line)).collect();
        Item::Replicas(Replicas { model, body, block: at.span_of(&block), span })
    }

    fn replicas_line(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> ReplicasStatement {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let kind = match pair.as_rule() {
            Rule::copies => {
                let count = self.operand_of_line(at, &mut parts);
                ReplicasKind::Copies { count, sync: sync(&mut parts) }
            }
            Rule::groups => {
                let count = self.operand_of_line(at, &mut parts);
                ReplicasKind::Groups { count, sync: sync(&mut parts) }
            }
            Rule::backups => ReplicasKind::Backups(self.operand_of_line(at, &mut parts)),
            Rule::staleness => ReplicasKind::Staleness(self.operand_of_line(at, &mut parts)),
            Rule::params_split => {
                let devices =
                    parts.find(|part| part.as_rule() == Rule::reference).expect("params name devices");
                ReplicasKind::Params(self.reference(at, &devices))
            }
            Rule::wire => ReplicasKind::Wire(wire(at, parts)),
            Rule::restart => ReplicasKind::Restart(self.operand_of_line(at, &mut parts)),
            Rule::any_order => ReplicasKind::SumAnyOrder,
            _ => {
                let (span, mended) = self.bad(at, pair, Rule::only_replicas);
                let line = mended.and_then(|mended| mended.with(|at, pair| self.replicas_line(at, pair)));
                return line.unwrap_or(ReplicasStatement { kind: ReplicasKind::Bad, span });
            }
        };
        ReplicasStatement { kind, span }
    }

    /// The expression after the words at a line's head.
    pub(super) fn operand_of_line(&mut self, at: Stretch<'_>, parts: &mut Parts<'_>) -> Expr {
        let value = parts.find(|part| part.as_rule() == Rule::expression).expect("this line has a value");
        self.expression(at, &value)
    }

    // ---- names -------------------------------------------------------------------------------------------------

    fn names(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, span: Span) -> Item {
        let mut parts = Parts::of(pair);
        let model = match parts.maybe(Rule::names_head) {
            Some(head) => Parts::of(&head).nth(1).map(|name| at.ident(&name)),
            None => {
                let _ = self.broken_head(at, pair);
                None
            }
        };
        let block = parts.find(|part| part.as_rule() == Rule::names_block).expect("names have a block");
        let body = Parts::of(&block).map(|line| self.names_line(at, &line)).collect();
        Item::Names(Names { model, body, block: at.span_of(&block), span })
    }

    fn names_line(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> NamesLine {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let kind = match pair.as_rule() {
            Rule::called => {
                let ours = text(at, &parts.must());
                NamesKind::Called { ours, theirs: self.operand_of_line(at, &mut parts) }
            }
            Rule::new_names => NamesKind::New(texts(at, parts)),
            Rule::unused_names => NamesKind::Unused(texts(at, parts)),
            _ => {
                let (span, mended) = self.bad(at, pair, Rule::only_names);
                let line = mended.and_then(|mended| mended.with(|at, pair| self.names_line(at, pair)));
                return line.unwrap_or(NamesLine { kind: NamesKind::Bad, span });
            }
        };
        NamesLine { kind, span }
    }

    // ---- train -------------------------------------------------------------------------------------------------

    fn train(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>, span: Span) -> Item {
        let mut parts = Parts::of(pair);
        let (model, args, name) = match parts.maybe(Rule::train_head) {
            Some(head) => {
                let mut head = Parts::of(&head);
                head.maybe(Rule::k_train);
                let model = at.ident(&head.must());
                let args =
                    head.maybe(Rule::arguments).map_or_else(Vec::new, |list| self.arguments(at, &list));
                head.maybe(Rule::k_as);
                (Some(model), args, head.maybe(Rule::name).map(|name| at.ident(&name)))
            }
            None => {
                let _ = self.broken_head(at, pair);
                (None, Vec::new(), None)
            }
        };
        let block = parts.find(|part| part.as_rule() == Rule::train_block).expect("train has a block");
        let body = Parts::of(&block).map(|line| self.train_line(at, &line)).collect();
        Item::Train(Train { model, args, name, body, block: at.span_of(&block), span })
    }

    fn train_line(&mut self, at: Stretch<'_>, pair: &Pair<'_, Rule>) -> TrainStatement {
        let span = at.span_of(pair);
        let mut parts = Parts::of(pair);
        let kind = match pair.as_rule() {
            Rule::feed => TrainKind::Feed(self.operand_of_line(at, &mut parts)),
            Rule::init_from => {
                let path = parts.find(|part| part.as_rule() == Rule::string).expect("it says from what");
                TrainKind::InitFrom(text(at, &path))
            }
            Rule::optimize => TrainKind::Optimize(self.operand_of_line(at, &mut parts)),
            Rule::evaluate => {
                let data = self.operand_of_line(at, &mut parts);
                parts.maybe(Rule::k_every);
                let every = parts.maybe(Rule::expression).map(|every| self.expression(at, &every));
                TrainKind::Evaluate { data, every }
            }
            Rule::stop => {
                parts.maybe(Rule::k_stop);
                let after = parts.has(Rule::k_after);
                let limit = self.operand_of_line(at, &mut parts);
                if after { TrainKind::StopAfter(limit) } else { TrainKind::StopWhen(limit) }
            }
            Rule::clip => {
                parts.maybe(Rule::k_clip);
                let norm = parts.has(Rule::k_norm);
                TrainKind::Clip { norm, limit: self.operand_of_line(at, &mut parts) }
            }
            Rule::save => {
                parts.maybe(Rule::k_save);
                let name = parts.maybe(Rule::name).map(|name| at.ident(&name));
                parts.maybe(Rule::k_to);
                let path = parts.maybe(Rule::string).map(|path| self.string(at, &path));
                parts.maybe(Rule::k_every);
                let every = parts.maybe(Rule::expression).map(|every| self.expression(at, &every));
                TrainKind::Save { name, path, every }
            }
            Rule::precision => {
                TrainKind::Precision(at.ident(&parts.nth(1).expect("a precision has a dtype")))
            }
            Rule::seed => TrainKind::Seed(self.operand_of_line(at, &mut parts)),
            Rule::setting => self.setting(at, parts),
            Rule::remat => TrainKind::Remat(self.remat(at, parts)),
            Rule::restart => TrainKind::Restart(self.operand_of_line(at, &mut parts)),
            Rule::any_order => TrainKind::SumAnyOrder,
            _ => {
                let (span, mended) = self.bad(at, pair, Rule::only_train);
                let line = mended.and_then(|mended| mended.with(|at, pair| self.train_line(at, pair)));
                return line.unwrap_or(TrainStatement { kind: TrainKind::Bad, span });
            }
        };
        TrainStatement { kind, span }
    }

    /// A word that no rule knows, and its value: taken as it is unless it is a known word misspelt.
    fn setting(&mut self, at: Stretch<'_>, mut parts: Parts<'_>) -> TrainKind {
        let word = at.ident(&parts.must());
        let value = self.operand_of_line(at, &mut parts);
        if TRAIN_WORDS.contains(&word.text.as_str()) {
            return TrainKind::Setting { word, value };
        }
        let Some(near) = did_you_mean(&word.text, TRAIN_WORDS.iter().copied()) else {
            return TrainKind::Setting { word, value };
        };
        let message = format!("`train` has no setting `{}`", word.text);
        self.report(
            Diagnostic::error(Code::SyntaxError, word.span, message)
                .help(format!("did you mean `{near}`?"))
                .edit(word.span, near),
        );
        match near {
            "feed" => TrainKind::Feed(value),
            "optimize" => TrainKind::Optimize(value),
            "evaluate" => TrainKind::Evaluate { data: value, every: None },
            "seed" => TrainKind::Seed(value),
            _ => TrainKind::Bad,
        }
    }
}

fn text(at: Stretch<'_>, pair: &Pair<'_, Rule>) -> Text {
    Text { text: unescape(pair.as_str()), span: at.span_of(pair) }
}

fn texts(at: Stretch<'_>, parts: Parts<'_>) -> Vec<Text> {
    parts.filter(|part| part.as_rule() == Rule::string).map(|part| text(at, &part)).collect()
}

fn sync(parts: &mut Parts<'_>) -> Option<Sync> {
    if parts.has(Rule::k_sync) {
        Some(Sync::Sync)
    } else if parts.has(Rule::k_async) {
        Some(Sync::Async)
    } else {
        None
    }
}

fn wire(at: Stretch<'_>, mut parts: Parts<'_>) -> Wire {
    parts.maybe(Rule::k_wire);
    let dtype = at.ident(&parts.must());
    let stochastic = parts.has(Rule::k_stochastic);
    parts.maybe(Rule::k_sum);
    Wire { dtype, stochastic, sum: parts.maybe(Rule::name).map(|name| at.ident(&name)) }
}
