//! Reads a `tokenizer.json`, as the libraries of Hugging Face write it. Only with the feature `tokenizers`: what it
//! needs takes as long to build as everything else together.

use std::path::Path;

use super::error::{DataError, Fault};
use super::recipe::Origin;

/// Whether this program can read tokenizers.
pub const CAN_READ: bool = cfg!(feature = "tokenizers");

#[cfg(not(feature = "tokenizers"))]
mod implementation {
    use super::{DataError, Fault, Origin, Path};

    /// Stands for what this program was built without; there is none.
    pub enum Tokenizer {}

    impl Tokenizer {
        /// Says how to get it.
        ///
        /// # Errors
        /// Always.
        pub fn open(path: &Path, origin: Origin) -> Result<Tokenizer, DataError> {
            Err(DataError::in_file(origin, path, Fault::NotBuilt { feature: "tokenizers" }))
        }

        /// Numbers it has.
        pub fn size(&self) -> usize {
            match *self {}
        }

        /// The numbers of a text's tokens.
        ///
        /// # Errors
        /// Never: there is no such tokenizer.
        pub fn encode(&self, _: &str, _: &mut Vec<i32>) -> Result<(), Fault> {
            match *self {}
        }
    }
}

#[cfg(feature = "tokenizers")]
mod implementation {
    use std::io::Read;

    use super::super::open::open;
    use super::super::vocabulary::{RESERVED, UNKNOWN};
    use super::{DataError, Fault, Origin, Path};

    /// A tokenizer whose own numbers are moved up by 4.
    pub struct Tokenizer {
        tokenizer: tokenizers::Tokenizer,
        /// Its own number for what it does not know.
        unknown: Option<u32>,
    }

    impl Tokenizer {
        /// Reads the file.
        ///
        /// # Errors
        /// A file that cannot be read, or is no tokenizer.
        pub fn open(path: &Path, origin: Origin) -> Result<Tokenizer, DataError> {
            let mut opened = open(path, origin)?;
            let mut bytes = Vec::new();
            opened.reader.by_ref().read_to_end(&mut bytes).map_err(|error| opened.error(&error))?;
            let fail =
                |reason: String| DataError::in_file(origin, &opened.path, Fault::NotATokenizer { reason });
            let tokenizer =
                tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| fail(error.to_string()))?;
            let json: serde_json::Value =
                serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))?;
            let model = &json["model"];
            let named = model["unk_token"].as_str().and_then(|token| tokenizer.token_to_id(token));
            let numbered = model["unk_id"].as_u64().and_then(|id| u32::try_from(id).ok());
            Ok(Tokenizer { tokenizer, unknown: named.or(numbered) })
        }

        /// Numbers it has, the reserved ones included.
        pub fn size(&self) -> usize {
            // Numbers need not be without gaps: what counts is the largest.
            let largest = self.tokenizer.get_vocab(true).into_values().max();
            largest.map_or(0, |largest| largest as usize + 1) + RESERVED
        }

        /// The numbers of a text's tokens.
        ///
        /// # Errors
        /// A text that the tokenizer refuses.
        pub fn encode(&self, text: &str, to: &mut Vec<i32>) -> Result<(), Fault> {
            let encoding = self
                .tokenizer
                .encode_fast(text, false)
                .map_err(|error| Fault::NotATokenizer { reason: error.to_string() })?;
            to.extend(encoding.get_ids().iter().map(|id| match i32::try_from(*id as usize + RESERVED) {
                Ok(number) if Some(*id) != self.unknown => number,
                Ok(_) | Err(_) => UNKNOWN,
            }));
            Ok(())
        }
    }
}

pub use implementation::Tokenizer;

/// Numbers that a tokenizer has, the reserved ones included.
///
/// # Errors
/// A file that cannot be read or is no tokenizer; a program that was built without.
pub fn inspect(path: &Path, origin: Origin) -> Result<usize, DataError> {
    Tokenizer::open(path, origin).map(|tokenizer| tokenizer.size())
}
