//! Reads a `tokenizer.json`, as the libraries of Hugging Face write it. Only with the feature `tokenizers`: what it
//! needs takes as long to build as everything else together.

use std::path::Path;

use super::error::{DataError, Fault};
use super::recipe::Origin;

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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::error::Fault;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tokenizers").join(name)
    }

    #[cfg(not(feature = "tokenizers"))]
    #[test]
    fn a_program_built_without_says_so() {
        let refused = super::inspect(&file("bytes.json"), 7).expect_err("there is no tokenizer in it");
        assert_eq!((refused.origin, refused.fault), (7, Fault::NotBuilt { feature: "tokenizers" }));
    }

    #[cfg(feature = "tokenizers")]
    #[test]
    fn numbers_are_those_of_the_format_s_own_library() {
        use super::super::vocabulary::{RESERVED, UNKNOWN};

        let text = std::fs::read_to_string(file("numbers.json")).unwrap();
        let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
        let texts: Vec<&str> =
            theirs["texts"].as_array().unwrap().iter().filter_map(|t| t.as_str()).collect();
        for name in ["bytes", "words"] {
            let tokenizer = super::Tokenizer::open(&file(&format!("{name}.json")), 0).unwrap();
            let own = &theirs[name];
            assert_eq!(tokenizer.size() as u64, own["size"].as_u64().unwrap() + RESERVED as u64);
            for (text, ids) in texts.iter().zip(own["ids"].as_array().unwrap()) {
                let mut found = Vec::new();
                tokenizer.encode(text, &mut found).unwrap();
                let moved = ids.as_array().unwrap().iter().map(|id| match id {
                    id if !own["unknown"].is_null() && *id == own["unknown"] => UNKNOWN,
                    id => id.as_i64().unwrap() as i32 + RESERVED as i32,
                });
                assert_eq!(found, moved.collect::<Vec<_>>(), "{name}: {text:?}");
            }
        }
    }

    #[cfg(feature = "tokenizers")]
    #[test]
    fn what_is_no_tokenizer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.json");
        let whole = std::fs::read(file("words.json")).unwrap();
        for bytes in [&b""[..], b"{}", b"[1, 2]", &whole[..whole.len() / 2], b"\xff\xfe"] {
            std::fs::write(&path, bytes).unwrap();
            let refused = super::inspect(&path, 3).expect_err("it is none");
            assert!(matches!(refused.fault, Fault::NotATokenizer { .. }), "{refused}");
        }
        let missing = super::inspect(&folder.path().join("none.json"), 3).expect_err("it is not there");
        assert!(matches!(missing.fault, Fault::Missing { .. }), "{missing}");
    }
}
