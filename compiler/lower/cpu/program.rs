//! The step program: calls of nests and kernels with barriers between them, in loops where the plan has loops.
//! Every thread runs it with its own number and takes its share of each call.

use std::collections::BTreeMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use strata_runtime::kernels::Entry;
use strata_runtime::plan::{Deal, Function, Place};
use strata_runtime::session::Frame;

use super::lanes::memory;
use super::loops::{Builds, count, when};
use super::signature;

/// The program of a plan.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// What happens, one entry a step of the plan.
    pub items: Vec<Item>,
}

/// One step.
#[derive(Clone, Debug)]
pub enum Item {
    /// Every thread waits for all.
    Barrier,
    /// A call.
    Invoke(Invoke),
    /// A loop.
    Loop {
        /// Number of turns.
        turns: usize,
        /// Whether the turn with the last index comes first.
        reverse: bool,
        /// What happens in each turn.
        items: Vec<Item>,
    },
}

/// Where a tensor lies.
#[derive(Clone, Debug)]
pub struct Address {
    /// The place in the turns of index 0.
    pub place: Place,
    /// Bytes from there to the first element.
    pub start: i64,
    /// Bytes that it moves by with each loop around, from the outermost; those that are missing do not move it.
    pub moves: Vec<i64>,
}

/// A call of a nest or kernel.
#[derive(Clone, Debug)]
pub struct Invoke {
    /// What is called.
    pub callee: Callee,
    /// How the dealt axis is shared.
    pub deal: Deal,
    /// Tensors.
    pub operands: Vec<Address>,
    /// Loops around the call: how often, and the bytes that each operand moves by.
    pub around: Vec<(usize, Vec<i64>)>,
}

/// What is called, and how its words are put together.
#[derive(Clone, Debug)]
pub enum Callee {
    /// `(frame, operands, lo, hi)`; the share is so many turns an index.
    Nest {
        /// Its index in the blob.
        function: usize,
        /// Turns of the dealt loop for one index of the dealt axis.
        turns: usize,
    },
    /// `(descriptor, operands, lo, hi, links)`; the step is left if it says so.
    Transfer {
        /// The kernel.
        entry: Entry,
        /// The descriptor's offset in the plan's data.
        data: usize,
    },
    /// `(descriptor, operands, [bias,] lo, hi, [scratch,] [faults])`
    Kernel {
        /// The kernel.
        entry: Entry,
        /// The descriptor's offset in the plan's data.
        data: usize,
        /// Whether a bias (null) follows the operands.
        bias: bool,
        /// Whether scratch follows the share.
        scratch: bool,
        /// Whether the place for what is wrong with numbers follows.
        faults: bool,
        /// Where the outermost loop around is what threads share: the length of the kernel's own axis.
        whole: Option<usize>,
    },
}

/// The program's function.
pub fn function(program: &Program, functions: &[Function], isa: &dyn TargetIsa) -> ir::Function {
    let name = ir::UserFuncName::user(0, 1);
    let mut function = ir::Function::with_name_signature(name, signature(isa, 1, false));
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    b.seal_block(block);
    let frame = b.block_params(block)[0];
    let mut emit = Emit { functions, isa, b, frame, shares: BTreeMap::new(), turns: Vec::new(), ticks: 0 };
    emit.share_out(&program.items);
    program.items.iter().for_each(|item| emit.item(item));
    emit.tick();
    let mut b = emit.b;
    b.ins().return_(&[]);
    b.finalize(isa.frontend_config());
    function
}

struct Emit<'a, 'b> {
    functions: &'a [Function],
    isa: &'a dyn TargetIsa,
    b: FunctionBuilder<'b>,
    frame: Value,
    /// This thread's share of each way of dealing.
    shares: BTreeMap<(usize, usize), (Value, Value)>,
    /// The indices of the turns that are running, from the outermost loop.
    turns: Vec<Value>,
    /// Steps so far.
    ticks: usize,
}

impl<'b> Builds<'b> for Emit<'_, 'b> {
    fn builder(&mut self) -> &mut FunctionBuilder<'b> {
        &mut self.b
    }
}

/// The key of a share; the first thread's own work is an axis of length one cut at its end.
fn key(deal: Deal) -> (usize, usize) {
    match deal {
        Deal::First => (1, usize::MAX),
        Deal::Shares { count, align } => (count, align),
    }
}

/// How the calls of a program are dealt.
fn deals(items: &[Item]) -> Vec<Deal> {
    let deals = items.iter().flat_map(|item| match item {
        Item::Barrier => Vec::new(),
        Item::Invoke(invoke) => vec![invoke.deal],
        Item::Loop { items, .. } => deals(items),
    });
    deals.collect()
}

impl Emit<'_, '_> {
    fn field(&mut self, offset: usize) -> Value {
        self.b.ins().load(types::I64, memory(), self.frame, offset as i32)
    }

    fn word(&mut self, value: i64) -> Value {
        self.b.ins().iconst(types::I64, value)
    }

    fn item(&mut self, item: &Item) {
        self.tick();
        match item {
            Item::Barrier => self.barrier(),
            Item::Invoke(invoke) => self.invoke(invoke),
            Item::Loop { turns, reverse, items } => {
                let (from, to) = (self.word(0), self.word(*turns as i64));
                count(self, from, to, 1, &mut |emit, turn| {
                    let last = emit.word(*turns as i64 - 1);
                    let index = if *reverse { emit.b.ins().isub(last, turn) } else { turn };
                    emit.turns.push(index);
                    items.iter().for_each(|item| emit.item(item));
                    emit.turns.pop();
                });
            }
        }
    }

    /// Computes this thread's share of every axis that is dealt.
    fn share_out(&mut self, items: &[Item]) {
        let thread = self.field(std::mem::offset_of!(Frame, thread));
        let threads = self.field(std::mem::offset_of!(Frame, threads));
        let next = self.b.ins().iadd_imm_s(thread, 1);
        for deal in deals(items) {
            if self.shares.contains_key(&key(deal)) {
                continue;
            }
            let share = match deal {
                Deal::First => {
                    let zero = self.word(0);
                    let first = self.b.ins().icmp_imm_s(IntCC::Equal, thread, 0);
                    let end = self.b.ins().uextend(types::I64, first);
                    (zero, end)
                }
                Deal::Shares { count, align } => {
                    let lo = self.cut(thread, threads, count, align);
                    let cut = self.cut(next, threads, count, align);
                    let last = self.b.ins().icmp(IntCC::Equal, next, threads);
                    let end = self.word(count as i64);
                    (lo, self.b.ins().select(last, end, cut))
                }
            };
            self.shares.insert(key(deal), share);
        }
    }

    /// `count * thread / threads / align * align`
    fn cut(&mut self, thread: Value, threads: Value, count: usize, align: usize) -> Value {
        let product = self.b.ins().imul_imm_s(thread, count as i64);
        let cut = self.b.ins().udiv(product, threads);
        if align == 1 {
            return cut;
        }
        let align = self.word(align as i64);
        let units = self.b.ins().udiv(cut, align);
        self.b.ins().imul(units, align)
    }

    /// Tells the frame's listener, if there is one, that a step begins.
    fn tick(&mut self) {
        let index = self.ticks;
        self.ticks += 1;
        let listener = self.field(std::mem::offset_of!(Frame, tick));
        let heard = self.b.ins().icmp_imm_s(IntCC::NotEqual, listener, 0);
        let frame = self.frame;
        when(self, heard, &mut |emit| {
            let signature = signature(emit.isa, 2, false);
            let signature = emit.b.import_signature(signature);
            let index = emit.word(index as i64);
            emit.b.ins().call_indirect(signature, listener, &[frame, index]);
        });
    }

    fn barrier(&mut self) {
        let barrier = self.field(std::mem::offset_of!(Frame, barrier));
        let waits = signature(self.isa, 1, true);
        let waits = self.b.import_signature(waits);
        let address = self.kernel(Entry::Barrier);
        let call = self.b.ins().call_indirect(waits, address, &[barrier]);
        let failed = self.b.inst_results(call)[0];
        self.leave_if(failed);
    }

    /// Leaves the step if a number is not zero.
    fn leave_if(&mut self, failed: Value) {
        let (leave, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(leave);
        self.b.ins().brif(failed, leave, &[], on, &[]);
        self.b.switch_to_block(leave);
        self.b.seal_block(leave);
        self.b.ins().return_(&[]);
        self.b.switch_to_block(on);
        self.b.seal_block(on);
    }

    /// The address of a kernel.
    fn kernel(&mut self, entry: Entry) -> Value {
        let table = self.field(std::mem::offset_of!(Frame, table));
        self.b.ins().load(types::I64, memory(), table, entry.offset() as i32)
    }

    fn invoke(&mut self, invoke: &Invoke) {
        let (lo, hi) = self.shares[&key(invoke.deal)];
        let some = self.b.ins().icmp(IntCC::SignedLessThan, lo, hi);
        when(self, some, &mut |emit| {
            let operands: Vec<Value> = invoke.operands.iter().map(|at| emit.address(at)).collect();
            let dealt = matches!(invoke.callee, Callee::Kernel { whole: Some(_), .. });
            emit.around(&invoke.around, dealt.then_some((lo, hi)), operands, &mut |emit, operands| {
                emit.call(&invoke.callee, operands, lo, hi);
            });
        });
    }

    /// Runs `body` in loops that move the operands; `share` is the part of the outermost.
    fn around(
        &mut self,
        loops: &[(usize, Vec<i64>)],
        share: Option<(Value, Value)>,
        operands: Vec<Value>,
        body: &mut dyn FnMut(&mut Self, &[Value]),
    ) {
        let Some(((turns, steps), rest)) = loops.split_first() else { return body(self, &operands) };
        let (from, to) = match share {
            Some(share) => share,
            None => (self.word(0), self.word(*turns as i64)),
        };
        count(self, from, to, 1, &mut |emit, turn| {
            let moved = operands.iter().zip(steps).map(|(operand, step)| {
                let bytes = emit.b.ins().imul_imm_s(turn, *step);
                emit.b.ins().iadd(*operand, bytes)
            });
            let moved = moved.collect();
            emit.around(rest, None, moved, body);
        });
    }

    /// The address of the byte at `data` of the plan's read-only bytes.
    fn data(&mut self, data: usize) -> Value {
        let base = self.field(std::mem::offset_of!(Frame, data));
        self.b.ins().iadd_imm_s(base, data as i64)
    }

    fn call(&mut self, callee: &Callee, operands: &[Value], lo: Value, hi: Value) {
        let returns = matches!(callee, Callee::Transfer { .. });
        let (address, words) = match callee {
            Callee::Nest { function, turns } => {
                let code = self.field(std::mem::offset_of!(Frame, code));
                let offset = self.functions[*function].offset as i64;
                let address = self.b.ins().iadd_imm_s(code, offset);
                let mut words = vec![self.frame];
                words.extend(operands);
                for bound in [lo, hi] {
                    words.push(self.b.ins().imul_imm_s(bound, *turns as i64));
                }
                (address, words)
            }
            Callee::Transfer { entry, data } => {
                let mut words = vec![self.data(*data)];
                words.extend(operands);
                words.extend([lo, hi, self.field(std::mem::offset_of!(Frame, links))]);
                (self.kernel(*entry), words)
            }
            Callee::Kernel { entry, data, bias, scratch, faults, whole } => {
                let mut words = vec![self.data(*data)];
                words.extend(operands);
                if *bias {
                    words.push(self.word(0));
                }
                match whole {
                    None => words.extend([lo, hi]),
                    Some(length) => words.extend([self.word(0), self.word(*length as i64)]),
                }
                if *scratch {
                    words.push(self.field(std::mem::offset_of!(Frame, local)));
                }
                if *faults {
                    words.push(self.field(std::mem::offset_of!(Frame, faults)));
                }
                (self.kernel(*entry), words)
            }
        };
        let signature = signature(self.isa, words.len(), returns);
        let signature = self.b.import_signature(signature);
        let call = self.b.ins().call_indirect(signature, address, &words);
        if let Some(failed) = self.b.inst_results(call).first().copied() {
            self.leave_if(failed);
        }
    }

    /// Where a tensor lies in the turns that are running.
    fn address(&mut self, address: &Address) -> Value {
        let (base, at) = match address.place {
            Place::Variable(at) => (self.field(std::mem::offset_of!(Frame, variables)), at),
            Place::Scratch(at) => (self.field(std::mem::offset_of!(Frame, scratch)), at),
            Place::Clock(at) => (self.field(std::mem::offset_of!(Frame, clock)), at),
            Place::Input(i, at) => {
                let inputs = self.field(std::mem::offset_of!(Frame, inputs));
                (self.b.ins().load(types::I64, memory(), inputs, (i * 8) as i32), at)
            }
        };
        let mut sum = self.b.ins().iadd_imm_s(base, at as i64 + address.start);
        for (bytes, turn) in address.moves.iter().zip(self.turns.clone()).filter(|(bytes, _)| **bytes != 0) {
            let moved = self.b.ins().imul_imm_s(turn, *bytes);
            sum = self.b.ins().iadd(sum, moved);
        }
        sum
    }
}
