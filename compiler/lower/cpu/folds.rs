//! Folds: sums and the like along rows, over columns, and the search for the largest. The order in which
//! elements are combined is told in `nest.rs`.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::Variable;

use super::lanes::{self, FOUR, Lanes};
use super::loops::{count, when};
use super::nests::{Body, Emit, VECTORS};
use crate::lower::nest::{Combine, ExprId, LANES, Map, RUN, Role};
use crate::types::DType;

impl Emit<'_, '_> {
    /// A variable that begins with what combining nothing gives.
    fn accumulator(&mut self, combine: Combine, dtype: DType, wide: bool) -> Variable {
        let neutral = lanes::neutral(&mut self.b, combine, dtype);
        match lanes::repeat(&mut self.b, dtype, neutral, wide) {
            Lanes::One(value) | Lanes::Vector(value) => {
                let ty = self.b.func.dfg.value_type(value);
                let variable = self.b.declare_var(ty);
                self.b.def_var(variable, value);
                variable
            }
            Lanes::Four(_) => unreachable!("only dtypes with vectors are wide"),
        }
    }

    /// `variable = variable combined with value`
    fn accumulate(&mut self, how: Combine, dtype: DType, variable: Variable, value: Value, wide: bool) {
        let old = self.b.use_var(variable);
        let kind = if wide { Lanes::Vector } else { Lanes::One };
        match lanes::combine(&mut self.b, how, dtype, kind(old), kind(value)) {
            Lanes::One(new) | Lanes::Vector(new) => self.b.def_var(variable, new),
            Lanes::Four(_) => unreachable!("single values and vectors stay what they are"),
        }
    }

    fn reset(&mut self, how: Combine, dtype: DType, variable: Variable, wide: bool) {
        let neutral = lanes::neutral(&mut self.b, how, dtype);
        match lanes::repeat(&mut self.b, dtype, neutral, wide) {
            Lanes::One(value) | Lanes::Vector(value) => self.b.def_var(variable, value),
            Lanes::Four(_) => unreachable!("only dtypes with vectors are wide"),
        }
    }

    pub(super) fn over_rows(&mut self) {
        let (kept, outer) = (self.loops_of(Role::Kept), self.loops_of(Role::Outer));
        self.nested(&kept, &mut |emit| {
            let totals = emit.totals();
            if outer.is_empty() {
                emit.row_of_folds(&totals);
            } else {
                let runs = emit.totals();
                let counter = emit.counter();
                emit.nested(&outer, &mut |emit| {
                    emit.row_of_folds(&runs);
                    emit.after_run(counter, &mut |emit| emit.flush(&runs, &totals));
                });
                emit.flush(&runs, &totals);
            }
            for (i, total) in totals.iter().enumerate() {
                let fold = &emit.nest.folds[i];
                emit.rows.clear();
                let address = emit.row_address(fold.operand, &fold.map);
                let value = emit.b.use_var(*total);
                let dtype = emit.nest.operands[fold.operand];
                lanes::store(&mut emit.b, dtype, address, 0, Lanes::One(value));
            }
        });
    }

    fn totals(&mut self) -> Vec<Variable> {
        let nest = self.nest;
        nest.folds.iter().map(|f| self.accumulator(f.combine, nest.dtypes[f.expr], false)).collect()
    }

    /// Adds `runs` to `totals` and begins them anew.
    fn flush(&mut self, runs: &[Variable], totals: &[Variable]) {
        let nest = self.nest;
        for (fold, (run, total)) in nest.folds.iter().zip(runs.iter().zip(totals)) {
            let dtype = nest.dtypes[fold.expr];
            let value = self.b.use_var(*run);
            self.accumulate(fold.combine, dtype, *total, value, false);
            self.reset(fold.combine, dtype, *run, false);
        }
    }

    fn counter(&mut self) -> Variable {
        let zero = self.word(0);
        let counter = self.b.declare_var(types::I64);
        self.b.def_var(counter, zero);
        counter
    }

    /// Counts, and every [`RUN`] times runs `body`.
    fn after_run(&mut self, counter: Variable, body: &mut dyn FnMut(&mut Self)) {
        let old = self.b.use_var(counter);
        let new = self.b.ins().iadd_imm_s(old, 1);
        self.b.def_var(counter, new);
        let full = self.b.ins().icmp_imm_s(IntCC::Equal, new, RUN as i64);
        when(self, full, &mut |emit| {
            body(emit);
            let zero = emit.word(0);
            emit.b.def_var(counter, zero);
        });
    }

    /// Folds one row into `into`, block by block.
    fn row_of_folds(&mut self, into: &[Variable]) {
        self.row();
        let (from, to) = self.range(self.inner());
        let nest = self.nest;
        let wide = |e: ExprId| lanes::has_vector(nest.dtypes[e]);
        self.strips(from, to, &mut |emit, from, to| {
            let sums: Vec<Vec<Variable>> = nest
                .folds
                .iter()
                .map(|f| {
                    let lanes = if wide(f.expr) { VECTORS } else { 0 };
                    let dtype = nest.dtypes[f.expr];
                    (0..lanes).map(|_| emit.accumulator(f.combine, dtype, true)).collect()
                })
                .collect();
            // What does not fit the lanes, and all elements of dtypes without vectors (there order is no matter).
            let rest: Vec<Variable> = emit.totals();
            emit.strip(from, to, &mut |emit, body, vector| {
                let values: Vec<Lanes> = nest.folds.iter().map(|f| emit.value(f.expr, body)).collect();
                emit.results(body);
                for (i, (fold, lanes)) in nest.folds.iter().zip(values).enumerate() {
                    let dtype = nest.dtypes[fold.expr];
                    match lanes {
                        Lanes::Vector(value) => {
                            emit.accumulate(fold.combine, dtype, sums[i][vector], value, true);
                        }
                        Lanes::One(value) => {
                            emit.accumulate(fold.combine, dtype, rest[i], value, false);
                        }
                        Lanes::Four(values) => {
                            for value in values {
                                emit.accumulate(fold.combine, dtype, rest[i], value, false);
                            }
                        }
                    }
                }
            });
            for (i, fold) in nest.folds.iter().enumerate() {
                let dtype = nest.dtypes[fold.expr];
                let rest = emit.b.use_var(rest[i]);
                let block = match emit.across(fold.combine, dtype, &sums[i]) {
                    None => rest,
                    Some(lanes) => emit.joined(fold.combine, dtype, lanes, rest),
                };
                emit.accumulate(fold.combine, dtype, into[i], block, false);
            }
        });
    }

    fn joined(&mut self, how: Combine, dtype: DType, x: Value, y: Value) -> Value {
        match lanes::combine(&mut self.b, how, dtype, Lanes::One(x), Lanes::One(y)) {
            Lanes::One(value) => value,
            Lanes::Vector(_) | Lanes::Four(_) => unreachable!("single operands give single results"),
        }
    }

    /// All lanes as one.
    fn across(&mut self, how: Combine, dtype: DType, sums: &[Variable]) -> Option<Value> {
        let vectors: Vec<Value> = sums.iter().map(|v| self.b.use_var(*v)).collect();
        let [a, b, c, d] = vectors.as_slice() else { return None };
        let mut pair = |x: Value, y: Value| match lanes::combine(
            &mut self.b,
            how,
            dtype,
            Lanes::Vector(x),
            Lanes::Vector(y),
        ) {
            Lanes::Vector(value) => value,
            Lanes::One(_) | Lanes::Four(_) => unreachable!("vectors give vectors"),
        };
        let (left, right) = (pair(*a, *b), pair(*c, *d));
        let sum = pair(left, right);
        let lanes = [0, 1, 2, 3].map(|lane| self.b.ins().extractlane(sum, lane));
        let even = self.joined(how, dtype, lanes[0], lanes[2]);
        let odd = self.joined(how, dtype, lanes[1], lanes[3]);
        Some(self.joined(how, dtype, even, odd))
    }

    pub(super) fn over_columns(&mut self) {
        let kept = self.loops_of(Role::Kept);
        let vectors = self.nest.folds.iter().all(|f| lanes::has_vector(self.nest.dtypes[f.expr]));
        let called = self.analysis.last > 0 || self.analysis.temps.iter().any(Option::is_some);
        self.nested(&kept, &mut |emit| {
            let (from, to) = emit.range(emit.inner());
            if called || !vectors {
                emit.strips(from, to, &mut Self::column_strip);
                return;
            }
            let columns = emit.b.ins().isub(to, from);
            let whole = emit.b.ins().band_imm_s(columns, -(LANES as i64));
            let middle = emit.b.ins().iadd(from, whole);
            count(emit, from, middle, LANES as i64, &mut |emit, turn| emit.column_block(turn, true));
            count(emit, middle, to, 1, &mut |emit, turn| emit.column_block(turn, false));
        });
    }

    /// Folds [`LANES`] columns (or one) from `turn` on, with all sums in registers.
    fn column_block(&mut self, turn: Value, wide: bool) {
        let nest = self.nest;
        let outer = self.loops_of(Role::Outer);
        let vectors = if wide { VECTORS } else { 1 };
        let mut sums = || -> Vec<Variable> {
            let each = nest.folds.iter().flat_map(|f| std::iter::repeat_n(f, vectors));
            each.map(|f| self.accumulator(f.combine, nest.dtypes[f.expr], wide)).collect()
        };
        let (totals, runs) = (sums(), sums());
        let counter = self.counter();
        let flush = |emit: &mut Self| {
            for (i, (total, run)) in totals.iter().zip(&runs).enumerate() {
                let fold = &nest.folds[i / vectors];
                let dtype = nest.dtypes[fold.expr];
                let value = emit.b.use_var(*run);
                emit.accumulate(fold.combine, dtype, *total, value, wide);
                emit.reset(fold.combine, dtype, *run, wide);
            }
        };
        let place = |vector: usize| Body {
            turn,
            ahead: (vector * FOUR) as i64,
            wide,
            stage: 0,
            done: HashMap::new(),
        };
        self.nested(&outer, &mut |emit| {
            emit.row();
            for vector in 0..vectors {
                let mut body = place(vector);
                for (i, fold) in nest.folds.iter().enumerate() {
                    match emit.value(fold.expr, &mut body) {
                        Lanes::One(value) | Lanes::Vector(value) => {
                            let dtype = nest.dtypes[fold.expr];
                            emit.accumulate(fold.combine, dtype, runs[i * vectors + vector], value, wide);
                        }
                        Lanes::Four(_) => unreachable!("every fold's dtype has vectors"),
                    }
                }
            }
            emit.after_run(counter, &mut |emit| flush(emit));
        });
        flush(self);
        for (i, total) in totals.iter().enumerate() {
            let fold = &nest.folds[i / vectors];
            let value = self.b.use_var(*total);
            let lanes = if wide { Lanes::Vector(value) } else { Lanes::One(value) };
            self.store_column(fold.operand, &fold.map, &place(i % vectors), lanes);
        }
    }

    /// Folds the columns `from..to`, row by row, with all sums in temporary strips.
    fn column_strip(&mut self, from: Value, to: Value) {
        let nest = self.nest;
        let outer = self.loops_of(Role::Outer);
        self.begin_columns(from, to);
        let counter = self.counter();
        self.nested(&outer, &mut |emit| {
            emit.row();
            emit.strip(from, to, &mut |emit, body, _| {
                for (fold, [_, run]) in nest.folds.iter().zip(&emit.analysis.columns) {
                    let dtype = nest.dtypes[fold.expr];
                    let value = emit.value(fold.expr, body);
                    let sum = emit.temp(*run, dtype, body);
                    let sum = lanes::combine(&mut emit.b, fold.combine, dtype, sum, value);
                    emit.store_temp(*run, dtype, body, sum);
                }
            });
            emit.after_run(counter, &mut |emit| emit.flush_columns(from, to));
        });
        self.flush_columns(from, to);
        self.sweep(from, to, 0, &mut |emit, body, _| {
            for (fold, [total, _]) in nest.folds.iter().zip(&emit.analysis.columns) {
                let dtype = nest.operands[fold.operand];
                let lanes = emit.temp(*total, dtype, body);
                emit.store_column(fold.operand, &fold.map, body, lanes);
            }
        });
    }

    fn store_column(&mut self, operand: usize, map: &Map, body: &Body, lanes: Lanes) {
        let dtype = self.nest.operands[operand];
        let step = map.terms[self.inner()] * dtype.bytes() as i64;
        self.rows.clear();
        let base = self.row_address(operand, map);
        let address = self.scaled(base, body.turn, step);
        if !body.wide || map.terms[self.inner()] == 1 {
            lanes::store(&mut self.b, dtype, address, (body.ahead * step) as i32, lanes);
            return;
        }
        for (lane, element) in lanes::apart(&mut self.b, dtype, lanes).into_iter().enumerate() {
            let at = self.b.ins().iadd_imm_s(address, (body.ahead + lane as i64) * step);
            lanes::store(&mut self.b, dtype, at, 0, Lanes::One(element));
        }
    }

    fn temp(&mut self, slot: usize, dtype: DType, body: &Body) -> Lanes {
        let address = self.temp_address(slot, dtype, body);
        lanes::load(&mut self.b, dtype, address, (body.ahead * dtype.bytes() as i64) as i32, body.wide)
    }

    /// Totals and runs begin with what combining nothing gives.
    fn begin_columns(&mut self, from: Value, to: Value) {
        let nest = self.nest;
        self.place_temps(from);
        self.sweep(from, to, 0, &mut |emit, body, _| {
            for (fold, slots) in nest.folds.iter().zip(&emit.analysis.columns) {
                let dtype = nest.dtypes[fold.expr];
                let neutral = lanes::neutral(&mut emit.b, fold.combine, dtype);
                let lanes = lanes::repeat(&mut emit.b, dtype, neutral, body.wide);
                for slot in slots {
                    emit.store_temp(*slot, dtype, body, lanes);
                }
            }
        });
    }

    /// Adds the runs to the totals and begins them anew.
    fn flush_columns(&mut self, from: Value, to: Value) {
        let nest = self.nest;
        self.place_temps(from);
        self.sweep(from, to, 0, &mut |emit, body, _| {
            for (fold, [total, run]) in nest.folds.iter().zip(&emit.analysis.columns) {
                let dtype = nest.dtypes[fold.expr];
                let (old, new) = (emit.temp(*total, dtype, body), emit.temp(*run, dtype, body));
                let sum = lanes::combine(&mut emit.b, fold.combine, dtype, old, new);
                emit.store_temp(*total, dtype, body, sum);
                let neutral = lanes::neutral(&mut emit.b, fold.combine, dtype);
                let lanes = lanes::repeat(&mut emit.b, dtype, neutral, body.wide);
                emit.store_temp(*run, dtype, body, lanes);
            }
        });
    }

    /// The position of the first largest element of each row; NaN is larger than every number.
    pub(super) fn search(&mut self) {
        let kept = self.loops_of(Role::Kept);
        let nest = self.nest;
        let fold = &nest.folds[0];
        let dtype = nest.dtypes[fold.expr];
        self.nested(&kept, &mut |emit| {
            emit.row();
            let best = emit.accumulator(Combine::Max, dtype, false);
            let place = emit.b.declare_var(types::I32);
            let zero = emit.b.ins().iconst(types::I32, 0);
            emit.b.def_var(place, zero);
            let (from, to) = emit.range(emit.inner());
            count(emit, from, to, 1, &mut |emit, turn| {
                let mut body = Body { turn, ahead: 0, wide: false, stage: 0, done: HashMap::new() };
                let Lanes::One(x) = emit.value(fold.expr, &mut body) else {
                    unreachable!("the body is not wide")
                };
                let old = emit.b.use_var(best);
                let better = emit.larger(dtype, x, old);
                let new = emit.b.ins().select(better, x, old);
                emit.b.def_var(best, new);
                let here = emit.b.ins().ireduce(types::I32, turn);
                let old = emit.b.use_var(place);
                let new = emit.b.ins().select(better, here, old);
                emit.b.def_var(place, new);
            });
            emit.rows.clear();
            let address = emit.row_address(fold.operand, &fold.map);
            let value = emit.b.use_var(place);
            lanes::store(&mut emit.b, DType::I32, address, 0, Lanes::One(value));
        });
    }

    fn larger(&mut self, dtype: DType, x: Value, old: Value) -> Value {
        if !dtype.is_float() {
            let test = if dtype == DType::U8 { IntCC::UnsignedGreaterThan } else { IntCC::SignedGreaterThan };
            return self.b.ins().icmp(test, x, old);
        }
        let above = self.b.ins().fcmp(FloatCC::GreaterThan, x, old);
        let odd = self.b.ins().fcmp(FloatCC::Unordered, x, x);
        let fine = self.b.ins().fcmp(FloatCC::Ordered, old, old);
        let first = self.b.ins().band(odd, fine);
        self.b.ins().bor(above, first)
    }
}
