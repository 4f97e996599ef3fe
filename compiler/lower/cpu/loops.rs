//! Loops in Cranelift's intermediate language.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::FunctionBuilder;

/// Something that makes code through a builder.
pub trait Builds<'b> {
    /// The builder.
    fn builder(&mut self) -> &mut FunctionBuilder<'b>;
}

/// `for i in (from..to).step_by(step) { body(i) }`
pub fn count<'b, E: Builds<'b>>(
    emit: &mut E,
    from: Value,
    to: Value,
    step: i64,
    body: &mut dyn FnMut(&mut E, Value),
) {
    let b = emit.builder();
    let (head, inside, after) = (b.create_block(), b.create_block(), b.create_block());
    let i = b.append_block_param(head, types::I64);
    b.ins().jump(head, &[from.into()]);
    b.switch_to_block(head);
    let more = b.ins().icmp(IntCC::SignedLessThan, i, to);
    b.ins().brif(more, inside, &[], after, &[]);
    b.switch_to_block(inside);
    b.seal_block(inside);
    body(emit, i);
    let b = emit.builder();
    let next = b.ins().iadd_imm_s(i, step);
    b.ins().jump(head, &[next.into()]);
    b.seal_block(head);
    b.switch_to_block(after);
    b.seal_block(after);
}

/// `if condition { body() }`
pub fn when<'b, E: Builds<'b>>(emit: &mut E, condition: Value, body: &mut dyn FnMut(&mut E)) {
    let b = emit.builder();
    let (inside, after) = (b.create_block(), b.create_block());
    b.ins().brif(condition, inside, &[], after, &[]);
    b.switch_to_block(inside);
    b.seal_block(inside);
    body(emit);
    let b = emit.builder();
    b.ins().jump(after, &[]);
    b.switch_to_block(after);
    b.seal_block(after);
}
