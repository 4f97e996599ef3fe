//! Machine code for this processor's kind, by Cranelift: a function for each different nest, and the program
//! that calls nests and kernels in order.
//!
//! Functions are compiled to bytes one by one and laid end to end. They call each other through the address of
//! the first byte and kernels through the table, both found in the frame they are given, so the bytes need no
//! relocation.

mod analysis;
mod folds;
mod halves;
mod lanes;
mod loops;
mod nests;
mod program;

use std::collections::HashMap;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir;
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use strata_runtime::plan::Function;

use super::nest::Nest;
pub use program::{Address, Callee, Invoke, Item, Program};

/// Alignment of functions in bytes.
const FUNCTION_ALIGN: usize = 64;

/// Compiled functions, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Blob {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where functions lie.
    pub functions: Vec<Function>,
    /// What was compiled, where text was asked for.
    pub clif: String,
    /// The instructions, where text was asked for.
    pub assembly: String,
}

/// Compiles for this processor.
pub struct Compiler {
    isa: OwnedTargetIsa,
    text: bool,
    blob: Blob,
    /// Nests that were compiled, and the local bytes that they need.
    nests: HashMap<Nest, (usize, usize)>,
}

impl Compiler {
    /// A compiler; `text`: whether to keep the text of what it makes.
    pub fn new(text: bool) -> Compiler {
        let mut flags = settings::builder();
        for (name, value) in [
            ("opt_level", "speed"),
            ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
            ("enable_probestack", "false"),
            ("unwind_info", "false"),
            ("is_pic", "true"),
        ] {
            flags.set(name, value).expect("the setting exists");
        }
        let isa = cranelift_native::builder().expect("the processor is one that Cranelift knows");
        let isa = isa.finish(settings::Flags::new(flags)).expect("the settings agree");
        Compiler { isa, text, blob: Blob::default(), nests: HashMap::new() }
    }

    /// The function of a nest (an index into `Blob::functions`) and the local bytes it needs.
    pub fn nest(&mut self, nest: &Nest) -> (usize, usize) {
        if let Some(found) = self.nests.get(nest) {
            return *found;
        }
        let (function, local) = nests::function(nest, &*self.isa);
        let name = format!("loop {}", self.blob.functions.len());
        let index = self.add(name, function);
        self.nests.insert(nest.clone(), (index, local));
        (index, local)
    }

    /// Compiles the program; returns its index.
    pub fn program(&mut self, contents: &Program) -> usize {
        let function = program::function(contents, &self.blob.functions, &*self.isa);
        self.add("program".to_owned(), function)
    }

    /// Everything that was compiled.
    pub fn finish(self) -> Blob {
        self.blob
    }

    fn add(&mut self, name: String, function: ir::Function) -> usize {
        if self.text {
            self.blob.clif += &format!("; {name}\n{function}\n");
        }
        let mut context = Context::for_function(function);
        context.set_disasm(self.text);
        let code = context.compile(&*self.isa, &mut ControlPlane::default());
        let code = code.unwrap_or_else(|error| panic!("{name}: {:?}\n{}", error.inner, error.func));
        assert!(code.buffer.relocs().is_empty(), "{name} is not position-independent");
        if let Some(text) = &code.vcode {
            self.blob.assembly += &format!("; {name}\n{text}\n");
        }
        let offset = self.blob.bytes.len().next_multiple_of(FUNCTION_ALIGN);
        self.blob.bytes.resize(offset, 0);
        self.blob.bytes.extend_from_slice(code.code_buffer());
        let bytes = self.blob.bytes.len() - offset;
        self.blob.functions.push(Function { name, offset, bytes });
        self.blob.functions.len() - 1
    }
}

/// A signature of so many words, and of no result or one of 32 bits.
fn signature(isa: &dyn TargetIsa, words: usize, returns: bool) -> ir::Signature {
    let mut signature = ir::Signature::new(CallConv::triple_default(isa.triple()));
    signature.params.extend((0..words).map(|_| ir::AbiParam::new(ir::types::I64)));
    if returns {
        signature.returns.push(ir::AbiParam::new(ir::types::I32));
    }
    signature
}
