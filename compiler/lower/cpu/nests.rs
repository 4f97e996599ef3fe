//! The function of a nest: `(frame, operand…, lo, hi)`, where `lo..hi` is the part of the dealt loop.
//!
//! The innermost loop runs four elements at a time, several times a turn, and what is left one by one with the
//! same arithmetic. Where it needs vector functions it is cut into strips: stage by stage, each stage a loop
//! over the strip, with what the next stage needs in temporary strips of the thread's local area.

use std::collections::HashMap;

use cranelift_codegen::ir::{self, InstBuilder, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use strata_runtime::kernels::Entry;
use strata_runtime::session::Frame;

use super::analysis::{Analysis, Level, analyse, entry};
use super::lanes::{self, FOUR, Lanes};
use super::loops::{Builds, count};
use super::signature;
use crate::lower::nest::{Expr, ExprId, LANES, Map, Nest, Pattern, Role, STRIP};
use crate::types::DType;

/// Vectors that a turn of the innermost loop handles: as many as fill the lanes of a row's sums.
pub(super) const VECTORS: usize = LANES / FOUR;

/// The function of `nest`, and the bytes of the local area that it uses.
pub fn function(nest: &Nest, isa: &dyn TargetIsa) -> (ir::Function, usize) {
    let analysis = analyse(nest);
    let local = analysis.local;
    let words = nest.operands.len() + 3;
    let name = ir::UserFuncName::user(0, 0);
    let mut function = ir::Function::with_name_signature(name, signature(isa, words, false));
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    b.seal_block(block);
    let params = b.block_params(block).to_vec();
    let (last, operands) = (params.len() - 1, params[1..params.len() - 2].to_vec());
    let field = |b: &mut FunctionBuilder, offset: usize| {
        b.ins().load(types::I64, lanes::memory(), params[0], offset as i32)
    };
    let table = field(&mut b, std::mem::offset_of!(Frame, table));
    let scratch = field(&mut b, std::mem::offset_of!(Frame, local));
    let mut emit = Emit {
        nest,
        analysis: &analysis,
        isa,
        b,
        table,
        local: scratch,
        operands,
        bounds: (params[last - 1], params[last]),
        turns: vec![None; nest.loops.len()],
        single: HashMap::new(),
        rows: HashMap::new(),
        temps: HashMap::new(),
    };
    emit.fixed();
    match nest.pattern() {
        Pattern::Plain => emit.plain(),
        Pattern::Rows => emit.over_rows(),
        Pattern::Columns => emit.over_columns(),
        Pattern::Search => emit.search(),
    }
    let mut b = emit.b;
    b.ins().return_(&[]);
    b.finalize(isa.frontend_config());
    (function, local)
}

/// Makes the code of one nest.
pub(super) struct Emit<'a, 'b> {
    pub nest: &'a Nest,
    pub analysis: &'a Analysis,
    isa: &'a dyn TargetIsa,
    pub b: FunctionBuilder<'b>,
    table: Value,
    local: Value,
    operands: Vec<Value>,
    /// The part of the dealt loop.
    bounds: (Value, Value),
    /// The turn of each loop that is running.
    turns: Vec<Option<Value>>,
    /// Expressions that do not change along the innermost loop.
    single: HashMap<ExprId, Value>,
    /// Where each map's element for turn 0 of the innermost loop lies, in this row: by operand and map.
    pub rows: HashMap<(usize, Map), Value>,
    /// Where temporary strips would begin if the strip began at turn 0.
    temps: HashMap<usize, Value>,
}

impl<'b> Builds<'b> for Emit<'_, 'b> {
    fn builder(&mut self) -> &mut FunctionBuilder<'b> {
        &mut self.b
    }
}

/// Where the body of the innermost loop stands.
pub(super) struct Body {
    /// The turn.
    pub turn: Value,
    /// Elements after it.
    pub ahead: i64,
    /// Whether four elements are done at once.
    pub wide: bool,
    /// The stage that it is part of.
    pub stage: usize,
    /// What has been computed there.
    pub done: HashMap<ExprId, Lanes>,
}

impl Emit<'_, '_> {
    /// The vector function that computes an expression, if one does.
    fn entry(&self, e: ExprId) -> Option<Entry> {
        entry(&self.nest.exprs[e], self.nest.dtypes[e])
    }

    pub(super) fn inner(&self) -> usize {
        self.nest.loops.len() - 1
    }

    pub(super) fn word(&mut self, value: i64) -> Value {
        self.b.ins().iconst(types::I64, value)
    }

    /// The turns of a loop that this call runs.
    pub(super) fn range(&mut self, at: usize) -> (Value, Value) {
        if self.nest.dealt == Some(at) {
            return self.bounds;
        }
        let size = self.nest.loops[at].size as i64;
        (self.word(0), self.word(size))
    }

    /// Runs `body` in the loops `which`, from the outermost.
    pub(super) fn nested(&mut self, which: &[usize], body: &mut dyn FnMut(&mut Self)) {
        let Some((at, rest)) = which.split_first() else { return body(self) };
        let (from, to) = self.range(*at);
        count(self, from, to, 1, &mut |emit, turn| {
            emit.turns[*at] = Some(turn);
            emit.nested(rest, body);
            emit.turns[*at] = None;
        });
    }

    /// Loops of a role, without the innermost.
    pub(super) fn loops_of(&self, role: Role) -> Vec<usize> {
        (0..self.inner()).filter(|i| self.nest.loops[*i].role == role).collect()
    }

    // ---- what stands before the innermost loop ----

    /// Computes what never changes.
    fn fixed(&mut self) {
        for e in 0..self.nest.exprs.len() {
            if self.analysis.levels[e] == Level::Fixed {
                self.one(e);
            }
        }
    }

    /// Computes what stays the same in this row.
    pub(super) fn row(&mut self) {
        self.rows.clear();
        for e in 0..self.nest.exprs.len() {
            if self.analysis.levels[e] == Level::Row {
                self.one(e);
            }
        }
        for e in 0..self.nest.exprs.len() {
            if let (Expr::Load(operand, map), Level::Element) = (&self.nest.exprs[e], self.analysis.levels[e])
            {
                self.row_address(*operand, map);
            }
        }
        for s in &self.nest.stores {
            self.row_address(s.operand, &s.map);
        }
    }

    /// `start + Σ terms · turns`, without the innermost loop.
    fn position(&mut self, map: &Map) -> Value {
        let mut sum = self.word(map.start);
        for (at, term) in map.terms.iter().enumerate() {
            if let (Some(turn), true) = (self.turns[at], *term != 0 && at != self.inner()) {
                let part = self.b.ins().imul_imm_s(turn, *term);
                sum = self.b.ins().iadd(sum, part);
            }
        }
        sum
    }

    /// Where the element of `map` lies for turn 0 of the innermost loop.
    pub(super) fn row_address(&mut self, operand: usize, map: &Map) -> Value {
        let key = (operand, map.clone());
        if let Some(found) = self.rows.get(&key) {
            return *found;
        }
        let position = self.position(map);
        let bytes = self.b.ins().imul_imm_s(position, self.nest.operands[operand].bytes() as i64);
        let address = self.b.ins().iadd(self.operands[operand], bytes);
        self.rows.insert(key, address);
        address
    }

    /// Computes an expression that does not change along the innermost loop.
    fn one(&mut self, e: ExprId) {
        let dtype = self.nest.dtypes[e];
        let arg = |emit: &Self, of: ExprId| Lanes::One(emit.single[&of]);
        let value = match &self.nest.exprs[e] {
            Expr::Load(operand, map) => {
                let position = self.position(map);
                let bytes = self.b.ins().imul_imm_s(position, dtype.bytes() as i64);
                let address = self.b.ins().iadd(self.operands[*operand], bytes);
                lanes::load(&mut self.b, dtype, address, 0, false)
            }
            Expr::Number(number) => Lanes::One(lanes::constant(&mut self.b, dtype, *number)),
            Expr::Coordinate(map) => {
                let position = self.position(map);
                Lanes::One(self.b.ins().ireduce(types::I32, position))
            }
            Expr::Random(stream, seed, step, map) => {
                let start = self.position(map);
                let (to, one) = (self.local, self.word(1));
                let (seed, step) = (self.single[seed], self.single[step]);
                self.draw(to, one, *stream, seed, step, start);
                lanes::load(&mut self.b, dtype, self.local, 0, false)
            }
            expr if entry(expr, dtype).is_some() => {
                let function = entry(expr, dtype).expect("the guard asked");
                let mut words = vec![self.local];
                for (i, of) in expr.args().iter().enumerate() {
                    let offset = 16 * (i as i32 + 1);
                    let element = arg(self, *of);
                    lanes::store(&mut self.b, dtype, self.local, offset, element);
                    words.push(self.b.ins().iadd_imm_s(self.local, i64::from(offset)));
                }
                words.push(self.word(1));
                self.call(function, &words);
                lanes::load(&mut self.b, dtype, self.local, 0, false)
            }
            Expr::Unary(op, a) => lanes::unary(&mut self.b, *op, dtype, Lanes::One(self.single[a])),
            Expr::Binary(op, x, y) => {
                let of = self.nest.dtypes[*x];
                let (x, y) = (self.single[x], self.single[y]);
                lanes::binary(&mut self.b, *op, of, Lanes::One(x), Lanes::One(y))
            }
            Expr::Select(c, x, y) => {
                let [c, x, y] = [c, x, y].map(|of| Lanes::One(self.single[of]));
                lanes::select(&mut self.b, dtype, c, x, y)
            }
            Expr::Cast(x) => {
                let from = self.nest.dtypes[*x];
                lanes::cast(&mut self.b, from, dtype, Lanes::One(self.single[x]))
            }
        };
        match value {
            Lanes::One(value) => self.single.insert(e, value),
            Lanes::Vector(_) | Lanes::Four(_) => unreachable!("single operands give single results"),
        };
    }

    /// Calls a function of the table.
    fn call(&mut self, function: Entry, words: &[Value]) {
        let signature = signature(self.isa, words.len(), false);
        let signature = self.b.import_signature(signature);
        let offset = function.offset() as i32;
        let address = self.b.ins().load(types::I64, lanes::memory(), self.table, offset);
        self.b.ins().call_indirect(signature, address, words);
    }

    fn draw(&mut self, to: Value, elements: Value, stream: u64, seed: Value, step: Value, start: Value) {
        let stream = self.word(stream as i64);
        self.call(Entry::Uniform, &[to, elements, seed, stream, step, start]);
    }

    // ---- the innermost loop ----

    /// A strip `from..to` of the innermost loop, stage by stage. `finish` is given the results' place once
    /// everything it may ask for with [`Emit::value`] is at hand.
    pub(super) fn strip(
        &mut self,
        from: Value,
        to: Value,
        finish: &mut dyn FnMut(&mut Self, &mut Body, usize),
    ) {
        self.place_temps(from);
        for stage in 0..=self.analysis.last {
            self.calls(stage, from, to);
            let kept: Vec<ExprId> = (0..self.nest.exprs.len()).filter(|e| self.keeps(*e, stage)).collect();
            let results = stage == self.analysis.last;
            if kept.is_empty() && !results {
                continue;
            }
            self.sweep(from, to, stage, &mut |emit, body, vector| {
                for e in &kept {
                    let lanes = emit.value(*e, body);
                    let slot = emit.analysis.temps[*e].expect("only what has a strip is kept");
                    emit.store_temp(slot, emit.nest.dtypes[*e], body, lanes);
                }
                if results {
                    finish(emit, body, vector);
                }
            });
        }
    }

    /// Says where temporary strips lie while the strip that begins at turn `from` is worked on.
    pub(super) fn place_temps(&mut self, from: Value) {
        self.temps.clear();
        for slot in self.analysis.temps.iter().flatten().chain(self.analysis.columns.iter().flatten()) {
            // Addresses are reckoned from turn 0 of the whole loop.
            let bytes = self.slot_bytes(*slot);
            let back = self.b.ins().imul_imm_s(from, -bytes);
            let base = self.b.ins().iadd(self.local, back);
            let base = self.b.ins().iadd_imm_s(base, *slot as i64);
            self.temps.insert(*slot, base);
        }
    }

    /// Bytes of an element in a temporary strip.
    pub(super) fn slot_bytes(&self, slot: usize) -> i64 {
        let temp = self.analysis.temps.iter().position(|t| *t == Some(slot));
        let fold = || self.analysis.columns.iter().position(|c| c.contains(&slot));
        let expr = temp.unwrap_or_else(|| self.nest.folds[fold().expect("a slot has an owner")].expr);
        self.nest.dtypes[expr].bytes() as i64
    }

    /// Whether an expression is put into its strip in `stage`.
    fn keeps(&self, e: ExprId, stage: usize) -> bool {
        let called = self.analysis.levels[e] == Level::Element && self.entry(e).is_some();
        let single = self.analysis.levels[e] != Level::Element;
        let at = if single { 0 } else { self.analysis.stages[e] };
        self.analysis.temps[e].is_some() && !called && at == stage
    }

    /// Runs the vector functions whose results `stage` begins with.
    fn calls(&mut self, stage: usize, from: Value, to: Value) {
        for e in 0..self.nest.exprs.len() {
            let expr = &self.nest.exprs[e];
            let Some(function) = self.entry(e) else { continue };
            if self.analysis.levels[e] != Level::Element || self.analysis.stages[e] != stage {
                continue;
            }
            let elements = self.b.ins().isub(to, from);
            let place = |emit: &mut Self, of: ExprId| {
                let slot = emit.analysis.temps[of].expect("operands of calls have strips");
                emit.b.ins().iadd_imm_s(emit.local, slot as i64)
            };
            let result = place(self, e);
            if let Expr::Random(stream, seed, step, map) = expr {
                let start = self.position(map);
                let start = self.b.ins().iadd(start, from);
                let (seed, step) = (self.single[seed], self.single[step]);
                self.draw(result, elements, *stream, seed, step, start);
                continue;
            }
            let mut words = vec![result];
            for arg in expr.args() {
                words.push(place(self, arg));
            }
            words.push(elements);
            self.call(function, &words);
        }
    }

    /// Runs `body` for every element of `from..to`: as many as possible four at a time, [`VECTORS`] times a
    /// turn. `body` is told which vector it is in, [`VECTORS`] for a single element.
    pub(super) fn sweep(
        &mut self,
        from: Value,
        to: Value,
        stage: usize,
        body: &mut dyn FnMut(&mut Self, &mut Body, usize),
    ) {
        let elements = self.b.ins().isub(to, from);
        let whole = self.b.ins().band_imm_s(elements, -(LANES as i64));
        let middle = self.b.ins().iadd(from, whole);
        count(self, from, middle, LANES as i64, &mut |emit, turn| {
            for vector in 0..VECTORS {
                let ahead = (vector * FOUR) as i64;
                let mut at = Body { turn, ahead, wide: true, stage, done: HashMap::new() };
                body(emit, &mut at, vector);
            }
        });
        count(self, middle, to, 1, &mut |emit, turn| {
            let mut at = Body { turn, ahead: 0, wide: false, stage, done: HashMap::new() };
            body(emit, &mut at, VECTORS);
        });
    }

    /// An expression at the body's place.
    pub(super) fn value(&mut self, e: ExprId, body: &mut Body) -> Lanes {
        if let Some(found) = body.done.get(&e) {
            return *found;
        }
        let dtype = self.nest.dtypes[e];
        let lanes = if self.analysis.levels[e] != Level::Element {
            let one = self.single[&e];
            lanes::repeat(&mut self.b, dtype, one, body.wide)
        } else if let Some(slot) = self.stands_in(e, body.stage) {
            let address = self.temp_address(slot, dtype, body);
            lanes::load(&mut self.b, dtype, address, (body.ahead * dtype.bytes() as i64) as i32, body.wide)
        } else {
            self.compute(e, body)
        };
        body.done.insert(e, lanes);
        lanes
    }

    /// The strip that an expression can be loaded from in `stage`.
    fn stands_in(&self, e: ExprId, stage: usize) -> Option<usize> {
        let called = self.entry(e).is_some();
        let repeats = matches!(self.nest.exprs[e], Expr::Load(..) | Expr::Coordinate(_));
        self.analysis.temps[e].filter(|_| called || (self.analysis.stages[e] < stage && !repeats))
    }

    pub(super) fn temp_address(&mut self, slot: usize, dtype: DType, body: &Body) -> Value {
        let base = self.temps[&slot];
        self.scaled(base, body.turn, dtype.bytes() as i64)
    }

    pub(super) fn store_temp(&mut self, slot: usize, dtype: DType, body: &Body, lanes: Lanes) {
        let address = self.temp_address(slot, dtype, body);
        lanes::store(&mut self.b, dtype, address, (body.ahead * dtype.bytes() as i64) as i32, lanes);
    }

    /// `base + turn · bytes`
    pub(super) fn scaled(&mut self, base: Value, turn: Value, bytes: i64) -> Value {
        let offset = if bytes > 0 && (bytes as u64).is_power_of_two() {
            self.b.ins().ishl_imm_u(turn, i64::from(bytes.trailing_zeros()))
        } else {
            self.b.ins().imul_imm_s(turn, bytes)
        };
        self.b.ins().iadd(base, offset)
    }

    fn compute(&mut self, e: ExprId, body: &mut Body) -> Lanes {
        let dtype = self.nest.dtypes[e];
        let inner = self.inner();
        match &self.nest.exprs[e] {
            Expr::Load(operand, map) => {
                let base = self.row_address(*operand, map);
                let step = map.terms[inner] * dtype.bytes() as i64;
                let address = self.scaled(base, body.turn, step);
                if !body.wide || map.terms[inner] == 1 {
                    return lanes::load(&mut self.b, dtype, address, (body.ahead * step) as i32, body.wide);
                }
                let elements: Vec<Value> = (0..FOUR as i64)
                    .map(|lane| self.element(dtype, address, (body.ahead + lane) * step))
                    .collect();
                lanes::together(&mut self.b, dtype, &elements)
            }
            Expr::Coordinate(map) => {
                let start = self.position(map);
                let term = map.terms[inner];
                let own = self.b.ins().imul_imm_s(body.turn, term);
                let position = self.b.ins().iadd(start, own);
                let lanes = if body.wide { FOUR as i64 } else { 1 };
                let elements: Vec<Value> = (0..lanes)
                    .map(|lane| {
                        let at = self.b.ins().iadd_imm_s(position, (body.ahead + lane) * term);
                        self.b.ins().ireduce(types::I32, at)
                    })
                    .collect();
                lanes::together(&mut self.b, dtype, &elements)
            }
            Expr::Unary(op, x) => {
                let x = self.value(*x, body);
                lanes::unary(&mut self.b, *op, dtype, x)
            }
            Expr::Binary(op, x, y) => {
                let of = self.nest.dtypes[*x];
                let (x, y) = (self.value(*x, body), self.value(*y, body));
                lanes::binary(&mut self.b, *op, of, x, y)
            }
            Expr::Select(c, x, y) => {
                let [c, x, y] = [*c, *x, *y].map(|of| self.value(of, body));
                lanes::select(&mut self.b, dtype, c, x, y)
            }
            Expr::Cast(x) => {
                let from = self.nest.dtypes[*x];
                let x = self.value(*x, body);
                lanes::cast(&mut self.b, from, dtype, x)
            }
            Expr::Number(_) | Expr::Random(..) => {
                unreachable!("numbers never change and random numbers stand in strips")
            }
        }
    }

    /// One element at an offset of any size.
    fn element(&mut self, dtype: DType, address: Value, offset: i64) -> Value {
        let (address, offset) = match i32::try_from(offset) {
            Ok(offset) => (address, offset),
            Err(_) => (self.b.ins().iadd_imm_s(address, offset), 0),
        };
        match lanes::load(&mut self.b, dtype, address, offset, false) {
            Lanes::One(element) => element,
            Lanes::Vector(_) | Lanes::Four(_) => unreachable!("one element was asked for"),
        }
    }

    /// Stores every result of the nest at the body's place.
    pub(super) fn results(&mut self, body: &mut Body) {
        // Everything is computed before anything is stored: a result may lie over an operand.
        let inner = self.inner();
        let values: Vec<Lanes> = self.nest.stores.iter().map(|s| self.value(s.expr, body)).collect();
        for (s, lanes) in self.nest.stores.iter().zip(values) {
            let dtype = self.nest.operands[s.operand];
            let base = self.row_address(s.operand, &s.map);
            let step = s.map.terms[inner] * dtype.bytes() as i64;
            let address = self.scaled(base, body.turn, step);
            if !body.wide || s.map.terms[inner] == 1 {
                lanes::store(&mut self.b, dtype, address, (body.ahead * step) as i32, lanes);
                continue;
            }
            for (lane, element) in lanes::apart(&mut self.b, dtype, lanes).into_iter().enumerate() {
                let at = self.b.ins().iadd_imm_s(address, (body.ahead + lane as i64) * step);
                lanes::store(&mut self.b, dtype, at, 0, Lanes::One(element));
            }
        }
    }

    // ---- patterns ----

    fn plain(&mut self) {
        let outer: Vec<usize> = (0..self.inner()).collect();
        self.nested(&outer, &mut |emit| {
            emit.row();
            let (from, to) = emit.range(emit.inner());
            if emit.analysis.last == 0 && emit.analysis.temps.iter().all(Option::is_none) {
                emit.sweep(from, to, 0, &mut |emit, body, _| emit.results(body));
            } else {
                emit.strips(from, to, &mut |emit, from, to| {
                    emit.strip(from, to, &mut |emit, body, _| emit.results(body));
                });
            }
        });
    }

    /// Cuts `from..to` into strips.
    pub(super) fn strips(&mut self, from: Value, to: Value, body: &mut dyn FnMut(&mut Self, Value, Value)) {
        count(self, from, to, STRIP as i64, &mut |emit, start| {
            let end = emit.b.ins().iadd_imm_s(start, STRIP as i64);
            let end = emit.b.ins().smin(end, to);
            body(emit, start, end);
        });
    }
}
